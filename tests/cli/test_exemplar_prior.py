"""`--prior exemplar:FOLDER` from the outside: twenty pictures in a folder are all that a run needs."""

import json

import numpy as np
import pytest
import trimesh
from PIL import Image
from typer.testing import CliRunner

from backend.assets.gltf import Gltf, split_glb
from backend.cli.main import app
from backend.views import view_words
from backend.zoo.catalogue import make_object
from backend.zoo.render import Shot, render


@pytest.fixture(scope="module")
def apples(tmp_path_factory):
    """Renders of red and of green apples from five sides, on white, with captions and views."""
    folder = tmp_path_factory.mktemp("pictures") / "apples"
    folder.mkdir()
    sides = [(0, 15), (90, 15), (180, 15), (270, 15), (0, 80)]
    taken = [(colour, *side) for colour in ("red", "green") for side in sides]
    things = [make_object(1, "apple", colour, "plain") for colour, _, _ in taken]
    pictures = render(things, [Shot(azimuth, elevation, ambient=0.6) for _, azimuth, elevation in taken], 64)
    lines = []
    for number, (picture, (colour, azimuth, elevation)) in enumerate(zip(pictures, taken, strict=True)):
        Image.fromarray((picture * 255 + 0.5).astype(np.uint8)).save(folder / f"{number}.png")
        line = {"file_name": f"{number}.png", "text": f"a {colour} apple", "view": view_words(azimuth, elevation)}
        lines.append(json.dumps(line) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def ball(tmp_path_factory):
    path = tmp_path_factory.mktemp("sketch") / "ball.ply"
    trimesh.creation.icosphere(subdivisions=2).export(path)
    return path


def _refine(sketch, prompt, folder, out, *more, code=0):
    common = ["--preset", "quick", "--faces", 500, "--texture", 64, "--device", "cpu", "--out", out]
    arguments = ["refine", sketch, "--prompt", prompt, "--prior", f"exemplar:{folder}", *common, *more]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def _mean_colour(out):
    """[3] display values of the asset's texture."""
    if (out / "texture.png").exists():
        picture = Image.open(out / "texture.png")
    else:
        picture = Gltf(*split_glb((out / "asset.glb").read_bytes(), "asset.glb"), None, "asset.glb").image(0)
    return np.asarray(picture.convert("RGB"), dtype=float).reshape(-1, 3).mean(0)


@pytest.mark.parametrize(("mode", "prompt", "unknown"), [("sketch", "a red apple", ""), ("texture", "a spotless green apple", "spotless")])
def test_a_few_steps_move_a_grey_ball_toward_the_pictures_that_the_prompt_means(tmp_path, apples, ball, mode, prompt, unknown):
    _refine(ball, prompt, apples, tmp_path, "--mode", mode, "--steps", 12)
    red, green, _ = _mean_colour(tmp_path)
    assert (red - green if "red" in prompt else green - red) > 15
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["prior"]["name"] == "apples" and len(report["prior"]["weights"]) == 64
    told = [note for note in report["notes"] if "does not know" in note]
    assert [note.partition(";")[0] for note in told] == ([f"The prior 'apples' does not know '{unknown}'"] if unknown else [])


def test_a_folder_without_pictures_is_one_sentence(tmp_path, ball):
    said = _refine(ball, "a red apple", tmp_path, tmp_path / "out", code=2).stderr
    assert "holds no PNG, JPEG or WebP picture" in said and said.count("\n") == 1
