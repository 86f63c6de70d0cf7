"""What a usable mesh is, with one sentence for everything that is not; the same for files and for arrays that came by wire."""

import numpy as np

from backend.errors import UserError

MOST_FACES = 2_000_000
MOST_BYTES = 512 * 1024 * 1024


def check_face_count(count: int, name: str) -> None:
    """Raises UserError if a mesh would have more than two million faces; cheap enough to ask before anything is decoded."""
    if count > MOST_FACES:
        raise UserError(f"{name} has {count:,} faces, more than the {MOST_FACES:,} that can be handled.", "Simplify it first.")


def check_finite(vertices: np.ndarray, name: str) -> None:
    """Raises UserError if a coordinate of vertices [V,3] is NaN or infinite."""
    bad = int((~np.isfinite(vertices).all(axis=1)).sum())
    if bad:
        who = "1 vertex" if bad == 1 else f"{bad:,} vertices"
        raise UserError(f"{name} has {who} with coordinates that are not numbers (NaN or infinite).", "Repair the mesh.")


def check_mesh(vertices: np.ndarray, faces: np.ndarray, name: str) -> None:
    """Raises UserError if vertices [V,3] and faces [F,3] are empty, not finite, out of range, too many or of no size."""
    check_face_count(len(faces), name)
    if len(vertices) == 0 or len(faces) == 0:
        raise UserError(f"{name} holds no surface: expected at least one triangle, but it has no faces.", "Export a mesh with faces.")
    check_finite(vertices, name)
    low, high = int(faces.min()), int(faces.max())
    if low < 0 or high >= len(vertices):
        wrong = low if low < 0 else high
        raise UserError(f"{name} has a face with vertex {wrong}, but its vertices are 0 to {len(vertices) - 1}.", "Export it again.")
    used = np.zeros(len(vertices), dtype=bool)
    used[faces.reshape(-1)] = True
    size = float(np.ptp(vertices[used].astype(np.float64), axis=0).max())
    if not size > 0:
        raise UserError(f"{name} has no size: all of its faces are at one point.", "Check the scale of the object.")
    if size > 1e30:
        raise UserError(f"{name} is too large: {size:.1e} units from side to side.", "Check the scale of the object.")
