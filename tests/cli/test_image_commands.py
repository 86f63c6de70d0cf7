"""`sketchbridge refine` with the modes image and illusion, end to end on a tiny prior."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from backend.cli.main import app
from tests.priors.tiny import write_tiny_folder


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return write_tiny_folder(tmp_path_factory.mktemp("prior"))


def _refine(*arguments):
    return CliRunner().invoke(app, ["refine", *map(str, arguments), "--device", "cpu"])


def test_words_become_a_picture(prior, tmp_path):
    out = tmp_path / "out"
    result = _refine("--mode", "image", "--prompt", "a red mug", "--prior", prior, "--steps", 25, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert {event["event"] for event in events} == {"note", "preview", "progress", "result"}
    previews = [event["picture"] for event in events if event["event"] == "preview"]
    assert len(previews) == 2 and Image.open(previews[-1]).size == (16, 16)
    assert {path.name for path in out.iterdir()} == {"asset.glb", "picture.png", "previews", "report.json", "sheet.png"}
    told = json.loads((out / "report.json").read_text())
    assert told["ran"] == [["motif", "sds", 18], ["bridge", "bridge", 7]] and told["denoiser_rows"] == 2 * 2 * 25
    assert told["resolved"]["canvas"]["kind"] == "latent"

    again = _refine("--job", out / "report.json", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again" / "picture.png").read_bytes() == (out / "picture.png").read_bytes()


def test_a_painting_becomes_real(prior, tmp_path):
    painting = tmp_path / "painting.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(painting)
    result = _refine(
        painting, "--mode", "image", "--prompt", "a red mug", "--domain", "side", "--prior", prior, "--steps", 2, "--out", tmp_path / "out"
    )
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert told["ran"] == [["edit", "bridge", 2]] and told["job"]["domain"] == "side" and told["job"]["sketch"] == str(painting)
    assert any("50 x 40 px" in note for note in told["notes"])


def test_four_prompts_become_an_illusion(prior, tmp_path):
    prompts = [word for text in ("a red mug", "a blue mug", "a mug", "a red view") for word in ("--prompts", text)]
    result = _refine("--mode", "illusion", *prompts, "--canvas", "pixels", "--prior", prior, "--steps", 2, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = {"asset.glb", "sheet.png", "report.json", "previews", "base.png", "rotator.png", *(f"overlay_{k}.png" for k in range(4))}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--mode", "image"), "The prompt is empty"),
        (("--mode", "image", "--prompt", "a mug", "--canvas", "oils"), "'canvas.kind'"),
        (("--mode", "illusion", "--prompts", "a mug"), "needs 4 prompts"),
        (("--mode", "illusion", "--prompt", "a mug"), "needs 4 prompts"),
        (("--mode", "prompt", "--prompt", "a mug", "--canvas", "pixels"), "has no canvas"),
        (("gone.png", "--mode", "image", "--prompt", "a mug"), "There is no picture 'gone.png'"),
        ((__file__, "--mode", "image", "--prompt", "a mug"), "no picture that can be read"),
    ],
)
def test_mistakes_are_one_sentence(arguments, told, prior, tmp_path):
    result = _refine(*arguments, "--prior", prior, "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert told in result.stderr and len(result.stderr.splitlines()) == 1
