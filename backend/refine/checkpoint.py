"""A run on disk: what continues it bit for bit on one CPU. Written to a temporary name, synced, renamed."""

import io
from pathlib import Path
from typing import Any

import torch

from backend.assets.atomic import write_bytes
from backend.errors import UserError

VERSION = 5


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint at `path`. Errors: ResourceError where the disk refuses; the old checkpoint then still stands."""
    buffer = io.BytesIO()
    torch.save({"version": VERSION, **state}, buffer)
    write_bytes(path, buffer.getvalue())


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """The state written by `write_checkpoint`; only plain data and tensors are read, never code.

    Errors: UserError for a missing, damaged or foreign file.
    """
    if not path.is_file():
        raise UserError(f"There is no checkpoint at '{path}'.", "Name the output folder of a run that was stopped.")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise UserError(f"The checkpoint '{path}' is damaged ({type(error).__name__}).", "Start the run again.") from None
    if state.get("version") != VERSION:
        raise UserError(f"The checkpoint '{path}' is of version {state.get('version')}, not {VERSION}.", "Start the run again.")
    return state


def moved(state: Any, device: torch.device) -> Any:
    """The same state with its tensors on `device`."""
    if isinstance(state, dict):
        return {key: moved(value, device) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(moved(value, device) for value in state)
    return state.to(device) if isinstance(state, torch.Tensor) else state
