"""What the engine relies on in the committed example sketches, read as files, without Blender."""

import json
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import trimesh

SKETCHES = Path(__file__).parents[1] / "examples" / "sketches"

# name -> (longest side in scene units, number of connected pieces)
EXPECTED = {
    "flower": (0.30, 10),
    "snowman": (1.83, 9),
    "snowman_keep": (1.83, 9),
    "cactus": (0.93, 5),
    "fish": (23.7, 9),
    "chair": (0.97, 9),
    "mushrooms": (0.131, 4),
    "mug": (0.10, 2),
    "quad_vase": (0.40, 1),
}


class Piece(NamedTuple):
    """One connected piece of one stroke, welded, in the scene's place."""

    stroke: str
    mesh: trimesh.Trimesh

    @property
    def closed(self) -> bool:
        return self.mesh.is_watertight

    @property
    def volume(self) -> float:
        """Signed, about the piece's own centroid. The library's own figure depends on the axes where a piece is open."""
        corners = self.mesh.triangles - self.mesh.triangles.reshape(-1, 3).mean(0)
        return float(np.linalg.det(corners).sum() / 6)


def pieces(name: str) -> list[Piece]:
    scene = trimesh.load_scene(SKETCHES / f"{name}.glb")
    found = []
    for node in scene.graph.nodes_geometry:
        transform, geometry = scene.graph[node]
        source = scene.geometry[geometry]
        mesh = trimesh.Trimesh(source.vertices, source.faces, process=False)
        mesh.apply_transform(transform)  # reverses the faces of a mirrored node
        mesh.merge_vertices()
        found += [Piece(node, part) for part in mesh.split(only_watertight=False)]
    return found


def header(name: str) -> dict:
    data = (SKETCHES / f"{name}.glb").read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length])


def attributes(name: str) -> list[set[str]]:
    return [set(primitive["attributes"]) for mesh in header(name)["meshes"] for primitive in mesh["primitives"]]


def obj_lines(name: str, keyword: str) -> list[list[str]]:
    rows = (line.split() for line in (SKETCHES / name).read_text().splitlines())
    return [row[1:] for row in rows if row and row[0] == keyword]


def winding(mesh: trimesh.Trimesh, point: np.ndarray) -> float:
    """Share of the sphere of directions that the mesh covers as seen from the point: 1 inside, 0 outside."""
    a, b, c = np.moveaxis(mesh.triangles - point, 1, 0)
    la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
    below = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return float(2 * np.arctan2((a * np.cross(b, c)).sum(1), below).sum() / (4 * np.pi))


def volumes(name: str, longest: float) -> dict[str, list[float]]:
    """Signed volumes by stroke, in shares of the cube over the longest side."""
    result: dict[str, list[float]] = {}
    for piece in pieces(name):
        result.setdefault(piece.stroke, []).append(piece.volume / longest**3)
    return result


def test_every_file_is_listed_and_small():
    assert {path.stem for path in SKETCHES.glob("*.glb")} == set(EXPECTED)
    assert all(path.stat().st_size < 150_000 for path in [*SKETCHES.glob("*.glb"), *SKETCHES.glob("*.obj")])


@pytest.mark.parametrize("name", EXPECTED)
def test_shape(name):
    size, count = EXPECTED[name]
    parts = pieces(name)
    points = np.concatenate([part.mesh.vertices for part in parts])
    assert np.isfinite(points).all()
    assert np.ptp(points, axis=0).max() == pytest.approx(size, rel=0.05)
    assert np.abs(points.mean(0)).max() > size / 4, "a sketch stands somewhere off the origin"
    assert len(parts) == count
    assert all(part.mesh.is_winding_consistent for part in parts), "a piece may be inside out, but only as a whole"
    assert all((part.mesh.area_faces > 0).all() for part in parts)


@pytest.mark.parametrize("name", EXPECTED)
def test_strokes_have_names(name):
    names = [node["name"] for node in header(name)["nodes"]]
    assert len(set(names)) == len(names)
    assert not any(n.startswith(("Mesh", "Icosphere", "Cube", "Curve")) for n in names)


def test_flower_has_open_and_closed_strokes_the_right_way_round():
    parts = pieces("flower")
    assert {part.stroke for part in parts} == {"petals", "heart", "stem", "leaf left", "leaf right"}
    petals = [part.closed for part in parts if part.stroke == "petals"]
    assert sorted(petals) == [False] * 3 + [True] * 3
    assert not any(part.closed for part in parts if part.stroke == "stem")
    assert all(part.volume > 0 for part in parts)
    loops = [part.mesh.euler_number for part in parts if part.stroke == "petals" and part.closed]
    assert loops == [0, 0, 0], "closed petals are rings"


def test_flower_faces_the_front():
    """The head's own direction, seen as the normal of the plane through the petals; -Y in Blender is +Z in the file."""
    petals = np.concatenate([part.mesh.vertices for part in pieces("flower") if part.stroke == "petals"])
    normal = np.linalg.svd(petals - petals.mean(0), full_matrices=False)[2][2]
    normal *= np.sign(normal[1])
    assert normal[2] > 0
    assert abs(normal[0]) < 0.2
    assert 40 < np.degrees(np.arccos(normal[1])) < 60


def test_flower_colours_some_strokes_only():
    data = header("flower")
    coloured = {node["name"] for node in data["nodes"] if "material" in data["meshes"][node["mesh"]]["primitives"][0]}
    assert coloured == {"stem", "leaf left", "leaf right"}


def test_cactus_is_partly_inside_out():
    found = volumes("cactus", 0.93)
    assert found["arm left"][0] < -0.005
    assert found["knob"][0] < -0.0005
    assert found["arm right"][0] > 0.003
    assert min(found["trunk"]) > 0.01
    assert all("COLOR_0" in names for names in attributes("cactus"))


def test_fish_has_a_body_and_flat_fins():
    parts = pieces("fish")
    ribbons = [part for part in parts if "fin" in part.stroke or part.stroke == "tail"]
    assert len(ribbons) == 6
    for part in ribbons:
        assert not part.closed
        assert part.mesh.area > 0.005 * 23.7**2
    tail_and_fins = [part for part in ribbons if part.stroke in ("tail", "fins")]
    assert all(abs(part.volume) < 1e-4 * 23.7**3 for part in tail_and_fins)
    assert [part.closed for part in parts if part.stroke == "body"] == [True]


@pytest.mark.parametrize(("name", "left", "right"), [("snowman", "arm left", "arm right"), ("fish", "side fin left", "side fin right")])
def test_mirrored_part_has_a_negative_scale_and_is_not_inside_out(name, left, right):
    nodes = {node["name"]: node for node in header(name)["nodes"]}
    matrix = trimesh.load_scene(SKETCHES / f"{name}.glb").graph[left][0]
    assert np.linalg.det(matrix) < 0
    assert nodes[left]["mesh"] == nodes[right]["mesh"]
    found = volumes(name, EXPECTED[name][0])
    assert found[left] == pytest.approx(found[right], rel=1e-3)
    if name == "snowman":
        assert min(found[left]) > 0


def test_snowman_is_made_of_closed_lumps():
    closed = {part.stroke for part in pieces("snowman") if part.closed}
    assert closed == {"body", "belly", "head", "nose", "hat"}


def test_snowman_keep_marks_the_lower_half():
    assert all("_KEEP" in names for names in attributes("snowman_keep"))
    assert not any("_KEEP" in names for names in attributes("snowman"))
    scene = trimesh.load_scene(SKETCHES / "snowman_keep.glb")
    low, high = scene.bounds[:, 1]
    kept = 0
    for node in scene.graph.nodes_geometry:
        transform, geometry = scene.graph[node]
        mesh = scene.geometry[geometry]
        keep = np.asarray(mesh.vertex_attributes["_KEEP"]).ravel()
        height = (trimesh.transform_points(mesh.vertices, transform)[:, 1] - low) / (high - low)
        assert ((keep >= 0) & (keep <= 1)).all()
        assert (keep[height < 0.4] == 1).all()
        assert (keep[height > 0.5] == 0).all()
        kept += int((keep == 1).sum())
    assert kept > 100
    assert [p.mesh.vertices.shape for p in pieces("snowman")] == [p.mesh.vertices.shape for p in pieces("snowman_keep")]


def test_mushrooms_are_two_things():
    parts = pieces("mushrooms")
    boxes = {size: np.array([p.mesh.bounds for p in parts if p.stroke.startswith(size)]) for size in ("big", "small")}
    gap = boxes["small"][:, 0, 0].min() - boxes["big"][:, 1, 0].max()
    assert gap > 0.02 * 0.131
    stalks = [part for part in parts if part.stroke.endswith("stalk")]
    assert [len(part.mesh.outline().entities) for part in stalks] == [2, 2], "open at both ends"
    assert all(part.closed for part in parts if part.stroke.endswith("cap"))


def test_mug_has_a_cup_with_a_wall_and_a_handle_stuck_into_it():
    cup, handle = sorted(pieces("mug"), key=lambda part: part.stroke)
    assert cup.closed
    assert cup.mesh.euler_number == 2
    assert cup.volume < 0.6 * cup.mesh.convex_hull.volume
    assert not handle.closed
    ends = handle.mesh.vertices[np.unique(handle.mesh.outline().vertex_nodes)]
    assert len(ends) == 20
    assert np.mean([winding(cup.mesh, end) > 0.5 for end in ends]) > 0.8, "both ends are in the wall, but for a little"
    assert winding(cup.mesh, handle.mesh.vertices.mean(0)) < 0.5, "the handle leaves a hole"


def test_chair_has_no_colour():
    assert "materials" not in header("chair")
    assert not any("COLOR_0" in names for names in attributes("chair"))
    assert len([part for part in pieces("chair") if part.stroke == "legs" and not part.closed]) == 4


def test_vase_has_two_uv_maps_and_keeps_quads_and_ngons_in_the_obj():
    assert all({"TEXCOORD_0", "TEXCOORD_1"} <= names for names in attributes("quad_vase"))
    sides = np.array([len(face) for face in obj_lines("quad_vase.obj", "f")])
    assert np.bincount(sides)[[3, 4, 6, 24]].tolist() == [0, 516, 6, 2]
    assert sides.sum() - 2 * len(sides) == len(pieces("quad_vase")[0].mesh.faces)
    plain = obj_lines("quad_vase_no_uv.obj", "f")
    assert [len(face) for face in plain] == sides.tolist()
    assert not obj_lines("quad_vase_no_uv.obj", "vt")
    assert obj_lines("quad_vase_no_uv.obj", "v") == obj_lines("quad_vase.obj", "v")


def test_vase_uv_map_is_neither_mirrored_nor_overlapping():
    table = np.array(obj_lines("quad_vase.obj", "vt"), float)
    assert table.min() >= 0
    assert table.max() <= 1
    area, covered = 0.0, np.zeros((400, 400), int)
    for face in obj_lines("quad_vase.obj", "f"):
        corners = table[[int(corner.split("/")[1]) - 1 for corner in face]]
        following = np.roll(corners, -1, axis=0)
        signed = 0.5 * (corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0]).sum()
        assert signed > 0
        area += signed
        low, high = np.ceil(corners.min(0) * 400 - 0.5).astype(int), np.floor(corners.max(0) * 400 - 0.5).astype(int) + 1
        centres = (np.stack(np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]), indexing="ij"), -1) + 0.5) / 400
        edge, rest = following - corners, centres[..., None, :] - corners
        inside = (edge[:, 0] * rest[..., 1] - edge[:, 1] * rest[..., 0] > 0).all(-1)
        covered[low[0] : high[0], low[1] : high[1]] += inside
    assert covered.max() == 1
    assert covered.mean() == pytest.approx(area, abs=0.02)
