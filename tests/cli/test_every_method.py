"""Every gradient from the command line with the shipped prior: it says first how long a run takes, and it paints toward the prompt."""

import json

import numpy as np
import pytest
import trimesh
from PIL import Image
from typer.testing import CliRunner

from backend.cli.main import app
from backend.distill.parameters import PARAMETERS

STEPS = 20


@pytest.fixture(scope="module")
def grey_ball(tmp_path_factory):
    path = tmp_path_factory.mktemp("sketch") / "ball.glb"
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    ball.export(path)
    return path


def refined(out, ball, *arguments):
    fixed = ("--prompt", "a red apple", "--no-warm-start", "--texture", "64", "--faces", "500", "--json", "--out", str(out))
    result = CliRunner().invoke(app, ["refine", str(ball), *fixed, *arguments])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def redness(out):
    """Mean over the texture of red less the mean of green and blue, in display values 0..255."""
    picture = out / "texture.png"  # beside an OBJ; a GLB holds its own
    if picture.exists():
        colours = np.asarray(Image.open(picture).convert("RGB"))
    else:
        (mesh,) = trimesh.load(out / "asset.glb").geometry.values()
        colours = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    mean = colours.reshape(-1, 3).astype(float).mean(0)
    return mean[0] - mean[1:].mean()


@pytest.mark.long
@pytest.mark.parametrize("mode", ["sketch", "texture"])
@pytest.mark.parametrize("method", PARAMETERS)
def test_twenty_steps_paint_toward_red(method, mode, grey_ball, tmp_path):
    refined(tmp_path / "start", grey_ball, "--mode", mode, "--steps", "0")
    events = refined(tmp_path / "asset", grey_ball, "--mode", mode, "--method", method, "--steps", str(STEPS))
    kinds = [event["event"] for event in events]
    said = next(k for k, event in enumerate(events) if event["event"] == "note" and "will take about" in event["text"])
    assert f"These {STEPS} steps" in events[said]["text"]
    assert said < next(k for k, event in enumerate(events) if event["event"] == "progress" and event["step"] > 0), kinds
    assert redness(tmp_path / "asset") > redness(tmp_path / "start") + 1.0
    report = json.loads((tmp_path / "asset" / "report.json").read_text())
    assert {name for _, name, steps in report["ran"] if steps} >= {method}
