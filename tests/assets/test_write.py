import errno
import os
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.assets import atomic
from backend.assets.atomic import write_bytes
from backend.assets.axes import from_gltf, to_gltf
from backend.assets.gltf import Gltf, split_glb
from backend.assets.read import read_mesh
from backend.assets.write import TexturedPart, encode_png, vertex_normals, write_glb, write_glb_parts, write_obj, write_ply, write_png
from backend.colour import srgb_to_linear
from backend.errors import ResourceError
from tests.assets.files import TRIPOD, TRIPOD_FACES

UV = np.array([[0.1, 0.2], [0.9, 0.2], [0.3, 0.8], [0.6, 0.6]], dtype=np.float32)


def letter_f(size: int = 64) -> np.ndarray:
    """A white F on dark ground: no turn or mirror maps it onto itself. Row 0 at the top."""
    picture = np.full((size, size, 3), 30, dtype=np.uint8)
    unit = size // 8
    picture[unit : 7 * unit, 2 * unit : 3 * unit] = 250
    picture[unit : 2 * unit, 2 * unit : 6 * unit] = 250
    picture[3 * unit : 4 * unit, 2 * unit : 5 * unit] = 250
    return picture


def opened(path: Path) -> Gltf:
    document, binary = split_glb(path.read_bytes(), path.name)
    return Gltf(document, binary, path.parent, path.name)


def test_the_axes_are_turned_and_turned_back():
    assert to_gltf(np.array([0.0, 0, 1])).tolist() == [0, 1, 0]  # our up is glTF's up
    assert to_gltf(np.array([0.0, -1, 0])).tolist() == [0, 0, 1]  # our front is glTF's front
    points = np.random.default_rng(0).standard_normal((5, 3))
    assert np.array_equal(from_gltf(to_gltf(points)), points)
    assert np.linalg.det(to_gltf(np.eye(3))) == pytest.approx(1)


def test_an_unsymmetric_shape_comes_back_as_it_was(tmp_path: Path):
    path = write_glb(tmp_path / "tripod.glb", TRIPOD, TRIPOD_FACES, UV, letter_f())
    mesh = read_mesh(path)
    np.testing.assert_allclose(mesh.vertices, TRIPOD, atol=1e-6)
    assert np.array_equal(mesh.faces, TRIPOD_FACES)
    assert mesh.uv is not None
    np.testing.assert_allclose(mesh.uv, UV[TRIPOD_FACES], atol=1e-6)
    assert mesh.texture is not None
    assert np.array_equal(mesh.texture, letter_f())
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).volume == pytest.approx(1)


def test_another_reader_sees_gltfs_axes_and_the_same_texels(tmp_path: Path):
    scene = trimesh.load_scene(write_glb(tmp_path / "tripod.glb", TRIPOD, TRIPOD_FACES, UV, letter_f(), name="tripod"))
    (mesh,) = scene.dump()
    assert mesh.vertices.max(0).tolist() == [3, 1, 0]  # +X stays, our +Z is +Y, our +Y is -Z
    assert mesh.vertices.min(0).tolist() == [0, 0, -2]
    np.testing.assert_allclose(mesh.visual.uv, UV, atol=1e-6)
    material = mesh.visual.material
    assert (material.metallicFactor, material.roughnessFactor) == (0, 0.8)
    assert np.array_equal(np.asarray(material.baseColorTexture), letter_f())


def test_the_files_own_uv_origin_is_at_the_top(tmp_path: Path):
    gltf = opened(write_glb(tmp_path / "a.glb", TRIPOD, TRIPOD_FACES, UV, letter_f()))
    attributes = gltf.items("meshes")[0]["primitives"][0]["attributes"]
    np.testing.assert_allclose(gltf.accessor(attributes["TEXCOORD_0"]), np.stack([UV[:, 0], 1 - UV[:, 1]], 1), atol=1e-6)
    assert set(attributes) == {"POSITION", "NORMAL", "TEXCOORD_0"}


def test_normals_are_turned_too(tmp_path: Path):
    normals = np.tile([0.0, 0.0, 1.0], (4, 1))
    gltf = opened(write_glb(tmp_path / "a.glb", TRIPOD, TRIPOD_FACES, UV, letter_f(), normals=normals))
    stored = gltf.accessor(gltf.items("meshes")[0]["primitives"][0]["attributes"]["NORMAL"])
    np.testing.assert_allclose(stored, np.tile([0.0, 1.0, 0.0], (4, 1)), atol=1e-6)


def test_a_normal_map_is_its_own_picture(tmp_path: Path):
    flat = np.tile(np.array([128, 128, 255], dtype=np.uint8), (8, 8, 1))
    gltf = opened(write_glb(tmp_path / "a.glb", TRIPOD, TRIPOD_FACES, UV, letter_f(), normal_map=flat, roughness=0.3))
    material = gltf.items("materials")[0]
    source = gltf.items("textures")[material["normalTexture"]["index"]]["source"]
    assert np.array_equal(np.asarray(gltf.image(source)), flat)
    assert material["pbrMetallicRoughness"]["roughnessFactor"] == pytest.approx(0.3)


def test_parts_keep_their_own_pictures(tmp_path: Path):
    black, white = (np.full((4, 4, 3), value, dtype=np.uint8) for value in (0, 255))
    parts = [TexturedPart(TRIPOD, TRIPOD_FACES, UV, black, name="kept"), TexturedPart(TRIPOD + 5, TRIPOD_FACES, UV, white, name="free")]
    mesh = read_mesh(write_glb_parts(tmp_path / "two.glb", parts))
    assert mesh.part_names == ["kept", "free"]
    assert mesh.colours is not None
    np.testing.assert_allclose(mesh.colours[:4], 0)
    np.testing.assert_allclose(mesh.colours[4:], 1)


def test_seams_do_not_show_in_the_normals():
    box = trimesh.creation.icosphere(2)
    split = box.vertices[box.faces.reshape(-1)]
    normals = vertex_normals(split, np.arange(len(split)).reshape(-1, 3))
    np.testing.assert_allclose(normals, vertex_normals(box.vertices, box.faces)[box.faces.reshape(-1)], atol=1e-6)
    assert (np.einsum("vi,vi->v", normals, split) > 0.99).all()
    assert vertex_normals(np.zeros((3, 3)), np.array([[0, 1, 2]])).tolist() == [[0, 0, 1]] * 3


@pytest.mark.parametrize("ending", ["obj", "ply"])
def test_bare_shapes_come_back(tmp_path: Path, ending: str):
    path = tmp_path / f"a.{ending}"
    (write_obj if ending == "obj" else write_ply)(path, TRIPOD / 3, TRIPOD_FACES)
    mesh = read_mesh(path)
    np.testing.assert_allclose(mesh.vertices, TRIPOD / 3, rtol=1e-6)
    assert np.array_equal(mesh.faces, TRIPOD_FACES)


def test_ply_colours_are_written_as_display_values(tmp_path: Path):
    colours = srgb_to_linear(np.array([[0, 1, 2], [50, 100, 150], [255, 254, 0], [7, 8, 9]]) / 255)
    mesh = read_mesh(write_ply(tmp_path / "a.ply", TRIPOD, TRIPOD_FACES, colours))
    np.testing.assert_allclose(mesh.colours, colours, atol=1e-6)


def test_pictures_keep_their_rows(tmp_path: Path):
    assert np.array_equal(np.asarray(Image.open(write_png(tmp_path / "f.png", letter_f()))), letter_f())
    with pytest.raises(ValueError, match="must be uint8"):
        encode_png(np.zeros((4, 4, 3)))


def test_shapes_that_do_not_fit_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"uv \[V,2\], got \(4, 3\), \(4, 3\), \(3, 2\)"):
        write_glb(tmp_path / "a.glb", TRIPOD, TRIPOD_FACES, UV[:3], letter_f())
    with pytest.raises(ValueError, match="picture must be uint8"):
        write_glb(tmp_path / "a.glb", TRIPOD, TRIPOD_FACES, UV, letter_f().astype(np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_bytes(tmp_path / "asset.glb", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(ResourceError, match=r"asset\.glb could not be written \(3 bytes\): No space left on device"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["asset.glb"]


def test_a_place_that_is_a_file_is_no_folder(tmp_path: Path):
    write_bytes(tmp_path / "file", b"x")
    with pytest.raises(ResourceError, match="could not be written"):
        write_bytes(tmp_path / "file" / "asset.glb", b"y")
    with pytest.raises(ResourceError, match="could not be written"):
        write_bytes(tmp_path, b"y")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_folders_are_made(tmp_path: Path):
    assert write_bytes(tmp_path / "a" / "b" / "c.png", b"x").read_bytes() == b"x"
