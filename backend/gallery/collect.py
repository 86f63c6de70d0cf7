"""A batch's folder -> one row a job. What is missing or damaged becomes a row that says so; nothing in a folder stops the report."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.errors import UserError, first_line
from backend.gallery.columns import COLUMNS, Kind

PLAN_FILE, JOBS_FOLDER = "plan.json", "jobs"
REPORT_FILE, FAILED_FILE, ASSET_FILE, SHEET_FILE = "report.json", "failed.json", "asset.glb", "sheet.png"
DONE, EARLY, FAILED, UNFINISHED = "done", "finished early", "failed", "unfinished"
MOST_BYTES = 64 * 2**20
NAME_BYTES = 255

Row = dict[str, Any]


@dataclass
class Batch:
    """`rows`: by column name, None where there is no value. `front_deg`: by id, the azimuth of a job's front. `notes`: for the reader.

    `folders`: by id, the names of those folders whose name is not the id because it is no text.
    """

    out: Path
    rows: list[Row]
    front_deg: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    folders: dict[str, str] = field(default_factory=dict)

    def folder(self, row: Row) -> Path:
        """Where a job's files lie."""
        name = str(row["id"])
        return self.out / JOBS_FOLDER / self.folders.get(name, name)

    def asset(self, row: Row) -> Path | None:
        """The asset of a finished job, if it is there."""
        path = self.folder(row) / ASSET_FILE
        return path if row["status"] in (DONE, EARLY) and os.path.isfile(path) else None

    def sheet(self, row: Row) -> Path | None:
        """The contact sheet of a finished job, if it is there."""
        path = self.folder(row) / SHEET_FILE
        return path if row["status"] in (DONE, EARLY) and os.path.isfile(path) else None


def collect(out: Path) -> Batch:
    """The jobs of the plan in its order; without a readable plan, those whose folders are there, by name.

    Errors: UserError for a folder without a plan and without jobs.
    """
    folders = {path.name: path for path in _listed(out / JOBS_FOLDER) if os.path.isdir(path)}
    if not os.path.isfile(out / PLAN_FILE) and not folders:
        raise UserError(f"There is no batch in '{out}'.", f"Name a folder with {PLAN_FILE} and {JOBS_FOLDER}/ in it.")
    batch = Batch(out, [])
    planned = _planned(out / PLAN_FILE, batch.notes)
    if planned is None:
        planned = {name: {} for name in sorted(folders)}
    elif others := folders.keys() - planned.keys():
        one = len(others) == 1
        batch.notes.append(f"{len(others)} folder{'' if one else 's'} in {JOBS_FOLDER}/ {'is' if one else 'are'} no job of the plan.")
    taken = set(planned)
    for name, entry in planned.items():
        job = name
        if (text := as_text(name)) != name:
            while text in taken:  # several such names may come to the same text
                text += "?"
            taken.add(text)
            batch.folders[text] = name
            job = text
        row, front_deg = _row(job, entry, out / JOBS_FOLDER / name)
        batch.rows.append(row)
        batch.front_deg[job] = front_deg
    return batch


def _planned(path: Path, notes: list[str]) -> dict[str, Mapping[str, Any]] | None:
    """Entries of the plan by id; None where no plan can be read, and a note why."""
    if not os.path.isfile(path):
        notes.append(f"There is no {PLAN_FILE}: the jobs are those whose folders are there.")
        return None
    data, trouble = read_json(path)
    jobs = data.get("jobs") if data else None
    if not isinstance(jobs, list):
        notes.append(f"{trouble or f'{PLAN_FILE} lists no jobs.'} The jobs are those whose folders are there.")
        return None
    entries = [entry for entry in jobs if isinstance(entry, dict) and _is_name(entry.get("id"))]
    if len(entries) < len(jobs):
        notes.append(f"{PLAN_FILE} has {len(jobs) - len(entries)} entries without a name for their folder.")
    return {entry["id"]: entry for entry in entries}


def _is_name(value: Any) -> bool:
    """Whether a job of this id has its folder in jobs/ and nowhere else."""
    if not isinstance(value, str) or value in ("", ".", "..") or any(c in value for c in "/\\\0"):
        return False
    try:
        return len(os.fsencode(value)) <= NAME_BYTES
    except UnicodeEncodeError:
        return False


def _row(name: str, entry: Mapping[str, Any], folder: Path) -> tuple[Row, float]:
    """A job's row, and its front in degrees."""
    found: Row = {"id": name, "config_sha256": entry.get("hash")}
    troubles: list[str] = []
    report: Mapping[str, Any] = {}
    failed: Mapping[str, Any] = {}
    if os.path.isfile(folder / REPORT_FILE):
        read, trouble = read_json(folder / REPORT_FILE)
        report = read or {}
        found["status"] = FAILED if trouble else _status(report)
        if trouble:
            troubles.append(trouble)
        elif found["status"] in (DONE, EARLY) and not os.path.isfile(folder / ASSET_FILE):
            troubles.append(f"Its {ASSET_FILE} is missing.")
    elif os.path.isfile(folder / FAILED_FILE):
        found["status"] = FAILED
        read, trouble = read_json(folder / FAILED_FILE)
        failed = read or {}
        sentence, hint = (str(failed.get(key) or "") for key in ("sentence", "hint"))
        troubles.append(trouble or " ".join(part for part in (sentence or "It failed and left no reason.", hint) if part))
    else:
        found["status"] = UNFINISHED
        troubles.append("It has not finished." if os.path.isdir(folder) else "It has not begun.")
    asked = _first_mapping(report.get("resolved"), report.get("job"), entry.get("job"))
    found |= _settings(asked, entry, report) | _measures(report)
    attempts = failed.get("attempts")
    found["attempts"] = len(attempts) if isinstance(attempts, list) else None
    found["error_code"] = failed.get("code")
    row: Row = {column.name: None for column in COLUMNS}
    wrong = []
    for column in COLUMNS:
        value = found.get(column.name)
        row[column.name] = as_kind(value, column.kind)
        if value not in (None, "") and row[column.name] is None:
            wrong.append(column.name)
    if wrong:
        troubles.append(f"{REPORT_FILE} has no usable value for {', '.join(wrong)}.")
    row["trouble"] = as_text(" ".join(troubles)) or None
    return row, float(as_kind(asked.get("front_deg"), "number") or 0.0)


def _status(report: Mapping[str, Any]) -> str:
    outcome = report.get("outcome", DONE)
    return outcome if outcome in (DONE, EARLY) else UNFINISHED if outcome == "paused" else FAILED


def _settings(job: Mapping[str, Any], entry: Mapping[str, Any], report: Mapping[str, Any]) -> Row:
    inputs = entry.get("inputs")
    first = inputs[0] if isinstance(inputs, list) and inputs and isinstance(inputs[0], dict) else {}
    sketch, prompts = job.get("sketch"), job.get("prompts")
    prior = _first_mapping(report.get("prior"))
    return {
        "prompt": " / ".join(map(str, prompts)) if isinstance(prompts, list) and prompts else job.get("prompt"),
        # The name alone tells sketches apart on a page; their digests tell apart those of one name.
        "sketch": Path(sketch).name if isinstance(sketch, str) and sketch else None,
        "sketch_sha256": first.get("sha256"),
        "method": _method(job, report),
        "preset": job.get("preset"),
        "mode": job.get("mode"),
        "seed": job.get("seed"),
        "slack_stroke_radii": job.get("slack"),
        "parameters": _json(job.get("parameters")),
        "prior": job.get("prior"),
        "prior_name": prior.get("name"),
        "prior_weights_sha256": prior.get("weights"),
    }


def _method(job: Mapping[str, Any], report: Mapping[str, Any]) -> str | None:
    """The gradient asked for; where the preset chose, the stages' gradients in order, or before the run the preset's name."""
    if job.get("method"):
        return str(job["method"])
    if methods := _of_stages(report, 1):
        return " + ".join(dict.fromkeys(methods))
    return f"preset {job['preset']}" if job.get("preset") else None


def _of_stages(report: Mapping[str, Any], place: int) -> list[str]:
    """Of every stage that ran, (name, method, steps)[place]."""
    ran = report.get("ran")
    stages = ran if isinstance(ran, list) else []
    return [str(stage[place]) for stage in stages if isinstance(stage, list) and len(stage) > place]


def _measures(report: Mapping[str, Any]) -> Row:
    seconds = _first_mapping(report.get("seconds"))
    timed = {str(k): v for k, v in seconds.items() if as_kind(v, "number") is not None}
    stages = [timed[name] for name in dict.fromkeys(_of_stages(report, 0)) if name in timed]
    versions = _first_mapping(report.get("versions"))
    notes = report.get("notes")
    same = [column.name for column in COLUMNS if column.group == "fidelity"]
    return {name: report.get(name) for name in [*same, "steps", "device", "denoiser_rows", "peak_memory_mib"]} | {
        "total_s": round(sum(timed.values()), 3) if timed else None,
        "steps_s": round(sum(stages), 3) if stages else None,
        "phases_s": _json(timed),
        "sketchbridge_version": versions.get("sketchbridge"),
        "torch_version": versions.get("torch"),
        "versions": _json(versions),
        "notes": " ".join(map(str, notes)) or None if isinstance(notes, list) else None,
    }


def read_json(path: Path) -> tuple[dict[str, Any] | None, str]:
    """A JSON object from a file, or None and a sentence that says what is wrong with it."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None, f"{path.name} is larger than {MOST_BYTES >> 20} MiB."
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return None, f"{path.name} cannot be read: {error.strerror or first_line(error)}."
    except (ValueError, RecursionError) as error:
        return None, f"{path.name} is damaged: {first_line(error)}."
    if not isinstance(data, dict):
        return None, f"{path.name} is damaged: it should hold one JSON object."
    return data, ""


def as_text(text: str) -> str:
    """Text that every file can hold: half a character, as JSON can name it and names of files can have it, becomes "?"."""
    return text.encode(errors="replace").decode()


def as_kind(value: Any, kind: Kind) -> Any:
    """The value as its column's kind; None where it is none. Whole numbers beyond 64 bits fit no table."""
    if kind == "text":
        return as_text(value) if isinstance(value, str) and value else None
    if kind == "flag":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if kind == "whole":
        return int(value) if abs(value) < 2**63 and value == int(value) else None
    return float(value) if abs(value) < 1e300 else None  # NaN and infinity are no measurements


def _first_mapping(*values: Any) -> Mapping[str, Any]:
    return next((value for value in values if isinstance(value, dict) and value), {})


def _json(value: Any) -> str | None:
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if value else None


def _listed(folder: Path) -> Iterable[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return ()
