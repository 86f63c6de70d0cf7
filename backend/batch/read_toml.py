"""A job file in TOML: `[defaults]` and `[[jobs]]`. The parser of the standard library tells no lines, so they are found in the text."""

import re
import tomllib
from pathlib import Path
from typing import Any

from backend.batch.places import Place
from backend.errors import UserError
from protocol.strict import nearest

TEXT_CHARACTERS = 8 * 2**20
"""The parser takes about a second for each of these megabytes."""
TABLES = ("defaults", "jobs")

_JOB = re.compile(r"\s*\[\[\s*jobs\s*\]\]")
_TABLE = re.compile(r"\s*\[\[?\s*([\w.-]+)\s*\]")
_SETTING = re.compile(r"\s*\"?([\w-]+)\"?\s*[.=]")
_AT = re.compile(r" \(at line (\d+), column \d+\)$| \(at end of document\)$")


def read_toml(path: Path, text: str) -> tuple[dict[str, Any], list[tuple[Place, dict[str, Any]]]]:
    """The defaults, and every job with its place. Errors: UserError with file and line."""
    file = str(path)
    if len(text) > TEXT_CHARACTERS:
        raise UserError(f"The job file '{path}' is too long for TOML.", "Write it as JSON lines.")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = _AT.search(str(error))
        place = Place(file, int(line.group(1)) if line and line.group(1) else text.count("\n") + 1)
        raise place.refuse(f"The file is not valid TOML: {_AT.sub('', str(error))}.", "Correct that line.") from None
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
    return defaults, list(zip(_places(file, text, len(jobs)), jobs, strict=True))


def _places(file: str, text: str, count: int) -> list[Place]:
    """The place of every job; by number where the text does not show them one for one."""
    found: list[tuple[int, dict[str, int]]] = []
    inside, table = False, ""
    for number, line in enumerate(text.splitlines(), 1):
        if _JOB.match(line):
            found.append((number, {}))
            inside, table = True, ""
        elif other := _TABLE.match(line):
            inside, table = other.group(1).startswith("jobs."), other.group(1).removeprefix("jobs.")
            if inside and found:
                found[-1][1].setdefault(table, number)
        elif inside and found and (setting := _SETTING.match(line)):
            found[-1][1].setdefault(f"{table}.{setting.group(1)}".lstrip("."), number)
    if len(found) != count:
        return [Place(file, label=f"job {index}") for index in range(1, count + 1)]
    return [Place(file, line, lines=lines) for line, lines in found]


def _line_of(text: str, name: str) -> int:
    pattern = re.compile(rf"\s*(\[\[?\s*)?\"?{re.escape(name)}\b")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 0)
