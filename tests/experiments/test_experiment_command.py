"""`sketchbridge experiment` from the outside, on a random prior of a few thousand parameters."""

import csv
import json
import shlex
import signal
import subprocess
import sys

import pytest
from PIL import Image
from typer.testing import CliRunner

from backend.cli.experiment import digest_of
from backend.cli.main import app
from backend.experiments.journal import FILE
from backend.experiments.registry import EXPERIMENTS
from backend.priors.card import read_card
from tests.priors.tiny import write_tiny_folder


def _invoke(*arguments):
    return CliRunner().invoke(app, ["experiment", *map(str, arguments)])


def _rows(folder):
    with (folder / "table1.csv").open() as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def test_without_a_name_they_are_listed():
    result = _invoke()
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(EXPERIMENTS)
    assert all(summary in result.stdout for _, summary in EXPERIMENTS.values())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tabel1"], "Did you mean 'table1'"),
        (["table1", "--budget", "quik"], "Did you mean 'quick'"),
        (["table1", "--equal", "row"], "Did you mean 'rows'"),
        (["table1", "--precision", "bf61"], "Did you mean 'bf16'"),
        (["table1", "--prior", "nowhere"], "nowhere"),
        (["table1", "--write", "no_page.md"], "no_page.md"),
        (["table1", "--write", __file__], "no places for 'experiment table1'"),
        (["table1", "--clip", "anywhere"], "table2 has it"),
        (["table2", "--clip", "nowhere"], "no CLIP model"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, arguments, told):
    result = _invoke(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("sketchbridge: ")
    assert told in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_method_that_is_not_there_is_one_sentence(tmp_path, tiny_folder):
    result = _invoke("table1", "--prior", tiny_folder, "--methods", "sds,sdss", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "has no 'sdss'" in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_table1_with_every_kind_of_line(tmp_path, tiny_folder):
    """References, a method at equal steps, one with a critic and one at equal rows; then again with nothing left to do."""
    methods = "real,real_decoded,ddim,sds,vsd,pfd"
    small = ["table1", "--prior", tiny_folder, "--captions", 3, "--steps", 20, "--seeds", 2, "--methods", methods, "--out", tmp_path]
    planned = _invoke(*small, "--plan")
    assert planned.exit_code == 0, planned.output
    assert len(planned.stdout.splitlines()) == 12 and not list(tmp_path.iterdir())
    result = _invoke(*small)
    assert result.exit_code == 0, result.output
    assert "12 cells; about" in result.stderr.splitlines()[0]
    rows = _rows(tmp_path)
    assert [float(rows[name]["rows"]) for name in ("SDS", "VSD", "PFD")] == [40, 60, 40]
    assert [rows[name]["steps"] for name in ("SDS", "PFD", "DDIM, 20 steps")] == ["20", "1", "20"]
    assert all(float(row["Frechet distance"]) > 0 and float(row["Frechet distance sd"]) > 0 for row in rows.values())
    # Random weights draw nothing; real renders are what their captions say.
    assert float(rows["real renders"]["both"]) > float(rows["SDS"]["both"])
    assert float(rows["real renders"]["Frechet distance"]) < float(rows["SDS"]["Frechet distance"])
    assert (tmp_path / "frechet.png").is_file() and (tmp_path / "pictures.png").is_file()
    before = (tmp_path / "tables.md").read_text()
    assert f", card {digest_of(read_card(tiny_folder))[:8]}, judge " in before.splitlines()[0]
    again = _invoke(*small)
    assert "12 cells, 12 of them done already" in again.stderr
    assert (tmp_path / "tables.md").read_text() == before and len((tmp_path / FILE).read_text().splitlines()) == 12


def test_each_precision_has_cells_of_its_own(tmp_path, tiny_folder):
    small = ["table1", "--prior", tiny_folder, "--captions", 2, "--steps", 4, "--seeds", 1, "--methods", "sds", "--out", tmp_path]
    distances = []
    for precision, done in (("fp32", 0), ("bf16", 0), ("bf16", 1), ("auto", 1)):  # on a CPU auto is fp32
        result = _invoke(*small, "--precision", precision)
        assert result.exit_code == 0, result.output
        assert ("1 cells, 1 of them done already" in result.stderr) == bool(done)
        assert f"--precision {'bf16' if precision == 'bf16' else 'fp32'}" in (tmp_path / "tables.md").read_text().splitlines()[0]
        distances.append(_rows(tmp_path)["SDS"]["Frechet distance"])
    assert distances[0] == distances[3] != distances[1] == distances[2]


def test_a_prior_without_networks_refuses_another_precision(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for colour in ("red", "green"):
        Image.new("RGB", (64, 64), colour).save(pictures / f"{colour}.png")
        (pictures / f"{colour}.txt").write_text(f"a {colour} apple")
    result = _invoke("table1", "--prior", f"exemplar:{pictures}", "--precision", "bf16", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "in bf16" in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_ctrl_c_stops_after_the_cell_and_says_how_to_go_on(tmp_path, tiny_folder):
    command = [sys.executable, "-m", "backend.cli.main", "experiment", "table1", "--prior", str(tiny_folder), "--captions", "2"]
    command += ["--steps", "40", "--seeds", "1", "--methods", "sds,bridge,csd", "--out", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert "3 cells" in process.stderr.readline()
        process.stderr.readline()  # the first cell has begun
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=120)[1]
    assert process.returncode == 130, rest
    assert "Traceback" not in rest and "the same command goes on from there" in rest
    lines = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert 1 <= len(lines) < 3 and not any(line["failure"] for line in lines)
    assert list(_rows(tmp_path)) == ["SDS", "Bridge", "CSD"][: len(lines)]


def test_the_first_line_repeats_the_experiment(tmp_path, tiny_folder):
    spaced = write_tiny_folder(tmp_path / "a prior")
    result = _invoke("table1", "--prior", spaced, "--captions", 2, "--methods", "real, ddim", "--seeds", 1, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    command = (tmp_path / "out" / "tables.md").read_text().split("`")[1]
    words = shlex.split(command)
    assert words[:3] == ["sketchbridge", "experiment", "table1"] and words[words.index("--prior") + 1] == str(spaced)
    again = _invoke(*words[2:], "--out", tmp_path / "out")
    assert "2 cells, 2 of them done already" in again.stderr


def test_a_page_is_left_alone_where_nothing_came_of_a_run(tmp_path):
    """A prior without a denoiser to teach: the method that needs one fails, and says so; the others run."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for colour in ("red", "green"):
        Image.new("RGB", (64, 64), colour).save(pictures / f"{colour}.png")
        (pictures / f"{colour}.txt").write_text(f"a {colour} apple")
    page = tmp_path / "page.md"
    page.write_text("<!-- experiment table1 -->\nkept\n<!-- end -->\n")
    small = ["table1", "--prior", f"exemplar:{pictures}", "--captions", 2, "--steps", 2, "--seeds", 1, "--out", tmp_path / "out"]
    failed = _invoke(*small, "--methods", "vsd", "--write", page)
    said = " ".join(failed.stderr.split())
    assert failed.exit_code == 1 and "failed: VSD, seed 0: " in said and "left as it was" in said
    assert "kept" in page.read_text()
    mixed = _invoke(*small, "--methods", "real,vsd", "--write", page)
    assert mixed.exit_code == 0, mixed.output
    assert "kept" not in page.read_text() and "| real renders |" in page.read_text() and "Failed:" in page.read_text()
