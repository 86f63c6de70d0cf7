"""Random numbers by name and step: one root seed, no generator state to carry.

Each (name, step) has a generator of its own, so adding a consumer shifts nobody else's numbers, and a run continued from a
checkpoint draws exactly what the undisturbed one would have drawn.
"""

import hashlib

import torch


def generator(seed: int, name: str, step: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for this consumer at this step; the same arguments always give the same numbers on one device type."""
    digest = hashlib.blake2b(f"{seed}/{name}/{step}".encode(), digest_size=8).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest, "little") >> 1)
