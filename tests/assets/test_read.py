import contextlib
import copy
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.assets import check
from backend.assets.gltf import join_glb, split_glb
from backend.assets.read import read_mesh
from backend.assets.write import encode_png
from backend.colour import srgb_to_linear
from backend.errors import UserError
from tests.assets.files import TRIPOD, TRIPOD_FACES, glb, save, triangle_glb

SQUARE_OBJ = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n"


def test_gltf_is_turned_so_that_its_up_is_ours(tmp_path: Path):
    up = np.array([[0, 0, 0], [1, 0, 0], [0, 5, 0]], dtype=np.float32)  # a tip 5 above the ground in glTF
    mesh = read_mesh(save(tmp_path, "up.glb", triangle_glb(POSITION=up)))
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 5]]
    front = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 5]], dtype=np.float32)  # +Z looks at the viewer in glTF
    assert read_mesh(save(tmp_path, "front.glb", triangle_glb(POSITION=front))).vertices[2].tolist() == [0, -5, 0]


@pytest.mark.parametrize("ending", ["obj", "ply", "stl"])
def test_other_formats_are_read_as_they_are_or_turned_when_told(tmp_path: Path, ending: str):
    path = tmp_path / f"tripod.{ending}"
    trimesh.Trimesh(TRIPOD, TRIPOD_FACES, process=False).export(path)
    mesh = read_mesh(path)
    assert mesh.vertices.max(0).tolist() == [3, 2, 1]
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).volume == pytest.approx(1)
    turned = read_mesh(path, y_up=True)
    assert turned.vertices.max(0).tolist() == [3, 0, 2]
    assert turned.vertices.min(0).tolist() == [0, -1, 0]
    assert trimesh.Trimesh(turned.vertices, turned.faces).volume == pytest.approx(1)


def test_nodes_are_placed_named_and_mirrored_ones_keep_their_outside(tmp_path: Path):
    positions = TRIPOD
    nodes = [
        {"name": "stem", "mesh": 0, "children": [1]},
        {"name": "petals", "mesh": 0, "translation": [0, 10, 0], "scale": [-2, 2, 2]},
        {"name": "turned", "mesh": 0, "rotation": [0, np.sqrt(0.5), 0, np.sqrt(0.5)], "translation": [0, 20, 0]},
    ]
    index = TRIPOD_FACES.ravel().astype(np.uint8)
    data = glb([{"POSITION": positions, "indices": index}], nodes=nodes, extra={"scenes": [{"nodes": [0, 2]}]})
    mesh = read_mesh(save(tmp_path, "flower.glb", data))
    assert mesh.part_names == ["stem", "petals", "turned"]
    assert mesh.part is not None
    assert np.bincount(mesh.part).tolist() == [4, 4, 4]
    volumes = [trimesh.Trimesh(mesh.vertices, mesh.faces[mesh.part == k]).volume for k in range(3)]
    np.testing.assert_allclose(volumes, [1, 8, 1], rtol=1e-5)
    np.testing.assert_allclose(mesh.vertices[5], [-6, 0, 10], atol=1e-5)  # glTF (3,0,0) -> (-6, 10, 0)
    np.testing.assert_allclose(mesh.vertices[9], [0, 3, 20], atol=1e-5)  # a quarter turn about glTF's y: x -> -z, our +y


def test_node_matrices_are_stored_by_columns(tmp_path: Path):
    matrix = np.eye(4)
    matrix[:3, 3] = [1, 2, 3]
    data = glb([{"POSITION": TRIPOD}], nodes=[{"mesh": 0, "matrix": matrix.T.ravel().tolist()}])
    path = save(tmp_path, "placed.glb", data.replace(b'"indices"', b'"INDICES"'))
    positions = read_mesh(path).vertices
    np.testing.assert_allclose(positions[0], [1, -3, 2])


def test_gltf_colours_are_linear_and_the_factor_multiplies(tmp_path: Path):
    colours = np.array([[1, 0.5, 0.25], [0, 0, 0], [0.5, 0.5, 0.5]], dtype=np.float32)
    factor = [0.5, 1.0, 0.5, 1.0]
    data = glb(
        [{"POSITION": TRIPOD[:3], "COLOR_0": colours, "indices": np.array([0, 1, 2], dtype=np.uint8), "material": 0}],
        extra={"materials": [{"pbrMetallicRoughness": {"baseColorFactor": factor}}]},
    )
    mesh = read_mesh(save(tmp_path, "colours.glb", data))
    np.testing.assert_allclose(mesh.colours, colours * factor[:3])


def test_integer_colours_are_normalised(tmp_path: Path):
    colours = np.array([[255, 0, 0, 255], [0, 51, 0, 255], [0, 0, 102, 255]], dtype=np.uint8)
    mesh = read_mesh(save(tmp_path, "bytes.glb", triangle_glb(COLOR_0=colours)))
    np.testing.assert_allclose(mesh.colours, [[1, 0, 0], [0, 0.2, 0], [0, 0, 0.4]], atol=1e-6)


def test_pictures_give_start_colours_and_the_texture(tmp_path: Path):
    picture = np.zeros((2, 2, 3), dtype=np.uint8)
    picture[0, 0], picture[0, 1], picture[1, 0] = (200, 0, 0), (0, 200, 0), (0, 0, 200)  # row 0 is the top
    (tmp_path / "paint.png").write_bytes(encode_png(picture))
    uv = np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9]], dtype=np.float32)  # glTF: origin at the top
    extra = {
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "textures": [{"source": 0}],
        "images": [{"uri": "paint.png"}],
    }
    data = glb([{"POSITION": TRIPOD[:3], "TEXCOORD_0": uv, "indices": np.array([0, 1, 2], dtype=np.uint8), "material": 0}], extra=extra)
    mesh = read_mesh(save(tmp_path, "painted.glb", data))
    lit = srgb_to_linear(np.array([200 / 255]))[0]
    np.testing.assert_allclose(mesh.colours, np.eye(3) * lit, atol=1e-5)
    assert mesh.texture is not None
    assert np.array_equal(mesh.texture, picture)
    assert mesh.uv is not None
    np.testing.assert_allclose(mesh.uv[0], [[0.1, 0.9], [0.9, 0.9], [0.1, 0.1]], atol=1e-6)  # ours: origin at the bottom


def test_colours_that_nothing_says_are_unknown(tmp_path: Path):
    colours = np.full((3, 3), 0.5, dtype=np.float32)
    index = np.array([0, 1, 2], dtype=np.uint8)
    data = glb([{"POSITION": TRIPOD[:3], "indices": index}, {"POSITION": TRIPOD[:3], "COLOR_0": colours, "indices": index}])
    mesh = read_mesh(save(tmp_path, "half.glb", data))
    assert mesh.colours is not None
    assert np.isnan(mesh.colours[:3]).all()
    assert (mesh.colours[3:] == 0.5).all()
    assert read_mesh(save(tmp_path, "none.glb", triangle_glb())).colours is None


def test_own_attributes_are_kept(tmp_path: Path):
    keep = np.array([0, 0.5, 1], dtype=np.float32)
    mesh = read_mesh(save(tmp_path, "keep.glb", triangle_glb(_KEEP=keep)))
    assert mesh.scalars["_KEEP"].tolist() == [0, 0.5, 1]
    scan = trimesh.Trimesh(TRIPOD[:3], [[0, 1, 2]], vertex_normals=np.eye(3), process=False)
    scan.vertex_attributes["keep"] = keep
    scan.export(tmp_path / "keep.ply")
    assert {name: values.tolist() for name, values in read_mesh(tmp_path / "keep.ply").scalars.items()} == {"keep": [0, 0.5, 1]}


def test_display_colours_of_ply_and_obj_become_linear(tmp_path: Path):
    shown = np.array([[255, 0, 0], [0, 128, 0], [0, 0, 64]], dtype=np.uint8)
    path = tmp_path / "scan.ply"
    trimesh.Trimesh(TRIPOD[:3], [[0, 1, 2]], vertex_colors=shown, process=False).export(path)
    expected = srgb_to_linear(shown / 255)
    np.testing.assert_allclose(read_mesh(path).colours, expected, atol=1e-6)
    rows = "".join(f"v {x} {y} {z} {r / 255} {g / 255} {b / 255}\n" for (x, y, z), (r, g, b) in zip(TRIPOD[:3], shown, strict=True))
    np.testing.assert_allclose(read_mesh(save(tmp_path, "scan.obj", rows + "f 1 2 3\n")).colours, expected, atol=1e-5)


def test_obj_objects_materials_and_pictures(tmp_path: Path):
    Image.fromarray(np.full((4, 4, 3), 128, dtype=np.uint8)).save(tmp_path / "grey.png")
    save(tmp_path, "paint.mtl", "newmtl red\nKd 1 0.25 0\nnewmtl grey\nKd 1 1 1\nmap_Kd grey.png\n")
    text = (
        "mtllib paint.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 0 1\nv 1 0 1\nv 1 1 1\nv 5 5 5\nv 5 6 5\nv 6 6 5\nvt 0.5 0.5\n"
        "o base\nusemtl red\nf 1/1 2/1 3/1\no top\nusemtl grey\nf 4/1 5/1 6/1\nusemtl lost\nf -3/1 -2/1 -1/1\n"
    )
    mesh = read_mesh(save(tmp_path, "two.obj", text))
    assert mesh.part_names == ["base", "top"]
    assert mesh.part is not None
    assert mesh.part.tolist() == [0, 1, 1]
    assert mesh.colours is not None
    np.testing.assert_allclose(mesh.colours[0], [1, 0.25, 0])
    np.testing.assert_allclose(mesh.colours[3], srgb_to_linear(np.full(3, 128 / 255)), atol=1e-6)
    assert np.isnan(mesh.colours[6:]).all()
    assert mesh.faces[2].tolist() == [6, 7, 8]  # negative indices count from the end


def test_a_single_material_with_a_picture_is_a_texture(tmp_path: Path):
    Image.fromarray(np.full((4, 4, 3), 77, dtype=np.uint8)).save(tmp_path / "p.png")
    save(tmp_path, "p.mtl", "newmtl m\nmap_Kd p.png\n")
    text = "mtllib p.mtl\nvt 0 0\nvt 1 0\nvt 1 1\n" + SQUARE_OBJ.replace("f 1 2 3 4", "usemtl m\nf 1/1 2/2 3/3")
    mesh = read_mesh(save(tmp_path, "p.obj", text))
    assert mesh.texture is not None
    assert mesh.uv is not None
    assert mesh.uv[0].tolist() == [[0, 0], [1, 0], [1, 1]]


def test_polygons_are_cut_even_concave_ones(tmp_path: Path):
    arrow = "v 0 0 0\nv 2 0 0\nv 2 2 0\nv 1 0.5 0\nv 0 2 0\nf 1 2 3 4 5\n"
    mesh = read_mesh(save(tmp_path, "arrow.obj", arrow))
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).area == pytest.approx(4 - 1.5)


def test_a_gltf_beside_its_buffer(tmp_path: Path):
    data = triangle_glb()
    document, binary = split_glb(data, "shape")
    document["buffers"][0]["uri"] = "shape.bin"
    save(tmp_path, "shape.bin", binary)
    assert len(read_mesh(save(tmp_path, "shape.gltf", json.dumps(document))).faces) == 1


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Name -> a file that cannot be used and what the sentence must say."""
    whole = triangle_glb()
    document, binary = split_glb(whole, "whole")
    away = document | {"buffers": [{"byteLength": 48, "uri": "../secret.bin"}]}
    save(folder.parent, "secret.bin", b"\0" * 48)
    lost = document | {"buffers": [{"byteLength": 48, "uri": "lost.bin"}]}
    nan = TRIPOD[:3].copy()
    nan[1, 1] = np.nan
    binary_stl = b"\0" * 80 + struct.pack("<I", 3_000_000) + b"\0" * 100
    big_ply = b"ply\nformat binary_little_endian 1.0\nelement vertex 9\nelement face 3000000\nproperty list uchar int v\nend_header\n"
    promises, reaches = copy.deepcopy(document), copy.deepcopy(document)
    next(a for a in promises["accessors"] if a["type"] == "SCALAR")["count"] = 9_000_000
    next(a for a in reaches["accessors"] if a["type"] == "VEC3")["count"] = 9
    return {
        "missing": (folder / "no.glb", "There is no file at"),
        "folder": (folder, "is a folder"),
        "wrong ending": (save(folder, "a.txt", "hello"), "is not a mesh file: expected .glb"),
        "no bytes": (save(folder, "b.glb", b""), "is empty: it has 0 bytes"),
        "garbage glb": (save(folder, "c.glb", b"garbage" * 10), "is not a GLB 2.0 file"),
        "short glb": (save(folder, "c2.glb", b"glTF"), "has only 4 bytes"),
        "cut glb": (save(folder, "d.glb", whole[:-20]), "is cut off"),
        "bad json": (save(folder, "e.gltf", "{"), "damaged description"),
        "json list": (save(folder, "e2.gltf", "[]"), "expected a JSON object, got list"),
        "garbage stl": (save(folder, "f.stl", b"\1garbage"), "holds no surface"),
        "garbage ply": (save(folder, "g.ply", b"garbage"), "could not be read as PLY"),
        "no faces": (save(folder, "h.obj", "v 0 0 0\n"), "holds no surface"),
        "garbage obj": (save(folder, "h2.obj", b"\x89\x00\xff" * 50), "holds no surface"),
        "empty glb": (save(folder, "i.glb", glb([])), "holds no surface"),
        "nan": (save(folder, "j.glb", triangle_glb(POSITION=nan)), "1 vertex with coordinates that are not numbers"),
        "nan obj": (save(folder, "k.obj", SQUARE_OBJ.replace("v 1 1 0", "v nan inf 0")), "not numbers"),
        "word obj": (save(folder, "k2.obj", SQUARE_OBJ.replace("v 1 1 0", "v 1 one 0")), "a vertex is not a number"),
        "short vertex": (save(folder, "k3.obj", SQUARE_OBJ.replace("v 1 1 0", "v 1 1")), "vertex 3 has 2 numbers, expected 3"),
        "index": (save(folder, "l.obj", SQUARE_OBJ.replace("3 4", "3 9")), "line 5: a face has vertex 9, but only 4 came before it"),
        "index glb": (save(folder, "m.glb", triangle_glb(indices=np.array([0, 1, 7], dtype=np.uint16))), "face with vertex 7"),
        "two corners": (save(folder, "n.obj", SQUARE_OBJ + "f 1 2\n"), "line 6: a face needs at least 3 corners, got 2"),
        "a point": (save(folder, "o.obj", "v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n"), "has no size"),
        "huge stl": (save(folder, "p.stl", binary_stl), "3,000,000 faces, more than the 2,000,000"),
        "huge ply": (save(folder, "q.ply", big_ply), "3,000,000 faces"),
        "huge glb": (save(folder, "r.glb", join_glb(promises, binary)), "3,000,000 faces"),
        "other folder": (save(folder, "s.gltf", json.dumps(away)), "outside its folder"),
        "lost buffer": (save(folder, "t.gltf", json.dumps(lost)), "'lost.bin' that belongs to it is missing"),
        "compressed": (
            save(folder, "u.gltf", json.dumps(document | {"extensionsRequired": ["KHR_draco_mesh_compression"]})),
            "compressed with KHR_draco_mesh_compression",
        ),
        "beyond its buffer": (save(folder, "v.glb", join_glb(reaches, binary)), "could not be read as GLB: an accessor"),
    }


CASES = (
    "missing", "folder", "wrong ending", "no bytes", "garbage glb", "short glb", "cut glb", "bad json", "json list",
    "garbage stl", "garbage ply", "no faces", "garbage obj", "empty glb", "nan", "nan obj", "word obj", "short vertex", "index",
    "index glb", "two corners", "a point", "huge stl", "huge ply", "huge glb", "other folder", "lost buffer", "compressed",
    "beyond its buffer",
)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gets_one_clear_sentence(tmp_path: Path, case: str):
    folder = tmp_path / "files"
    folder.mkdir()
    cases = bad_files(folder)
    assert tuple(cases) == CASES
    path, says = cases[case]
    with pytest.raises(UserError) as caught:
        read_mesh(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_the_limit_on_faces_is_asked_before_an_obj_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(check, "MOST_FACES", 3)
    with pytest.raises(UserError, match="5 faces, more than the 3"):
        read_mesh(save(tmp_path, "many.obj", SQUARE_OBJ + 4 * "f 1 2 3\n"))


@pytest.mark.parametrize("ending", ["glb", "obj", "ply", "stl"])
def test_any_cut_and_any_flipped_byte_gives_a_mesh_or_a_sentence(tmp_path: Path, ending: str):
    path = tmp_path / f"x.{ending}"
    trimesh.creation.box((1, 2, 3)).export(path)
    data = path.read_bytes()
    random = np.random.default_rng(0)
    for trial in range(60):
        damaged = bytearray(data[: random.integers(1, len(data))] if trial % 2 else data)
        for at in random.integers(0, len(damaged), 3):
            damaged[at] = random.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(UserError):
            mesh = read_mesh(path)
            check.check_mesh(mesh.vertices, mesh.faces, "x")
