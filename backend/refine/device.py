"""Which device a run uses."""

import torch

from backend.errors import ResourceError, UserError


def choose_device(name: str) -> torch.device:
    """ "auto" is CUDA where there is a working device, else the CPU. Errors: a named device that is not there, or no device name."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"'{name}' is not a device.", "Use auto, cpu or cuda.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ResourceError("CUDA was asked for, but torch finds no CUDA device here.", "Use --device cpu, or run `sketchbridge doctor`.")
    return device
