"""The one sRGB transfer function, for arrays and tensors alike (IEC 61966-2-1).

Linear inside; display values at every border where somebody or something looks: files, previews and the prior's encoder.
"""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Values = TypeVar("Values", Tensor, np.ndarray)


def linear_to_srgb(linear: Values) -> Values:
    """Display values 0..1 from linear light, clamped to 0..1; differentiable for tensors (slope of the straight part at 0)."""
    if isinstance(linear, Tensor):
        clamped = linear.clamp(0.0, 1.0)
        # The power's slope is infinite at 0, and where() would multiply it by zero into NaN.
        curve = 1.055 * clamped.clamp_min(0.0031308).pow(1 / 2.4) - 0.055
        return torch.where(clamped <= 0.0031308, 12.92 * clamped, curve)
    clipped = np.clip(linear, 0.0, 1.0)
    return np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * np.power(np.maximum(clipped, 0.0031308), 1 / 2.4) - 0.055)


def srgb_to_linear(display: Values) -> Values:
    """Linear light 0..1 from display values, clamped to 0..1."""
    if isinstance(display, Tensor):
        clamped = display.clamp(0.0, 1.0)
        return torch.where(clamped <= 0.04045, clamped / 12.92, ((clamped + 0.055) / 1.055).pow(2.4))
    clipped = np.clip(display, 0.0, 1.0)
    return np.where(clipped <= 0.04045, clipped / 12.92, np.power((clipped + 0.055) / 1.055, 2.4))
