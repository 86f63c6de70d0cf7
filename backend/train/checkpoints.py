"""Training states on disk: written to a temporary name and renamed, so that a reader never sees half a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state (tensors, numbers, strings, lists and dictionaries of them)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = path.with_name(path.name + ".part")
    with waiting.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(waiting, path)


def load_state(path: Path) -> dict[str, Any] | None:
    """The state at a path, on the CPU, or None where there is none. No code is ever unpickled from it."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


class Average:
    """Running average of a module's parameters; buffers are copied."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.values = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: torch.nn.Module, decay: float) -> None:
        live = module.state_dict()
        floats = [k for k, v in self.values.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.values[k] for k in floats], [live[k] for k in floats], 1.0 - decay)
        for k, v in self.values.items():
            if not v.is_floating_point():
                v.copy_(live[k])
