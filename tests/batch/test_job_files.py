"""Job files: what each kind means, and everything that can be wrong with one in a sentence with file and line."""

import json
import os
import resource
import time

import pytest

from backend.batch import read_jobs as reading
from backend.batch.plan import plan_of
from backend.errors import UserError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sketches").mkdir()
    for name in ("cup", "fish", "vase"):
        (tmp_path / "sketches" / f"{name}.obj").write_text(f"# {name}\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    return tmp_path


def _jobs(folder, name, text, **given):
    path = folder / name
    path.write_text(text)
    return [planned.job for planned in plan_of(path, given).plan.jobs]


def _refused(folder, name, text, **given):
    with pytest.raises(UserError) as caught:
        _jobs(folder, name, text, **given)
    sentence = caught.value.sentence
    assert "\n" not in str(caught.value) and sentence.endswith(".") and sentence.count(". ") <= 1
    return str(caught.value).replace(str(folder) + os.sep, "")


def test_the_four_kinds_of_file_say_the_same(folder):
    one = {"prompt": "a red cup", "sketch": "sketches/cup.obj", "seed": 3, "symmetric": True, "budget": {"faces": 500}}
    lines = _jobs(folder, "a.jsonl", json.dumps(one) + "\n\n")
    table = _jobs(
        folder,
        "a.toml",
        '[[jobs]]\nprompt = "a red cup"\nsketch = "sketches/cup.obj"\nseed = 3\nsymmetric = true\n[jobs.budget]\nfaces = 500\n',
    )
    rows = _jobs(folder, "a.csv", "prompt,sketch,seed,symmetric,budget.faces,slack\na red cup,sketches/cup.obj,3,TRUE,500,\n")
    assert lines == table == rows and lines[0].budget.faces == 500 and lines[0].symmetric and lines[0].seed == 3
    assert lines[0].sketch == str(folder / "sketches" / "cup.obj")


def test_a_list_of_prompts(folder):
    text = '\ufeffa red cup\n\n# a remark\n12. a "blue" fish\n"a DSLR photo of a fox"\n'
    jobs = _jobs(folder, "list.txt", text, preset="quick")
    assert [job.prompt for job in jobs] == ["a red cup", 'a "blue" fish', "a DSLR photo of a fox"]
    assert {(job.mode, job.preset) for job in jobs} == {("prompt", "quick")}


def test_sweeps_multiply_and_the_last_varies_fastest(folder):
    text = '{"prompt": ["a cup", "a vase"], "sketch": "sketches/*.obj", "seed": [0, 1], "method": "sds", "budget": {"faces": [500, 900]}}'
    jobs = _jobs(folder, "a.jsonl", text)
    assert len(jobs) == 2 * 3 * 2 * 2
    assert [job.budget.faces for job in jobs[:3]] == [500, 900, 500] and [job.seed for job in jobs[:4]] == [0, 0, 1, 1]
    assert [os.path.basename(job.sketch) for job in jobs[:12:4]] == ["cup.obj", "fish.obj", "vase.obj"]
    assert {job.prompt for job in jobs[:12]} == {"a cup"}


def test_lists_that_are_values_are_no_sweeps(folder):
    own = {"prompt": "a cup", "mode": "prompt", "method": "csd", "parameters": {"w1": [0, 10.0, 20.0, 100]}, "stages": []}
    (job,) = _jobs(folder, "a.jsonl", json.dumps(own))
    assert job.parameters == {"w1": (0, 10.0, 20.0, 100)}
    swept = _jobs(folder, "a.jsonl", json.dumps({**own, "parameters": [{"w1": 7}, {"w1": 9}]}))
    assert [job.parameters["w1"] for job in swept] == [7, 9]
    placed = [[float(row == column) for row in range(4) for column in range(4)], []]
    assert [len(job.placement) for job in _jobs(folder, "a.jsonl", json.dumps({**own, "placement": placed}))] == [16, 0]


def test_defaults_give_way_to_what_a_job_says(folder):
    text = '[defaults]\nmode = "prompt"\npreset = "quick"\nbudget = {faces = 500, texture_px = 64}\nseed = [1, 2]\n'
    text += '[[jobs]]\nprompt = "a cup"\nbudget.faces = 700\n[[jobs]]\nprompt = "a vase"\nseed = 5\n'
    jobs = _jobs(folder, "a.toml", text, preset="default", slack=0.5)
    assert [job.seed for job in jobs] == [1, 2, 5]
    assert (jobs[0].budget.faces, jobs[0].budget.texture_px, jobs[2].budget.faces) == (700, 64, 500)
    assert jobs[0].slack == 0.5 and jobs[0].preset == "default"
    lines = '{"prompt": "a", "mode": "prompt"}\n{"defaults": {"mode": "prompt", "seed": 4}}\n{"prompt": "b"}\n'
    assert [job.seed for job in _jobs(folder, "a.jsonl", lines)] == [0, 4]


def test_a_job_that_repeats_another_runs_once_unless_it_has_an_id(folder):
    (folder / "a.txt").write_text("a cup\na vase\na cup\n")
    planned = plan_of(folder / "a.txt")
    assert len(planned.plan.jobs) == 2 and "line 3" in planned.notes[0]
    own = '{{"prompt": "a cup", "mode": "prompt", "id": "{}"}}\n'
    assert len(_jobs(folder, "a.jsonl", own.format("one") + own.format("two"))) == 2


CUP = '{"prompt": "a cup", "mode": "prompt"}\n'
WRONG = {
    "unknown key": (CUP + '{"promt": "a cup"}', "a.jsonl, line 2: The job has no setting 'promt'. Did you mean 'prompt'?"),
    "unknown key inside": (
        '{"prompt": "a", "budget": {"face": 3}}',
        "a.jsonl, line 1: The job has no setting 'face' in 'budget'. Did you mean 'faces'?",
    ),
    "wrong type": (
        CUP + '\n{"prompt": "a", "seed": "three"}',
        "a.jsonl, line 3: The job was not understood: expected 'int', got 'str' (in 'seed')",
    ),
    "out of range": ('{"prompt": "a", "slack": 2}', "a.jsonl, line 1: The job was not understood: expected 'float' <= 1.0 (in 'slack')"),
    "not JSON": (CUP + "{oops}", "a.jsonl, line 2: The line is not valid JSON"),
    "no object": ("[1]", "a.jsonl, line 1: A job should be a JSON object, but it is a list."),
    "missing input": ('{"prompt": "a", "sketch": "nothing.glb"}', "a.jsonl, line 1: The sketch 'nothing.glb' is not there."),
    "glob without a match": ('{"prompt": "a", "sketch": "sketches/*.glb"}', "a.jsonl, line 1: No file matches 'sketches/*.glb'."),
    "no mesh": ('{"prompt": "a"}', "a.jsonl, line 1: Mode 'sketch' needs a mesh file."),
    "no prompt": ('{"prompt": " ", "mode": "prompt"}', "a.jsonl, line 1: The prompt is empty."),
    "unknown mode": ('{"prompt": "a", "mode": "sketsch"}', "a.jsonl, line 1: The job was not understood: invalid enum value 'sketsch'"),
    "unknown preset": (
        '{"prompt": "a", "mode": "prompt", "preset": "quik"}',
        "a.jsonl, line 1: Mode 'prompt' has no preset 'quik'. Did you mean 'quick'?",
    ),
    "unknown method": ('{"prompt": "a", "mode": "prompt", "method": "sdss"}', "Did you mean 'sds'?"),
    "unknown prior": ('{"prompt": "a", "mode": "prompt", "prior": "nowhere"}', "a.jsonl, line 1: There is no prior 'nowhere'."),
    "empty list": (CUP + '{"prompt": "a", "seed": []}', "a.jsonl, line 2: The list of 'seed' is empty."),
    "duplicate ids": (
        '{"id": "x", "prompt": "a", "mode": "prompt"}\n{"id": "X", "prompt": "b", "mode": "prompt"}',
        "a.jsonl, line 2: The id 'X' was given before, in line 1.",
    ),
    "no name": ('{"id": "../x", "prompt": "a", "mode": "prompt"}', "a.jsonl, line 1: The id '../x' is not a name."),
    "too many": (
        json.dumps({"prompt": "a", "mode": "prompt", "seed": list(range(1000)), "slack": [n / 1000 for n in range(1000)]}),
        "a.jsonl, line 1: The file asks for 1,000,000 jobs up to here, more than 100,000.",
    ),
    "deep": ("[" * 100_000, "a.jsonl, line 1: The line is not valid JSON"),
    "no home": (
        '{"prompt": "a", "sketch": "~nobody-of-this-name/x.glb"}',
        "a.jsonl, line 1: A path of the job cannot be used: Could not determine home directory.",
    ),
    "long name": (json.dumps({"prompt": "a", "sketch": "x" * 300 + ".glb"}), "a.jsonl, line 1: A path of the job cannot be used: "),
    "unknown noise levels": (
        '{"prompt": "a", "mode": "prompt", "stages": [{"name": "x", "timesteps": {"kind": "windw"}}]}',
        "a.jsonl, line 1: There is no timestep schedule 'windw'.",
    ),
    "unknown regulariser": (
        '{"prompt": "a", "mode": "prompt", "stages": [{"name": "x", "regularisers": {"laplacean": [1, 1]}}]}',
        "a.jsonl, line 1: Stage 'x' has no regulariser 'laplacean'. Did you mean 'laplacian'?",
    ),
    "two sources": (
        '{"prompt": "a", "mode": "prompt", "source_prompt": "b", "domain": "painting"}',
        "a.jsonl, line 1: ",
    ),
    "unknown device": ('{"prompt": "a", "mode": "prompt", "device": "gpu"}', "a.jsonl, line 1: 'gpu' is not a device."),
    "wrong defaults": ('{"defaults": {"method": "sdss"}}\n\n' + CUP, "a.jsonl, line 1: There is no method 'sdss'."),
    "empty": ("", "The job file 'a.jsonl' holds no job."),
    "blank": ("\n \n", "The job file 'a.jsonl' holds no job."),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_line_is_said_in_one_sentence(folder, case):
    text, said = WRONG[case]
    assert said in _refused(folder, "a.jsonl", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[jobs]]\nprompt = "a"\nmode = "prompt"\n\n[[jobs]]\nmode = "prompt"\npromt = "b"\n', "a.toml, line 7: The job has no setting"),
        ('[[jobs]]\nprompt = "a"\nmode = "prompt"\n[jobs.budget]\nfaces = 1\n', "a.toml, line 5: The job was not understood"),
        ('[[jobs]]\nprompt = "a\n', "a.toml, line 2: The file is not valid TOML"),
        ('[[job]]\nprompt = "a"\n', "a.toml, line 1: The file has no place for 'job'. Did you mean 'jobs'?"),
        ('jobs = [{prompt = "a", mode = "prompt"}, {promt = "b"}]\n', "a.toml, job 2: The job has no setting 'promt'."),
        ('[[jobs]]\nprompt = "a"\nmode = "prompt"\nslack = nan\n', "a.toml, line 4: The job was not understood"),
        ('[[jobs]]\nprompt = "a"\nmode = "prompt"\nfront_deg = inf\n', "a.toml, line 4: The setting 'front_deg' should be a finite number"),
        ('[defaults]\nmethod = "sdss"\n[[jobs]]\nprompt = "a"\nmode = "prompt"\n', "a.toml, line 2: There is no method 'sdss'."),
        ('[defaults.budget]\nfaces = 1\n[[jobs]]\nprompt = "a"\nmode = "prompt"\n', "a.toml, line 2: The job was not understood"),
        ('[[jobs]]\nprompt = "a\u2028b\x85"\nmode = "prompt"\nseed = "x"\n', "a.toml, line 4: The job was not understood"),
        (f'[[jobs]]\nprompt = "a"\nseed = {"9" * 5000}\n', "The job file 'a.toml' cannot be read: Exceeds the limit"),
        ("", "The job file 'a.toml' holds no job."),
    ],
)
def test_what_is_wrong_with_a_toml_file(folder, text, said):
    assert said in _refused(folder, "a.toml", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prompt,promt\na,b\n", "a.csv, line 1: The job has no setting 'promt'. Did you mean 'prompt'?"),
        ("prompt,prompt\na,b\n", "a.csv, line 1: The setting 'prompt' has two columns."),
        ("prompt,mode\na,prompt,3\n", "a.csv, line 2: The row has 3 cells for 2 settings."),
        ('prompt,mode\na,prompt\n"b\nc",prompt\nd,prompt,1\n', "a.csv, line 5: The row has 3 cells for 2 settings."),
        ("prompt,mode,seed\na,prompt,1\nb,prompt,x\n", "a.csv, line 3: The job was not understood: expected 'int', got 'str'"),
        ('prompt\n"a\n', "a.csv, line 2: The row is not valid CSV"),
        ("prompt,mode\n", "The job file 'a.csv' holds no job."),
        ('prompt,mode\n"[""\\ud800""]",prompt\n', "a.csv, line 2: The setting 'prompt' holds a character that UTF-8 cannot write."),
        ("prompt,budget,budget.faces\na,{},500\n", "a.csv, line 1: The setting 'budget.faces' has a column, and so has all of it."),
    ],
)
def test_what_is_wrong_with_a_csv_file(folder, text, said):
    assert said in _refused(folder, "a.csv", text)


def test_what_is_wrong_with_settings_for_all_is_not_said_of_a_line(folder):
    assert _refused(folder, "a.jsonl", CUP, method="sdss").startswith("The settings given for all jobs: There is no method 'sdss'.")
    text = '{"defaults": {"method": "sdss"}}\n{"prompt": "a", "mode": "prompt", "method": "sdx"}'
    assert _refused(folder, "a.jsonl", text).startswith("a.jsonl, line 2: There is no method 'sdx'.")


def test_a_glob_does_not_mean_what_a_batch_has_made(folder):
    made = folder / "sketches" / "out" / "jobs" / "cup-12345678"
    made.mkdir(parents=True)
    (made / "asset.obj").touch()
    text = '{"prompt": "a cup", "sketch": "**/*.obj"}'
    assert len(_jobs(folder, "a.jsonl", text)) == 4, "a folder may be called jobs"
    (folder / "sketches" / "out" / "plan.json").touch()
    assert len(_jobs(folder, "a.jsonl", text)) == 3


def test_files_that_are_none(folder):
    for name, said in [("none.jsonl", "There is no job file"), ("jobs.yaml", "is of no known kind"), ("sketches.csv", "is a folder")]:
        (folder / "sketches.csv").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=said):
            plan_of(folder / name)
    (folder / "latin.txt").write_bytes(b"a cup\na ros\xe9 cup\n")
    with pytest.raises(UserError, match=r"latin\.txt, line 2: The line is not UTF-8"):
        plan_of(folder / "latin.txt")


@pytest.mark.parametrize("name", ["big.jsonl", "big.toml", "big.csv", "big.txt"])
def test_a_gigabyte_is_refused_at_once_and_without_memory(folder, name):
    with (folder / name).open("wb") as file:
        file.truncate(2**30)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(UserError, match=r"has 1,024 MB, more than 64\."):
        plan_of(folder / name)
    assert time.perf_counter() - began < 10.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


def test_what_has_no_size_is_read_only_up_to_the_limits(folder, monkeypatch):
    """A pipe has none; a line without an end would fill the memory."""
    (folder / "a.txt").write_bytes(b"a" * (reading.LINE_BYTES + 2))
    with pytest.raises(UserError, match=r"a\.txt, line 1: The line is longer than 1 MB\."):
        plan_of(folder / "a.txt")
    monkeypatch.setattr(reading, "FILE_BYTES", 2**16)
    (folder / "a.txt").write_text("a cup\n" * 20_000)
    with pytest.raises(UserError, match="more than"):
        list(reading.lines_of(folder / "a.txt"))
