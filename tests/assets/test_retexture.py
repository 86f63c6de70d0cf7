import re
from pathlib import Path

import numpy as np
import pytest
import trimesh

from backend.assets.gltf import Gltf, split_glb
from backend.assets.polygons import read_polygons
from backend.assets.read import read_mesh
from backend.assets.retexture import retexture_glb, retexture_obj
from backend.errors import UserError
from tests.assets.files import TRIPOD, TRIPOD_FACES, glb, save, triangle_glb

PICTURE = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
UV = np.array([[0.1, 0.2], [0.9, 0.2], [0.3, 0.8], [0.6, 0.6]], dtype=np.float32)
OBJ = (
    "# made by hand\r\nmtllib old.mtl\r\no thing\r\n"
    "v 0 0 0\r\nv 1.50 0 0\r\nv 1 1e0 0\r\nv 0 1 0\r\nvt 0 0\r\nvt 1 0\r\nvt 1 1\r\nvt 0 1\r\n"
    "usemtl brick\r\ns off\r\nf 1/1 2/2 3/3 4/4\r\nusemtl glass\r\nf 1/1 2/2 3/3\r\n"
)


def two_materials() -> bytes:
    """Two primitives with their own materials, one tinted by vertex colours and turned off from light; two UV maps."""
    shared = {"POSITION": TRIPOD, "TEXCOORD_0": UV, "TEXCOORD_1": UV / 2, "indices": TRIPOD_FACES.ravel().astype(np.uint16)}
    tint = np.full((4, 3), 0.5, dtype=np.float32)
    materials = [
        {"name": "skin", "pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1], "roughnessFactor": 0.25}, "doubleSided": True},
        {"name": "lamp", "extensions": {"KHR_materials_unlit": {}}},
    ]
    return glb([shared | {"material": 0}, shared | {"material": 1, "COLOR_0": tint}, shared], extra={"materials": materials})


def opened(data: bytes) -> Gltf:
    document, binary = split_glb(data, "test")
    return Gltf(document, binary, None, "test")


def test_vertices_polygons_and_all_maps_keep_every_byte(tmp_path: Path):
    before = two_materials()
    after = retexture_glb(before, PICTURE)
    old, new = opened(before), opened(after)
    assert new.binary[: len(old.binary)] == old.binary
    assert new.document["accessors"] == old.document["accessors"]
    assert new.document["bufferViews"][: len(old.document["bufferViews"])] == old.document["bufferViews"]
    for was, now in zip(old.items("meshes"), new.items("meshes"), strict=True):
        for first, second in zip(was["primitives"], now["primitives"], strict=True):
            assert first.get("indices") == second.get("indices")
            kept = {key: value for key, value in first["attributes"].items() if key != "COLOR_0"}
            assert kept.items() <= second["attributes"].items()
    first, second = read_polygons(save(tmp_path, "a.glb", before)), read_polygons(save(tmp_path, "b.glb", after))
    assert np.array_equal(first.vertices, second.vertices)
    assert np.array_equal(first.loop_vertex, second.loop_vertex)
    assert all(np.array_equal(first.uv_maps[name], second.uv_maps[name]) for name in first.uv_maps)


def test_every_surface_shows_the_new_picture_alone(tmp_path: Path):
    path = save(tmp_path, "new.glb", retexture_glb(two_materials(), PICTURE))
    mesh = read_mesh(path)
    assert mesh.texture is not None
    assert np.array_equal(mesh.texture, PICTURE)
    gltf = opened(path.read_bytes())
    for entry in gltf.items("meshes"):
        (primitive,) = entry["primitives"]
        material = gltf.items("materials")[primitive["material"]]
        assert "baseColorFactor" not in material["pbrMetallicRoughness"]
        assert "extensions" not in material
        assert "COLOR_0" not in primitive["attributes"]
    names = [gltf.items("materials")[entry["primitives"][0]["material"]]["name"] for entry in gltf.items("meshes")]
    assert names[:2] == ["skin", "lamp"]
    skin = gltf.items("materials")[gltf.items("meshes")[0]["primitives"][0]["material"]]
    assert skin["doubleSided"]
    assert skin["pbrMetallicRoughness"]["roughnessFactor"] == 0.25
    (geometry, *_) = trimesh.load_scene(path).geometry.values()
    assert np.array_equal(np.asarray(geometry.visual.material.baseColorTexture.convert("RGB")), PICTURE)


def test_the_second_map_can_be_painted(tmp_path: Path):
    data = retexture_glb(two_materials(), PICTURE, uv_map="TEXCOORD_1")
    assert read_polygons(save(tmp_path, "a.glb", data)).active_uv == "TEXCOORD_1"


def test_doing_it_twice_leaves_the_last_picture(tmp_path: Path):
    twice = retexture_glb(retexture_glb(two_materials(), PICTURE), PICTURE[::-1])
    texture = read_mesh(save(tmp_path, "a.glb", twice)).texture
    assert texture is not None
    assert np.array_equal(texture, PICTURE[::-1])


@pytest.mark.parametrize(
    ("data", "map_name", "says"),
    [
        (triangle_glb(), "TEXCOORD_0", "1 surfaces without the UV map TEXCOORD_0"),
        (two_materials(), "TEXCOORD_7", "3 surfaces without the UV map TEXCOORD_7"),
        (two_materials(), "UVMap", "is not a UV map of a GLB"),
        (glb([]), "TEXCOORD_0", "holds no surface"),
        (b"nonsense nonsense nonsense", "TEXCOORD_0", "is not a GLB 2.0 file"),
    ],
)
def test_what_cannot_be_painted_is_said(data: bytes, map_name: str, says: str):
    with pytest.raises(UserError, match=re.escape(says)):
        retexture_glb(data, PICTURE, "vase.glb", uv_map=map_name)


def test_an_obj_keeps_every_other_line(tmp_path: Path):
    result = retexture_obj(OBJ.encode(), PICTURE, "vase")
    others = [line for line in result.obj.decode().splitlines(keepends=True) if not line.startswith(("mtllib", "usemtl"))]
    assert others == [line for line in OBJ.splitlines(keepends=True) if not line.startswith(("mtllib", "usemtl"))]
    assert result.obj.count(b"mtllib") == result.obj.count(b"usemtl") == 1
    for name, data in (("vase.obj", result.obj), (result.mtl_name, result.mtl), (result.png_name, result.png)):
        save(tmp_path, name, data)
    mesh = read_mesh(tmp_path / "vase.obj")
    assert mesh.texture is not None
    assert np.array_equal(mesh.texture, PICTURE)
    loaded = trimesh.load_scene(tmp_path / "vase.obj")
    (geometry,) = loaded.geometry.values()
    assert np.array_equal(np.asarray(geometry.visual.material.image.convert("RGB")), PICTURE)


def test_an_obj_without_coordinates_or_with_a_bad_name_is_refused():
    with pytest.raises(UserError, match="no UV coordinates"):
        retexture_obj(b"v 0 0 0\n", PICTURE, "vase")
    with pytest.raises(UserError, match="without spaces"):
        retexture_obj(OBJ.encode(), PICTURE, "my vase")
    assert retexture_obj(OBJ.encode(), PICTURE, "../../etc/vase").mtl_name == "vase.mtl"
