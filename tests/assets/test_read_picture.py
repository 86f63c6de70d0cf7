"""Pictures from files: what a viewer shows is what is read; everything else is one sentence."""

import numpy as np
import pytest
from PIL import Image

from backend.assets.read_picture import read_picture
from backend.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=np.uint8)


def test_png_and_jpeg(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    assert np.array_equal(read_picture(tmp_path / "a.png"), PIXELS)
    smooth = np.full((16, 16, 3), (200, 90, 30), np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_picture(tmp_path / "a.jpg").astype(int) - smooth).max() <= 4


def test_exif_turns_it_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by a quarter
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "a.png"), np.rot90(PIXELS, -1))


def test_transparent_parts_are_white(tmp_path):
    clear = np.dstack([PIXELS, np.zeros((10, 14), np.uint8)])
    clear[:, 7:, 3] = 255
    Image.fromarray(clear).save(tmp_path / "a.png")
    read = read_picture(tmp_path / "a.png")
    assert (read[:, :7] == 255).all() and np.array_equal(read[:, 7:], PIXELS[:, 7:])
    Image.fromarray(PIXELS[..., 0]).convert("P").save(tmp_path / "b.png", transparency=0)
    assert read_picture(tmp_path / "b.png").shape == (10, 14, 3)


def test_deep_greys_are_scaled(tmp_path):
    Image.fromarray(np.full((9, 9), 32768, np.uint16)).save(tmp_path / "a.png")
    assert set(read_picture(tmp_path / "a.png").ravel().tolist()) <= {127, 128}


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("gone.png", None, "There is no picture"),
        ("mesh.png", b"ply\nformat ascii 1.0\n", "no picture that can be read"),
        ("empty.jpg", b"", "no picture that can be read"),
        ("cut.png", "cut", "no picture that can be read"),
        ("small.png", "small", "has 3 x 3 px"),
        ("other.bmp", "bmp", "no picture that can be read"),
    ],
)
def test_mistakes_are_one_sentence(name, data, told, tmp_path):
    path = tmp_path / name
    if data == "cut":
        Image.fromarray(PIXELS).save(path)
        path.write_bytes(path.read_bytes()[:120])
    elif data == "small":
        Image.new("RGB", (3, 3)).save(path)
    elif data == "bmp":
        Image.fromarray(PIXELS).save(path)
    elif data is not None:
        path.write_bytes(data)
    with pytest.raises(UserError) as error:
        read_picture(path)
    assert told in str(error.value) and error.value.hint and "\n" not in str(error.value)


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(UserError, match="no picture"):
        read_picture(tmp_path)
