"""Pictures through a worker's engine: a painting comes as an array, and what comes back is a plane that every client can show."""

import msgspec
import numpy as np
import pytest
from PIL import Image

from backend.errors import UserError
from backend.refine.run import refine
from backend.serve.inputs import read_inputs
from backend.serve.results import write_results
from protocol.job import RefineJob, Stage
from tests.serve_worker.broker import stored

PAINTING = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


@pytest.fixture
def picture_job(prior_folder):
    stages = (Stage(name="edit", method="bridge", steps=2, views=2),)
    return RefineJob(prompt="a red mug", mode="image", prior=str(prior_folder), stages=stages, device="cpu")


def test_a_painting_comes_as_an_array_and_words_alone_as_nothing(picture_job, tmp_path):
    inputs = read_inputs(stored(picture_job, tmp_path / "a", {"picture": PAINTING}))
    assert np.array_equal(inputs.picture, PAINTING) and inputs.picture.flags.writeable
    assert read_inputs(stored(picture_job, tmp_path / "b", {})).picture is None


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (PAINTING.astype(np.float32), "is float32"),
        (PAINTING[..., :2], r"\[12, 20, 2\]"),
        (PAINTING[..., 0], r"\[12, 20\]"),
        (PAINTING[:, :4], "4 x 12 px"),
    ],
)
def test_other_arrays_are_one_sentence(picture_job, pixels, told, tmp_path):
    with pytest.raises(UserError, match=told):
        read_inputs(stored(picture_job, tmp_path, {"picture": np.ascontiguousarray(pixels)}))


@pytest.mark.parametrize("mode", ["image", "illusion"])
def test_what_a_client_pulls(mode, picture_job, tmp_path):
    inputs = read_inputs(stored(picture_job, tmp_path / "in", {"picture": PAINTING}))
    job = picture_job
    if mode == "illusion":
        job = msgspec.structs.replace(job, mode=mode, prompts=("a red mug", "a blue mug", "a mug", "a view"))
        inputs.picture = None
    artefacts = {each.name: each for each in write_results(refine(job, inputs, out=tmp_path / "out"), tmp_path / "out")}
    of_all = {"vertices", "faces", "loop_uv", "base_colour.png", "asset.glb", "sheet.png", "report.json"}
    pictures = {"picture.png"} if mode == "image" else {"base.png", "rotator.png", *(f"overlay_{k}.png" for k in range(4))}
    assert set(artefacts) == of_all | pictures
    assert artefacts["vertices"].shape == (4, 3) and artefacts["faces"].shape == (2, 3) and artefacts["loop_uv"].shape == (6, 2)
    assert Image.open(tmp_path / "out" / "result" / "base_colour.png").size == ((16, 16) if mode == "image" else (64, 32))
