"""The colours the zoo can name, as display (sRGB) values, and how far a painted one may stray from its word."""

from __future__ import annotations

import colorsys

import numpy as np

PALETTE: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.10, 0.10),
    "orange": (0.97, 0.52, 0.08),
    "yellow": (0.97, 0.86, 0.15),
    "green": (0.18, 0.62, 0.20),
    "blue": (0.13, 0.30, 0.85),
    "purple": (0.52, 0.17, 0.72),
    "pink": (0.97, 0.52, 0.72),
    "brown": (0.45, 0.26, 0.12),
    "white": (0.95, 0.95, 0.93),
    "black": (0.09, 0.09, 0.10),
}
COLOURS = tuple(PALETTE)

LEAF_GREEN = (0.20, 0.52, 0.16)
BARK = (0.42, 0.27, 0.14)
CREAM = (0.94, 0.88, 0.76)


def jitter(colour, rng: np.random.Generator, hue: float = 0.012, depth: float = 0.10) -> np.ndarray:
    """A display colour near the given one: hue within +-`hue` turns, saturation and value within +-`depth`, [3]."""
    h, s, v = colorsys.rgb_to_hsv(*colour)
    h = (h + rng.uniform(-hue, hue)) % 1.0
    s = min(s * (1 + rng.uniform(-depth, depth)), 1.0)
    v = min(v * (1 + rng.uniform(-depth, 0.5 * depth)), 1.0)
    return np.array(colorsys.hsv_to_rgb(h, s, v))


def paint(word: str, rng: np.random.Generator) -> np.ndarray:
    """A display colour that a person would call by this word, [3].

    Raises:
        KeyError: the word is not in `PALETTE`.
    """
    return jitter(PALETTE[word], rng)


def contrasting(word: str, rng: np.random.Generator, among: tuple[str, ...] = COLOURS) -> str:
    """A colour word that cannot be confused with the given one."""
    lookalike = {"pink": "red purple", "red": "pink orange brown", "orange": "yellow red brown", "yellow": "orange white",
                 "purple": "blue pink black", "brown": "orange black red", "blue": "purple black", "black": "brown purple",
                 "white": "yellow", "green": ""}  # fmt: skip
    choices = [c for c in among if c != word and c not in lookalike[word].split()]
    return str(rng.choice(choices or [c for c in among if c != word]))
