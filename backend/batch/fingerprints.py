"""What a job's result depends on, as digests: its settings, its input's bytes, its prior's files."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from backend.batch.check_job import STARTER_FOLDER
from backend.errors import UserError, first_line
from backend.priors.exemplar_folder import EXEMPLAR
from protocol.job import RefineJob

WITHOUT_EFFECT = ("device", "preview_every", "checkpoint_every")
"""Settings that change how a run goes and not what comes out."""


def content_of(job: RefineJob, name: str, sketch: str, prior: str) -> str:
    """SHA-256 over the job, the id it gives itself, and the digests of its sketch ("" for none) and prior.

    Settings that stand at their defaults do not count, so that a version with one setting more has the same digests; nor does where
    the sketch and the prior lie.
    """
    settings = _changed(job)
    for setting in ("sketch", "prior", *WITHOUT_EFFECT):
        settings.pop(setting, None)
    told = {"id": name, "job": settings, "sketch": sketch, "prior": prior}
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()


def file_digest(path: str) -> str:
    """SHA-256 of a file's bytes. Errors: UserError where it cannot be read."""
    try:
        stat = Path(path).stat()
        return _digest(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise UserError(f"The file '{path}' cannot be read: {first_line(error)}.", "Check its permissions.") from None


def prior_digest(prior: str) -> str:
    """SHA-256 over the files of the prior's folder but its README, names included; of a hub id over the id alone."""
    if prior == "starter":
        folder = STARTER_FOLDER
    else:
        folder = Path(prior.removeprefix(EXEMPLAR))
        if not folder.is_absolute() or not folder.is_dir():
            return hashlib.sha256(prior.encode()).hexdigest()
    total = hashlib.sha256(EXEMPLAR.encode() if prior.startswith(EXEMPLAR) else b"")
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    for path in sorted(path for path in files if path.name != "README.md"):
        total.update(f"{path.relative_to(folder).as_posix()} {file_digest(str(path))}\n".encode())
    return total.hexdigest()


@lru_cache(maxsize=65536)
def _digest(path: str, size: int, changed_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _changed(value: msgspec.Struct) -> dict[str, Any]:
    """The settings of a struct that differ from its defaults, as plain data."""
    changed: dict[str, Any] = {}
    for field in msgspec.structs.fields(value):
        held = getattr(value, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if held != default:
            changed[field.encode_name] = _changed(held) if isinstance(held, msgspec.Struct) else _plain(held)
    return changed


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_changed(each) if isinstance(each, msgspec.Struct) else each for each in value]
    return value
