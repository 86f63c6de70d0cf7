# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist roughs a shape out with: bevelled strokes, blobs, ribbons, slabs; and the GLB exporter.

Every function makes one Blender object. Its name is the name of the stroke, which the engine may use for part prompts.
"""

import math
from itertools import pairwise
from pathlib import Path

import bpy
from mathutils import Matrix, Vector, noise


def tube(name, curves, *, sides=10, steps=4, caps=False, colour=None):
    """A stroke: Bezier curves with a radius at every point. Open at the ends unless `caps`.

    `curves`: a list of (points, radii, cyclic); `radii` is a number or one number a point.
    """
    data = bpy.data.curves.new(name, "CURVE")
    data.dimensions = "3D"
    data.bevel_depth = 1.0  # radii at the points are then radii of the tube
    data.bevel_resolution = (sides - 4) // 2
    data.resolution_u = steps
    data.use_fill_caps = caps
    data.twist_mode = "MINIMUM"
    for points, radii, cyclic in curves:
        spline = data.splines.new("BEZIER")
        spline.bezier_points.add(len(points) - 1)
        spline.use_cyclic_u = cyclic
        for i, point in enumerate(spline.bezier_points):
            point.co = points[i]
            point.radius = radii if isinstance(radii, (int, float)) else radii[i]
            point.handle_left_type = point.handle_right_type = "AUTO"
    return _as_mesh(name, data, colour)


def ribbon(name, curves, *, steps=4, colour=None):
    """A flat, zero-thickness stroke: each curve is (left edge points, right edge points), with quads between the two."""
    vertices, faces = [], []
    for left, right in curves:
        rows = [_smooth(left, steps), _smooth(right, steps)]
        first = len(vertices)
        for a, b in zip(*rows, strict=True):
            vertices += [a, a.lerp(b, 0.5), b]
        for i in range(len(rows[0]) - 1):
            k = first + 3 * i
            faces += [(k, k + 3, k + 4, k + 1), (k + 1, k + 4, k + 5, k + 2)]
    return from_data(name, vertices, faces, colour=colour)


def blob(name, centre, radii, *, lumps=0.05, seed=0.0, detail=3, turn=None, colour=None):
    """A closed lump of clay: an icosphere pushed about by smooth noise. `turn` is a 3x3 rotation about its centre."""
    bpy.ops.mesh.primitive_ico_sphere_add(subdivisions=detail, radius=1.0)
    obj = bpy.context.object
    obj.name = obj.data.name = name
    turn = turn or Matrix.Identity(3)
    for vertex in obj.data.vertices:
        p = vertex.co.normalized()
        p *= 1.0 + lumps * noise.noise(1.3 * p + Vector((seed, 2.0 * seed, 5.0)))
        vertex.co = turn @ Vector(p[i] * radii[i] for i in range(3)) + Vector(centre)
    return _finish(obj, colour)


def slab(name, centre, half, *, turn=None, bevel=0.3, colour=None):
    """A board with rounded edges; `bevel` is a share of its smallest half side."""
    bpy.ops.mesh.primitive_cube_add(size=2.0)
    obj = bpy.context.object
    obj.name = obj.data.name = name
    turn = turn or Matrix.Identity(3)
    for vertex in obj.data.vertices:
        vertex.co = Vector(vertex.co[i] * half[i] for i in range(3))
    modifier = obj.modifiers.new("bevel", "BEVEL")
    modifier.width = bevel * min(half)
    modifier.segments = 2
    obj.data = _applied(obj)
    obj.modifiers.clear()
    for vertex in obj.data.vertices:
        vertex.co = turn @ vertex.co + Vector(centre)
    return _finish(obj, colour)


def turned(name, profile, *, sides=20, axis=(0.0, 0.0), colour=None):
    """A profile of (radius, height) points turned about an upright axis. Radius 0 at an end closes it; else it stays open."""
    vertices, faces, rings = [], [], []
    for radius, z in profile:
        if radius == 0.0:
            rings.append([len(vertices)])
            vertices.append((axis[0], axis[1], z))
            continue
        rings.append(list(range(len(vertices), len(vertices) + sides)))
        angles = [2.0 * math.pi * k / sides for k in range(sides)]
        vertices += [(axis[0] + radius * math.cos(t), axis[1] + radius * math.sin(t), z) for t in angles]
    for low, high in pairwise(rings):
        for k in range(sides):
            j = (k + 1) % sides
            if len(low) == 1:
                faces.append((low[0], high[j], high[k]))
            elif len(high) == 1:
                faces.append((low[k], low[j], high[0]))
            else:
                faces.append((low[k], low[j], high[j], high[k]))
    return from_data(name, vertices, faces, colour=colour)


def from_data(name, vertices, faces, *, colour=None):
    """An object from plain lists of points and polygons."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([tuple(v) for v in vertices], [], faces)
    mesh.validate()
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.collection.objects.link(obj)
    return _finish(obj, colour)


def flip(obj, which=lambda centre: True):
    """Turn faces inside out, as drawing programs and mirrored parts often leave them."""
    for polygon in obj.data.polygons:
        if which(polygon.center):
            polygon.flip()
    obj.data.update()
    return obj


def mirrored(name, new_name):
    """A linked copy with scale -1 along X that nobody applied: in the file its node has a negative determinant."""
    copy = bpy.data.objects[name].copy()
    copy.name = new_name
    copy.scale.x = -1.0
    bpy.context.collection.objects.link(copy)
    return copy


def knead(obj, amount, *, seed=0.0):
    """Push the surface about smoothly by up to `amount`, as a hand that did not use a ruler."""
    for vertex in obj.data.vertices:
        push = (noise.noise(3.0 * vertex.co + Vector((seed, 7.0 * axis, 0.0))) for axis in range(3))
        vertex.co += amount * Vector(push)
    obj.data.update()
    return obj


def paint(obj, colour_at):
    """Vertex colours: `colour_at(point)` gives linear red, green, blue."""
    layer = obj.data.color_attributes.new("Color", "FLOAT_COLOR", "POINT")
    for vertex, value in zip(obj.data.vertices, layer.data, strict=True):
        value.color = (*colour_at(vertex.co), 1.0)
    obj.data.color_attributes.active_color = layer
    obj.data.color_attributes.render_color_index = 0
    return obj


def mark(name, value_at):
    """A float point attribute on every mesh. A name that begins with an underscore travels through glTF (in capitals)."""
    for mesh in bpy.data.meshes:
        layer = mesh.attributes.new(name, "FLOAT", "POINT")
        layer.data.foreach_set("value", [value_at(vertex.co) for vertex in mesh.vertices])


def place(scale, location, turn_degrees=0.0):
    """Put the whole sketch where the artist has it in their scene; transforms stay on the objects, unapplied."""
    where = Matrix.Translation(location) @ Matrix.Rotation(math.radians(turn_degrees), 4, "Z") @ Matrix.Scale(scale, 4)
    bpy.context.view_layer.update()
    for obj in bpy.context.scene.objects:
        obj.matrix_world = where @ obj.matrix_world
    bpy.context.view_layer.update()


def empty_scene():
    bpy.ops.wm.read_factory_settings(use_empty=True)


def save_glb(path: Path, *, attributes=False):
    """Blender's own exporter, with the settings that most people leave alone."""
    bpy.ops.export_scene.gltf(
        filepath=str(path),
        export_format="GLB",
        export_apply=True,
        export_yup=True,
        export_attributes=attributes,
        export_vertex_color="ACTIVE",
        export_active_vertex_color_when_no_material=True,
        export_animations=False,
    )


def save_obj(path: Path, *, uv=True):
    """Quads and n-gons stay as they are. No material file."""
    bpy.ops.wm.obj_export(
        filepath=str(path), export_uv=uv, export_materials=False, export_triangulated_mesh=False, apply_modifiers=True,
        forward_axis="NEGATIVE_Z", up_axis="Y",
    )  # fmt: skip
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("#")))  # the header holds a version and a date


def _as_mesh(name, data, colour):
    obj = bpy.data.objects.new(name, data)
    bpy.context.collection.objects.link(obj)
    mesh = _applied(obj)
    mesh.name = name
    while mesh.uv_layers:  # curves bring a generated map that no artist asked for
        mesh.uv_layers.remove(mesh.uv_layers[0])
    bpy.data.objects.remove(obj)
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.collection.objects.link(obj)
    return _finish(obj, colour)


def _applied(obj):
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    return bpy.data.meshes.new_from_object(obj.evaluated_get(graph), depsgraph=graph)


def _finish(obj, colour):
    """Smooth shading (shared corners stay shared in the file), no texture coordinates, one material if there is a colour."""
    while obj.data.uv_layers:
        obj.data.uv_layers.remove(obj.data.uv_layers[0])
    obj.data.polygons.foreach_set("use_smooth", [True] * len(obj.data.polygons))
    obj.data.materials.clear()
    if colour is not None:
        obj.data.materials.append(_material(colour))
    obj.data.update()
    return obj


def _material(colour):
    """One material a colour, linear red, green, blue."""
    name = "paint " + " ".join(f"{c:.2f}" for c in colour)
    material = bpy.data.materials.get(name)
    if material is None:
        material = bpy.data.materials.new(name)
        material.use_nodes = True
        material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (*colour, 1.0)
        material.diffuse_color = (*colour, 1.0)
    return material


def _smooth(points, steps):
    """Catmull-Rom through the points, `steps` pieces between two neighbours."""
    points = [Vector(p) for p in points]
    ends = [2 * points[0] - points[1], *points, 2 * points[-1] - points[-2]]
    result = []
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        for k in range(steps):
            t = k / steps
            result.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return [*result, points[-1]]
