"""A job file in TOML: `[defaults]` and `[[jobs]]`. The parser of the standard library tells no lines, so they are found in the text."""

import re
import tomllib
from pathlib import Path
from typing import Any

from backend.batch.places import Place
from backend.errors import UserError, first_line
from protocol.strict import nearest

TEXT_CHARACTERS = 8 * 2**20
"""The parser takes about a second for each of these megabytes."""
TABLES = ("defaults", "jobs")

_JOB = re.compile(r"\s*\[\[\s*jobs\s*\]\]")
_TABLE = re.compile(r"\s*\[\[?\s*([\w.-]+)\s*\]")
_SETTING = re.compile(r"\s*\"?([\w-]+)\"?\s*[.=]")
_AT = re.compile(r" \(at line (\d+), column \d+\)$| \(at end of document\)$")


Placed = tuple[Place, dict[str, Any]]
"""A table and where it stands."""


def read_toml(path: Path, text: str) -> tuple[Placed, list[Placed]]:
    """The defaults, and every job. Errors: UserError with file and line."""
    file = str(path)
    if len(text) > TEXT_CHARACTERS:
        raise UserError(f"The job file '{path}' is too long for TOML.", "Write it as JSON lines.")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = _AT.search(str(error))
        place = Place(file, int(line.group(1)) if line and line.group(1) else text.count("\n") + 1)
        raise place.refuse(f"The file is not valid TOML: {_AT.sub('', str(error))}.", "Correct that line.") from None
    except ValueError as error:  # a number of thousands of digits
        raise UserError(f"The job file '{path}' cannot be read: {first_line(error)}.", "Correct that value.") from None
    except RecursionError:
        raise UserError(f"The job file '{path}' is nested too deeply.", "Write it flat.") from None
    defaults, jobs = data.get("defaults", {}), data.get("jobs", [])
    for name in data:
        if name not in TABLES:
            place = Place(file, _line_of(text, name))
            raise place.refuse(f"The file has no place for '{name}'.", f"{nearest(name, list(TABLES))} A job begins with [[jobs]].")
    if not isinstance(defaults, dict):
        raise Place(file, _line_of(text, "defaults")).refuse("The defaults should be a table.", "Begin them with [defaults].")
    if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
        raise Place(file, _line_of(text, "jobs")).refuse("The jobs should be tables.", "Begin each with [[jobs]].")
    defaults_place, places = _places(file, text, len(jobs))
    return (defaults_place, defaults), list(zip(places, jobs, strict=True))


def _places(file: str, text: str, count: int) -> tuple[Place, list[Place]]:
    """The places of the defaults and of every job; by number where the text does not show these one for one."""
    heads: list[tuple[int, dict[str, int]]] = []
    defaults_line, defaults_lines = 0, dict[str, int]()
    lines: dict[str, int] | None = None
    table = ""
    for number, line in enumerate(text.split("\n"), 1):
        if _JOB.match(line):
            lines, table = {}, ""
            heads.append((number, lines))
        elif other := _TABLE.match(line):
            whole, _, table = other.group(1).partition(".")
            if whole == "defaults":
                defaults_line, lines = defaults_line or number, defaults_lines
            else:
                lines = heads[-1][1] if whole == "jobs" and heads else None
            if lines is not None and table:
                lines.setdefault(table, number)
        elif lines is not None and (setting := _SETTING.match(line)):
            lines.setdefault(f"{table}.{setting.group(1)}".lstrip("."), number)
    defaults = Place(file, defaults_line, label="the defaults", lines=defaults_lines)
    if len(heads) != count:
        return defaults, [Place(file, label=f"job {index}") for index in range(1, count + 1)]
    return defaults, [Place(file, line, lines=own) for line, own in heads]


def _line_of(text: str, name: str) -> int:
    pattern = re.compile(rf"\s*(\[\[?\s*)?\"?{re.escape(name)}\b")
    return next((number for number, line in enumerate(text.split("\n"), 1) if pattern.match(line)), 0)
