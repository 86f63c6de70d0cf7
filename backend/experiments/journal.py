"""Finished cells on disk: one JSON line each, so that a run that was killed goes on where it was."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from backend.errors import ResourceError
from backend.experiments.contract import Cell, Result

FILE = "results.jsonl"


class Line(msgspec.Struct, frozen=True):
    """A finished cell as it is written."""

    key: str
    name: str
    spec: dict[str, object]
    values: dict[str, object]
    failure: str
    seconds: float


def key_of(experiment: str, cell: Cell, weights: Sequence[str]) -> str:
    """A hash of everything the outcome depends on: experiment, spec, and the fingerprints of the weights that were used."""
    text = json.dumps([experiment, cell.spec, list(weights)], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def read_lines(folder: Path) -> dict[str, Line]:
    """The last line of every key. A line that is not whole, as a killed run leaves it, counts as not there."""
    path = folder / FILE
    if not path.exists():
        return {}
    found = {}
    for raw in path.read_bytes().splitlines():
        try:
            line = msgspec.json.decode(raw, type=Line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        found[line.key] = line
    return found


def append(folder: Path, key: str, result: Result) -> None:
    """One more line, on disk when this returns. ResourceError if it cannot be written."""
    line = Line(key, result.cell.name, dict(result.cell.spec), dict(result.values), result.failure, result.seconds)
    data = msgspec.json.encode(line) + b"\n"
    path = folder / FILE
    try:
        with open(path, "a+b") as file:
            if file.seek(0, os.SEEK_END) > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    data = b"\n" + data  # what a killed run began to write stays a line of its own
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ResourceError(
            f"'{path}' could not be written: {error.strerror or error}.", "Free some space or choose another --out."
        ) from error
