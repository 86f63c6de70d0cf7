"""Small GLBs show the same surface and colours as the assets they are made of."""

import numpy as np
import pytest
import trimesh

from backend.assets.mesh import TriangleMesh
from backend.assets.read import read_mesh
from backend.errors import UserError
from backend.gallery.small_glb import encode_small, small_glb
from tests.gallery.folder import write_ball


def read_back(data, tmp_path):
    (tmp_path / "small.glb").write_bytes(data)
    return read_mesh(tmp_path / "small.glb")


def test_positions_uvs_and_texture_come_back(tmp_path):
    full = read_mesh(write_ball(tmp_path / "ball.glb", (200, 30, 30), subdivisions=3))
    data = small_glb(tmp_path / "ball.glb", texture_px=32)
    small = read_back(data, tmp_path)
    corners = full.vertices[full.faces]
    assert np.abs(small.vertices[small.faces] - corners).max() < np.ptp(full.vertices, axis=0).max() / 65535
    assert np.abs(small.uv - full.uv).max() < 1e-4
    assert small.texture.shape == (32, 32, 3)
    assert np.abs(small.texture[16].mean(0) - full.texture[32].mean(0)).max() < 6
    assert len(data) < 0.6 * (tmp_path / "ball.glb").stat().st_size


def test_normals_point_outwards(tmp_path):
    write_ball(tmp_path / "ball.glb", (200, 30, 30))
    (tmp_path / "small.glb").write_bytes(small_glb(tmp_path / "ball.glb"))
    mesh = next(iter(trimesh.load(tmp_path / "small.glb", process=False).geometry.values()))
    outward = mesh.vertices - mesh.vertices.mean(0)
    assert (np.einsum("ij,ij->i", outward / np.linalg.norm(outward, axis=1)[:, None], mesh.vertex_normals) > 0.97).all()


def test_too_many_faces_are_decimated_and_keep_their_colours(tmp_path):
    write_ball(tmp_path / "ball.glb", (200, 30, 30), subdivisions=4)
    small = read_back(small_glb(tmp_path / "ball.glb", most_faces=600), tmp_path)
    assert 300 < len(small.faces) <= 620
    above = small.vertices[:, 2] > 1.2
    below = small.vertices[:, 2] < 0.8
    assert np.abs(np.linalg.norm(small.vertices - [3, -2, 1], axis=1) - 0.4).max() < 0.03
    assert (small.colours[above, 0] > 2 * small.colours[below, 0].max()).all() and (small.colours[:, 0] > 5 * small.colours[:, 2]).all()


def test_a_bare_mesh_is_shown_in_clay(tmp_path):
    box = trimesh.creation.box()
    small = read_back(encode_small(TriangleMesh(box.vertices.astype(np.float32), box.faces.astype(np.int64))), tmp_path)
    assert len(small.faces) == 12 and np.ptp(small.colours) < 1e-4


@pytest.mark.parametrize("data", [b"", b"glTF", b"\0" * 400])
def test_a_damaged_asset_is_one_sentence(tmp_path, data):
    (tmp_path / "asset.glb").write_bytes(data)
    with pytest.raises(UserError, match=r"asset\.glb"):
        small_glb(tmp_path / "asset.glb")


def test_a_truncated_asset_is_one_sentence(tmp_path):
    path = write_ball(tmp_path / "asset.glb", (1, 2, 3))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match="cut off"):
        small_glb(path)
