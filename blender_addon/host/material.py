# SPDX-License-Identifier: GPL-3.0-or-later
"""The material of a result: a Principled node with the baked pictures, packed into the file. One an artist edited is left alone."""

from __future__ import annotations

import hashlib

import bpy

from protocol.errors import UserError

from ..compat import shader_nodes, with_nodes

MARK = "sketchbridge_material"
IMAGE_MARK = "sketchbridge_image"


def build_material(name: str, images: dict[str, bytes], uv_map: str) -> bpy.types.Material:
    """A new material from "base_colour.png" and, if there is one, "normal.png", looked up in `uv_map`.

    Errors: UserError for a picture that Blender cannot read; nothing is left behind.
    """
    made: list[bpy.types.Image] = []
    try:
        base = _packed(f"{name} Base Colour", images["base_colour.png"], "sRGB", made)
        normal = _packed(f"{name} Normal", images["normal.png"], "Non-Color", made) if "normal.png" in images else None
    except UserError:
        for image in made:
            bpy.data.images.remove(image)
        raise
    material = bpy.data.materials.new(name)
    tree = with_nodes(material)
    tree.nodes.clear()
    output = _node(tree, "ShaderNodeOutputMaterial", 300, 0)
    shader = _node(tree, "ShaderNodeBsdfPrincipled", 0, 0)
    coordinates = _node(tree, "ShaderNodeUVMap", -800, -100)
    coordinates.uv_map = uv_map
    colour = _texture(tree, base, 0, coordinates)
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    tree.links.new(colour.outputs["Color"], shader.inputs["Base Color"])
    if normal is not None:
        bump = _texture(tree, normal, -300, coordinates)
        turn = _node(tree, "ShaderNodeNormalMap", -250, -300)
        turn.uv_map = uv_map
        tree.links.new(bump.outputs["Color"], turn.inputs["Color"])
        tree.links.new(turn.outputs["Normal"], shader.inputs["Normal"])
    tree.nodes.active = colour
    material[MARK] = fingerprint(material)
    return material


def unedited(material: bpy.types.Material | None) -> bool:
    """Whether a material is ours and as we made it."""
    return material is not None and MARK in material and material[MARK] == fingerprint(material)


def discard(material: bpy.types.Material) -> None:
    """Remove a material of ours that nothing uses any more, with its pictures. Edited ones stay."""
    if material.users or not unedited(material):
        return
    images = images_of(material)
    bpy.data.materials.remove(material)
    for image in images:
        if image.users == 0:
            bpy.data.images.remove(image)


def images_of(material: bpy.types.Material | None) -> set[bpy.types.Image]:
    """Pictures of ours in a material."""
    tree = shader_nodes(material) if material is not None else None
    images = {node.image for node in tree.nodes if node.type == "TEX_IMAGE"} if tree else set()
    return {image for image in images if image is not None and image.get(IMAGE_MARK)}


def fingerprint(material: bpy.types.Material) -> str:
    """A digest of the node tree: nodes, their values and pictures, and the links. Where nodes lie does not count."""
    tree = shader_nodes(material)
    lines = [] if tree is not None else ["no nodes"]
    for node in tree.nodes if tree is not None else ():
        values = [(socket.identifier, _plain(getattr(socket, "default_value", None))) for socket in node.inputs]
        lines.append(f"{node.name} {node.bl_idname} {node.mute} {values} {getattr(node, 'uv_map', '')} {_picture(node)}")
    for link in tree.links if tree is not None else ():
        lines.append(f"{link.from_node.name}.{link.from_socket.identifier} > {link.to_node.name}.{link.to_socket.identifier}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, float):
        return round(value, 5)
    if value is None or isinstance(value, str | int):
        return value
    return [round(part, 5) for part in value] if hasattr(value, "__len__") else ""


def _picture(node: bpy.types.Node) -> str:
    image = getattr(node, "image", None)
    if image is None:
        return ""
    packed = image.packed_file.size if image.packed_file is not None else 0
    return f"{tuple(image.size)} {packed} {image.is_dirty} {image.colorspace_settings.name}"


def _node(tree: bpy.types.ShaderNodeTree, kind: str, x: float, y: float) -> bpy.types.Node:
    node = tree.nodes.new(kind)
    node.location = (x, y)
    return node


def _texture(tree: bpy.types.ShaderNodeTree, image: bpy.types.Image, y: float, coordinates: bpy.types.Node) -> bpy.types.Node:
    node = _node(tree, "ShaderNodeTexImage", -550, y)
    node.image = image
    tree.links.new(coordinates.outputs["UV"], node.inputs["Vector"])
    return node


def _packed(name: str, data: bytes, space: str, made: list[bpy.types.Image]) -> bpy.types.Image:
    """A picture inside the .blend. Its size is asked for, so that Blender decodes it now."""
    image = bpy.data.images.new(name, 1, 1)
    made.append(image)
    image.pack(data=data, data_len=len(data))
    image.source = "FILE"
    image.colorspace_settings.name = space
    image[IMAGE_MARK] = True
    size = tuple(int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    if tuple(image.size) != size or not image.has_data:
        raise UserError(f"The picture '{name}' of the result cannot be read.", "Retry the job; if it happens again, use Copy Report.")
    return image
