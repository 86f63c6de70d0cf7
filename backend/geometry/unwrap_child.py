"""The process in which xatlas runs: `python -m backend.geometry.unwrap_child FOLDER MEMORY_BYTES DEADLINE_S TEXTURE_PX`.

Reads `mesh.npz` (vertices, faces), leaves `atlas.npz` (vertex_map, faces, uv). Imports no torch, so that it starts at once.
"""

import sys
from pathlib import Path

import numpy as np


def limit(memory_bytes: int, deadline_s: float) -> None:
    """Bound this process, where the system can, so that it cannot outlive or outgrow a parent that was killed."""
    try:
        import resource
    except ImportError:  # Windows
        return
    cpu_s = int(deadline_s * 8) + 10  # of all threads together
    for what, amount in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CPU, cpu_s)):
        _, most = resource.getrlimit(what)
        resource.setrlimit(what, (amount if most == resource.RLIM_INFINITY else min(amount, most), most))


def main(folder: Path, memory_bytes: int, deadline_s: float, texture_px: int) -> None:
    """Charts of the mesh in `folder`, packed for a texture of `texture_px` with a gutter of 8 px at 2048."""
    limit(memory_bytes, deadline_s)
    import xatlas

    with np.load(folder / "mesh.npz") as mesh:
        vertices, faces = mesh["vertices"], mesh["faces"]
    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices, faces)
    pack = xatlas.PackOptions()
    pack.resolution = texture_px
    pack.padding = max(2, round(8 * texture_px / 2048))
    pack.bilinear = True
    atlas.generate(xatlas.ChartOptions(), pack)
    vertex_map, charted, uv = atlas[0]
    np.savez(folder / "atlas.npz", vertex_map=vertex_map, faces=charted, uv=np.clip(uv, 0, 1).astype(np.float32))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
