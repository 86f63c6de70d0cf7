"""Polygons with one UV map and a picture, as OBJ: the format that keeps n-gons."""

import numpy as np

from backend.assets.mesh import PolygonMesh
from backend.assets.write import encode_png


def polygon_obj(mesh: PolygonMesh, loop_uv: np.ndarray, picture: np.ndarray, stem: str) -> dict[str, bytes]:
    """File name -> content: the OBJ in our axes with `loop_uv` [L,2], its MTL of one material, and the picture [H,W,3] uint8."""
    lines = [f"mtllib {stem}.mtl", f"o {stem}"]
    lines += [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in mesh.vertices]
    lines += [f"vt {u:.7f} {v:.7f}" for u, v in loop_uv]
    lines.append(f"usemtl {stem}")
    ends = np.append(mesh.polygon_start[1:], len(mesh.loop_vertex))
    for start, end in zip(mesh.polygon_start, ends, strict=True):
        lines.append("f " + " ".join(f"{mesh.loop_vertex[i] + 1}/{i + 1}" for i in range(start, end)))
    material = f"newmtl {stem}\nKd 1 1 1\nmap_Kd {stem}.png\n"
    return {f"{stem}.png": encode_png(picture), f"{stem}.mtl": material.encode(), f"{stem}.obj": ("\n".join(lines) + "\n").encode()}
