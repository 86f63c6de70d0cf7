"""Spoilt copies of a picture, each with its word, so that source and negative prompts mean something to the prior.

All work on display values [H, W, 3] float32 in [0, 1] and return the same shape and range.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

Corruption = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(picture, (sigma, sigma, 0), mode="nearest")


def blurry(picture, rng):
    return _blurred(picture, rng.uniform(1.2, 2.6))


def oversaturated(picture, rng):
    grey = picture.mean(-1, keepdims=True)
    vivid = grey + (picture - grey) * rng.uniform(1.8, 3.0)
    return 0.5 + (vivid - 0.5) * rng.uniform(1.15, 1.5)


def noisy(picture, rng):
    return picture + rng.normal(0, rng.uniform(0.06, 0.18), picture.shape)


def pixelated(picture, rng):
    block = int(rng.choice([4, 8], p=[0.7, 0.3])) * max(1, picture.shape[0] // 64)
    small = picture.reshape(picture.shape[0] // block, block, picture.shape[1] // block, block, 3).mean((1, 3))
    return small.repeat(block, 0).repeat(block, 1)


def foggy(picture, rng):
    return picture + (rng.uniform(0.75, 0.95) - picture) * rng.uniform(0.45, 0.75)


def hazy(picture, rng):
    tint = np.array([0.78, 0.84, 0.92]) * rng.uniform(0.9, 1.05)
    depth = np.linspace(0.75, 0.35, picture.shape[0])[:, None, None] * rng.uniform(0.7, 1.1)  # denser at the top
    return _blurred(picture, 0.6) * (1 - depth) + tint * depth


def smooth(picture, rng):
    """Details and shading ironed out, outlines kept: a median over a wide window."""
    return ndimage.median_filter(picture, size=(int(rng.choice([7, 9])),) * 2 + (1,), mode="nearest")


def cartoon(picture, rng):
    """Few flat tones and a dark outline."""
    tones = np.round(ndimage.median_filter(picture, size=(3, 3, 1)) * 3) / 3
    edge = np.hypot(ndimage.sobel(picture, 0), ndimage.sobel(picture, 1)).max(-1)
    return tones * (1 - np.clip((edge - 0.5) * 2.5, 0, 1)[..., None])


def malformed(picture, rng):
    """The shape bent out of form by a coarse random displacement."""
    size = picture.shape[0]
    rows, columns = np.mgrid[:size, :size].astype(float)
    amount = size * rng.uniform(0.10, 0.17)
    coarse = ndimage.zoom(rng.uniform(-1, 1, (2, 5, 5)), (1, size / 5, size / 5), order=3) * amount
    where = np.stack([rows + coarse[0], columns + coarse[1]])
    return np.stack([ndimage.map_coordinates(picture[..., c], where, order=1, mode="nearest") for c in range(3)], -1)


def bad_structure(picture, rng):
    """Parts in wrong places: blocks of the middle exchanged."""
    size = picture.shape[0]
    out, block = picture.copy(), size // int(rng.choice([4, 5]))
    for _ in range(int(rng.integers(2, 5))):
        (a, b), (c, d) = rng.integers(size // 8, size - size // 8 - block, (2, 2))
        first, second = out[a : a + block, b : b + block].copy(), out[c : c + block, d : d + block].copy()
        out[c : c + block, d : d + block], out[a : a + block, b : b + block] = first, second
    return out


def painting(picture, rng):
    """Brush strokes: each pixel takes the mean of its calmest neighbouring quadrant (Kuwahara), in wavering tints."""
    reach = 5
    mean = ndimage.uniform_filter(picture, (reach, reach, 1), mode="nearest")
    spread = (ndimage.uniform_filter(picture**2, (reach, reach, 1), mode="nearest") - mean**2).sum(-1)
    shifts = [(dr, dc) for dr in (-2, 2) for dc in (-2, 2)]
    means = np.stack([np.roll(mean, s, (0, 1)) for s in shifts])
    calmest = np.stack([np.roll(spread, s, (0, 1)) for s in shifts]).argmin(0)
    strokes = np.take_along_axis(means, calmest[None, ..., None], 0)[0]
    waver = ndimage.gaussian_filter(rng.normal(0, 1, picture.shape), (0.7, 2.2, 0)) * rng.uniform(0.10, 0.18)
    return strokes + waver


BY_NAME: dict[str, Corruption] = {
    "oversaturated": oversaturated, "smooth": smooth, "pixelated": pixelated, "cartoon": cartoon, "foggy": foggy, "hazy": hazy,
    "blurry": blurry, "bad structure": bad_structure, "noisy": noisy, "malformed": malformed, "painting": painting,
}  # fmt: skip
# what bends the shape comes first, what lies over the picture last
ORDER = ("bad structure", "malformed", "painting", "cartoon", "smooth", "oversaturated", "blurry", "hazy", "foggy", "pixelated", "noisy")


def corrupt(picture: np.ndarray, names: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    """The picture spoilt in the named ways, in a fixed sensible order, [H, W, 3] float32 in [0, 1].

    Raises:
        KeyError: a name is not a corruption.
    """
    unknown = set(names) - set(BY_NAME)
    if unknown:
        raise KeyError(f"unknown corruption {sorted(unknown)}; known: {sorted(BY_NAME)}")
    for name in ORDER:
        if name in names:
            picture = np.clip(BY_NAME[name](picture, rng), 0, 1)
    return picture.astype(np.float32)
