"""`sketchbridge evaluate` from the outside."""

import json

import numpy as np
import pytest
import trimesh
from PIL import Image
from typer.testing import CliRunner

from backend.assets.write import write_glb
from backend.cli.main import app
from backend.evaluate.judge import load_judge
from backend.evaluate.pictures import HELD_OUT_SEED, draw, labelled_pictures
from tests.priors.tiny import write_tiny_folder


def evaluate(*arguments: object):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A red ball, as a finished run leaves it."""
    folder = tmp_path_factory.mktemp("run")
    ball = trimesh.creation.icosphere(subdivisions=2)
    uv = np.full((len(ball.vertices), 2), 0.5, np.float32)
    write_glb(folder / "asset.glb", np.asarray(ball.vertices, np.float32), ball.faces, uv, np.full((4, 4, 3), (220, 20, 20), np.uint8))
    (folder / "report.json").write_text(json.dumps({"job": {"prompt": "a red apple", "mode": "sketch", "front_deg": 0.0}}))
    return folder


def test_a_run_is_judged_by_its_own_prompt(run_folder, tmp_path):
    result = evaluate(run_folder, "--json", "--views", 6, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["wanted"] == {"noun": "apple", "colour": "red", "pattern": None, "view": None}
    assert found["colour_share"] >= 0.8
    assert found["views"] == 6 and sum(found["said"]["noun"].values()) == 6
    assert json.loads((tmp_path / "verdict.json").read_text()) == found
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 6 * 64
    table = evaluate(run_folder / "asset.glb", "--prompt", "a blue apple", "--views", 6)
    assert table.exit_code == 0 and "'blue'" in table.stdout and "IQ, IV, IG" in table.stdout


def test_a_word_that_it_cannot_judge_is_said_and_left_out(run_folder):
    result = evaluate(run_folder, "--prompt", "a red dragon", "--views", 6, "--json")
    assert result.exit_code == 0
    assert "no word for 'dragon'" in " ".join(result.stderr.split())
    found = json.loads(result.stdout)
    assert found["noun_share"] is None and found["colour_share"] >= 0.8


def test_captioned_pictures(tmp_path):
    made = labelled_pictures(HELD_OUT_SEED + 300_000, 12)
    judge = load_judge()
    for i, pixels in enumerate(made.pixels):
        thing = draw(HELD_OUT_SEED + 300_000 + i)[0]
        Image.fromarray(pixels).save(tmp_path / f"{i:02}.png")
        (tmp_path / f"{i:02}.txt").write_text(f"a photo of a {thing.noun}")
    result = evaluate("--pictures", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["asked"] == {"noun": 12}
    assert found["accuracy"]["noun"] == pytest.approx(np.mean([row["noun_right"] for row in found["pictures"]]))
    assert found["accuracy"]["noun"] >= 0.6
    assert {row["noun"] for row in found["pictures"]} <= set(judge.nouns)


def test_one_captioned_picture_is_enough_to_judge(tmp_path):
    empty = evaluate("--pictures", tmp_path)
    assert empty.exit_code == 2 and "no PNG, JPEG or WebP picture. Add pictures with captions." in " ".join(empty.stderr.split())
    Image.fromarray(labelled_pictures(HELD_OUT_SEED + 300_000, 1).pixels[0]).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text(f"a {draw(HELD_OUT_SEED + 300_000)[0].noun}")
    one = evaluate("--pictures", tmp_path, "--json")
    assert one.exit_code == 0, one.output
    assert len(json.loads(one.stdout)["pictures"]) == 1


def test_a_priors_samples(tmp_path):
    write_tiny_folder(tmp_path / "prior")
    card = {"name": "tiny", "nouns": ["mug", "boat"], "colours": ["red", "green"], "guidance": 3.5}
    (tmp_path / "prior" / "sketchbridge.json").write_text(json.dumps(card))
    command = ["--prior", tmp_path / "prior", "--pairs", "all", "--samples", 2, "--steps", 2, "--json"]
    result = evaluate(*command, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["prior"], found["guidance"], found["steps"]) == ("tiny", 3.5, 2)
    assert [pair["caption"] for pair in found["pairs"]] == ["a red mug", "a green mug", "a red boat", "a green boat"]
    assert found["accuracy"]["noun"] == pytest.approx(np.mean([pair["noun"] for pair in found["pairs"]]))
    # Samples of random weights are farther from renders than renders are.
    assert found["frechet"] > found["frechet_of_renders"] > 0
    with Image.open(tmp_path / "out" / "sheet.png") as sheet:
        assert sheet.height > 4 * 16
    (tmp_path / "prior" / "sketchbridge.json").write_text(json.dumps(card | {"nouns": ["mug"], "colours": ["red"]}))
    lone = evaluate("--prior", tmp_path / "prior", "--pairs", "all", "--samples", 1)
    assert lone.exit_code == 2 and "--samples 2" in " ".join(lone.stderr.split())
    (tmp_path / "prior" / "sketchbridge.json").write_text(json.dumps(card))
    assert json.loads(evaluate(*command, "--seed", 0).stdout) == found
    assert json.loads(evaluate(*command, "--guidance", 1).stdout)["guidance"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "One thing to judge"),
        (["x.glb", "--prior", "starter"], "One thing to judge"),
        (["nowhere.glb", "--prompt", "a red mug"], "nowhere.glb"),
        (["--prior", "nowhere"], "nowhere"),
        (["--prior", "starter", "--pairs", "some"], "held-out or all"),
        (["--pictures", "nowhere"], "nowhere"),
        (["x.glb", "--clip", "nowhere"], "no CLIP model"),
    ],
)
def test_bad_input_is_one_sentence(arguments, told):
    result = evaluate(*arguments)
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1 and result.stderr.startswith("sketchbridge: ")
    assert told in result.stderr


def test_folders_that_are_no_finished_run(run_folder, tmp_path):
    assert "no report.json" in evaluate(tmp_path).stderr
    (tmp_path / "report.json").write_text("{")
    assert "not a report of a run" in evaluate(tmp_path).stderr
    (tmp_path / "report.json").write_text('{"job": {"prompt": "a mug", "mode": "sketch"}}')
    assert "no asset.glb" in evaluate(tmp_path).stderr
    (tmp_path / "report.json").write_text('{"job": {"prompt": "a mug", "mode": "image"}}')
    assert "made a picture" in evaluate(tmp_path).stderr
    assert "What the asset should be" in evaluate(run_folder / "asset.glb").stderr
