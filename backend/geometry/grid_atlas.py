"""A UV layout that always works: two triangles in every square of a grid."""

import numpy as np

GUTTER_PX = 1.0


def grid_atlas(vertices: np.ndarray, faces: np.ndarray, texture_px: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`vertex_map` [3F], `faces` [F,3] over the new vertices, `uv` [3F,2] in 0..1: no overlap, a gutter around every triangle.

    The longest edge of each triangle lies on the diagonal. Not for painting: neighbours on the surface are no neighbours here.
    """
    count = len(faces)
    side = max(1, int(np.ceil(np.sqrt((count + 1) // 2))))
    cell = 1.0 / side
    gutter = min(GUTTER_PX / texture_px, 0.08 * cell)
    corners = vertices[faces]
    opposite = np.linalg.norm(corners[:, [1, 2, 0]] - corners[:, [2, 0, 1]], axis=2)  # edge across from each corner
    first = opposite.argmax(1) if count else np.zeros(0, dtype=np.int64)
    order = (first[:, None] + np.arange(3)) % 3  # the right angle is at the corner across from the longest edge

    far = cell - 3 * gutter
    lower = np.array([[gutter, gutter], [far, gutter], [gutter, far]])
    upper = cell - lower
    square = np.arange(count) // 2
    origin = np.stack([square % side, square // side], 1) * cell
    placed = np.where((np.arange(count) % 2 == 0)[:, None, None], lower, upper) + origin[:, None]
    uv = np.empty((count, 3, 2))
    np.put_along_axis(uv, order[:, :, None], placed, axis=1)
    return faces.reshape(-1).astype(np.int64), np.arange(3 * count, dtype=np.int64).reshape(-1, 3), uv.reshape(-1, 2).astype(np.float32)
