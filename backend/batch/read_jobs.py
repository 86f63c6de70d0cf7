"""Job files as they stand: JSON lines, TOML, CSV and plain prompts, read line by line and within limits.

What comes out are settings as written; defaults, sweeps and paths are `expand`'s.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from backend.batch.places import Place
from backend.batch.read_toml import read_toml
from backend.errors import UserError
from protocol.job import RefineJob
from protocol.strict import nearest

FILE_BYTES = 64 * 2**20
"""Larger files are refused from their size alone."""
LINE_BYTES = 2**20
ID = "id"
DEFAULTS = "defaults"

_TEXTS = frozenset(
    field.encode_name
    for field in msgspec.structs.fields(RefineJob)
    if isinstance(msgspec.inspect.type_info(field.type), msgspec.inspect.StrType | msgspec.inspect.LiteralType)
) | {ID}


@dataclass(frozen=True)
class Entry:
    """The settings of one job as the file gives them, `defaults` for what it leaves open, and where both stand."""

    place: Place
    settings: dict[str, Any]
    defaults: dict[str, Any]
    defaults_place: Place


def read_jobs(path: Path) -> Iterator[Entry]:
    """The entries of a job file, by its suffix: .jsonl, .toml, .csv, or .txt with one prompt a line.

    Errors: UserError with file and line for a file that is not there, of no known kind, too large, not UTF-8 or not understood.
    """
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise UserError(f"The job file '{path}' is of no known kind.", f"Name it {', '.join(sorted(_READERS))}.")
    if path.is_dir():
        raise UserError(f"The job file '{path}' is a folder.", "Name the file in it.")
    try:
        size = path.stat().st_size
        if size > FILE_BYTES:
            raise _too_large(path, size)
        yield from _READERS[kind](path)
    except FileNotFoundError:
        raise UserError(f"There is no job file '{path}'.", "Check its name.") from None
    except OSError as error:
        raise UserError(f"The job file '{path}' cannot be read: {error.strerror}.", "Check its permissions.") from None


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines with their ends. Errors: UserError for a line or file beyond the limits, or no UTF-8."""
    total = number = 0
    with path.open("rb") as file:
        while line := file.readline(LINE_BYTES + 1):
            number += 1
            total += len(line)
            place = Place(str(path), number)
            if len(line) > LINE_BYTES:
                raise place.refuse(f"The line is longer than {LINE_BYTES // 2**20} MB.", "Check that this is a job file.")
            if total > FILE_BYTES:  # a pipe has no size to look at
                raise _too_large(path, total)
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise place.refuse("The line is not UTF-8 text.", "Save the file as UTF-8.") from None


def _too_large(path: Path, size: int) -> UserError:
    sentence = f"The job file '{path}' has {size / 2**20:,.0f} MB, more than {FILE_BYTES // 2**20}."
    return UserError(sentence, "Split it; a sweep says in one line what many would.")


def _json_lines(path: Path) -> Iterator[Entry]:
    defaults: dict[str, Any] = {}
    defaults_place = Place(str(path))
    for number, line in lines_of(path):
        if not line.strip():
            continue
        place = Place(str(path), number)
        try:
            data = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            said = "nested too deeply" if isinstance(error, RecursionError) else str(error).removeprefix("JSON is malformed: ")
            raise place.refuse(f"The line is not valid JSON: {said}.", "Write one object a line.") from None
        if not isinstance(data, dict):
            raise place.refuse(f"A job should be a JSON object, but it is a {type(data).__name__}.", "Wrap its settings in braces.")
        if set(data) == {DEFAULTS}:
            if not isinstance(data[DEFAULTS], dict):
                raise place.refuse("The defaults should be a JSON object.", 'Write {"defaults": {"preset": "quick"}}.')
            defaults, defaults_place = data[DEFAULTS], place
            continue
        yield Entry(place, data, defaults, defaults_place)


def _toml(path: Path) -> Iterator[Entry]:
    (defaults_place, defaults), jobs = read_toml(path, "".join(line for _, line in lines_of(path)))
    for place, settings in jobs:
        yield Entry(place, settings, defaults, defaults_place)


def _csv(path: Path) -> Iterator[Entry]:
    """The first row names the settings (budget.faces for one inside another); an empty cell is no setting, a JSON list a sweep."""
    rows = csv.reader((line for _, line in lines_of(path)), strict=True)
    names: list[str] = []
    began = 1
    while True:
        place = Place(str(path), began)
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise Place(str(path), rows.line_num).refuse(f"The row is not valid CSV: {error}.", "Check its quotation marks.") from None
        if row is None:
            return
        began = rows.line_num + 1
        if not any(cell.strip() for cell in row):
            continue
        if not names:
            names = [cell.strip() for cell in row]
            _check_header(names, place)
            continue
        if len(row) > len(names):
            raise place.refuse(f"The row has {len(row)} cells for {len(names)} settings.", "Put a text with commas into quotation marks.")
        settings: dict[str, Any] = {}
        for name, cell in zip(names, row, strict=False):
            if cell.strip():
                _put(settings, name, _value(name, cell.strip()))
        yield Entry(place, settings, {}, place)


def _check_header(names: list[str], place: Place) -> None:
    known = [*RefineJob.__struct_encode_fields__, ID]
    for name in names:
        if name.partition(".")[0] not in known:
            raise place.refuse(f"The job has no setting '{name}'.", nearest(name.partition(".")[0], known))
        if names.count(name) > 1:
            raise place.refuse(f"The setting '{name}' has two columns.", "Remove one.")
        if "." in name and name.partition(".")[0] in names:
            raise place.refuse(f"The setting '{name}' has a column, and so has all of it.", "Remove one.")


def _put(settings: dict[str, Any], name: str, value: Any) -> None:
    outer, dot, inner = name.partition(".")
    if not dot:
        settings[outer] = value
    else:
        inside = settings.setdefault(outer, {})
        if isinstance(inside, dict):
            inside[inner] = value


def _value(name: str, cell: str) -> Any:
    """A cell as JSON where it is; a text field's only where it is a list of values."""
    if name in _TEXTS and not cell.startswith("["):
        return cell
    try:
        value = json.loads(cell.lower() if cell in ("TRUE", "FALSE") else cell)
    except (ValueError, RecursionError):
        return cell
    return cell if name in _TEXTS and not isinstance(value, list) else value


def _prompts(path: Path) -> Iterator[Entry]:
    """One prompt a line, as the public lists have them; a number before it and quotation marks around it are not of the prompt."""
    for number, line in lines_of(path):
        prompt = re.sub(r"^\s*\d+[.):]\s+", "", line).strip().strip('"').strip()
        if prompt and not prompt.startswith("#"):
            yield Entry(place := Place(str(path), number), {"prompt": prompt}, {"mode": "prompt"}, place)


_READERS: dict[str, Callable[[Path], Iterator[Entry]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".toml": _toml,
    ".csv": _csv,
    ".txt": _prompts,
}
