import base64
from pathlib import Path

import numpy as np
import pytest
import trimesh

from backend.assets.polygons import read_polygons
from backend.assets.triangulate import triangulate
from backend.assets.write import encode_png
from backend.errors import UserError
from tests.assets.files import TRIPOD, glb, save


def test_an_obj_keeps_its_polygons_and_its_map(tmp_path: Path):
    text = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0 0 1\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3 4/4\nf 1/1 2/2 5/4\n"
    mesh = read_polygons(save(tmp_path, "a.obj", text))
    assert mesh.loop_vertex.tolist() == [0, 1, 2, 3, 0, 1, 4]
    assert mesh.polygon_start.tolist() == [0, 4]
    assert mesh.active_uv == "UVMap"
    assert mesh.uv_maps["UVMap"].tolist() == [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0], [1, 0], [0, 1]]
    assert triangulate(mesh).polygon.tolist() == [0, 0, 1]


def test_an_obj_whose_corners_lack_coordinates_has_no_map(tmp_path: Path):
    mesh = read_polygons(save(tmp_path, "a.obj", "v 0 0 0\nv 1 0 0\nv 1 1 0\nvt 0 0\nf 1/1 2/1 3\n"))
    assert mesh.uv_maps == {}
    assert mesh.active_uv == ""


def two_maps(texture_coordinate: int | None) -> bytes:
    first = np.array([[0, 0], [1, 0], [0, 1]], dtype=np.float32)
    primitive = {"POSITION": TRIPOD[:3], "TEXCOORD_0": first, "TEXCOORD_1": first / 2, "indices": np.array([0, 1, 2], dtype=np.uint8)}
    if texture_coordinate is None:
        return glb([primitive])
    base = {"baseColorTexture": {"index": 0, "texCoord": texture_coordinate}}
    picture = {"uri": "data:image/png;base64," + base64.b64encode(encode_png(np.zeros((1, 1, 3), dtype=np.uint8))).decode()}
    extra = {"materials": [{"pbrMetallicRoughness": base}], "textures": [{"source": 0}], "images": [picture]}
    return glb([primitive | {"material": 0}], extra=extra)


@pytest.mark.parametrize(("coordinate", "active"), [(None, "TEXCOORD_0"), (0, "TEXCOORD_0"), (1, "TEXCOORD_1")])
def test_a_glb_has_all_its_maps_and_the_painted_one_is_active(tmp_path: Path, coordinate: int | None, active: str):
    mesh = read_polygons(save(tmp_path, "a.glb", two_maps(coordinate)))
    assert list(mesh.uv_maps) == ["TEXCOORD_0", "TEXCOORD_1"]
    assert mesh.active_uv == active
    assert mesh.uv_maps["TEXCOORD_0"].tolist() == [[0, 1], [1, 1], [0, 0]]  # origin at the bottom
    assert mesh.uv_maps["TEXCOORD_1"].tolist() == [[0, 1], [0.5, 1], [0, 0.5]]


def test_maps_that_not_all_parts_have_are_left_out(tmp_path: Path):
    uv, index = np.zeros((3, 2), dtype=np.float32), np.array([0, 1, 2], dtype=np.uint8)
    data = glb([{"POSITION": TRIPOD[:3], "TEXCOORD_0": uv, "indices": index}, {"POSITION": TRIPOD[:3], "indices": index}])
    mesh = read_polygons(save(tmp_path, "a.glb", data))
    assert mesh.uv_maps == {}
    assert mesh.loop_vertex.tolist() == [0, 1, 2, 3, 4, 5]


def test_other_files_give_triangles(tmp_path: Path):
    path = tmp_path / "a.stl"
    trimesh.creation.box().export(path)
    assert len(read_polygons(path).polygon_start) == 12


def test_coordinates_that_are_not_numbers_are_refused(tmp_path: Path):
    text = "v 0 0 0\nv 1 0 0\nv 1 1 0\nvt nan 0\nf 1/1 2/1 3/1\n"
    with pytest.raises(UserError, match="UV coordinates in UVMap that are not numbers"):
        read_polygons(save(tmp_path, "a.obj", text))


@pytest.mark.parametrize("content", ["", "v 0 0 0\n", "v 0 0 0\nv 0 0 0\nv 0 0 0\nf 1 2 3\n", "v 0 0 0\nf 1 2 3\n"])
def test_bad_files_get_a_sentence(tmp_path: Path, content: str):
    with pytest.raises(UserError) as caught:
        read_polygons(save(tmp_path, "a.obj", content))
    assert "\n" not in str(caught.value)
