"""What went wrong with a job so far, and what is done about it: once more, smaller, or nothing any more."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from backend.assets.atomic import write_bytes
from backend.gallery.collect import FAILED_FILE
from protocol.messages import Fault

ATTEMPTS_FILE = "attempts.json"
MEMORY = "memory"
"""The code of a fault for want of memory; it exists between the workers and the batch alone."""
LOST = "worker_lost"
ALIKE = 2

Next = Literal["again", "smaller", "quarantine"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One run that came to nothing: why, on which worker, and after how many steps."""

    sentence: str
    worker: str
    step: int
    code: str = ""


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """`failed.json`: why a job is not tried any more."""

    sentence: str
    hint: str
    code: str
    attempts: tuple[Attempt, ...] = ()


def what_next(attempts: Sequence[Attempt], fault: Fault, smaller: bool) -> Next:
    """After a failure, the last of `attempts`; `smaller`: the job can be run with less memory.

    What fails twice alike is not tried a third time, what is not retryable not a second time. A job whose workers were lost has been
    tried again already.
    """
    alike = sum(attempt.code == fault.code for attempt in attempts)
    if not fault.retryable or fault.code == LOST or alike >= ALIKE:
        return "quarantine"
    if fault.code == MEMORY:
        return "smaller" if smaller else "quarantine"
    return "again"


def read_attempts(folder: Path) -> tuple[Attempt, ...]:
    """Those noted in a job's folder; none where the file cannot be read, which costs a job one attempt more."""
    try:
        return msgspec.json.decode((folder / ATTEMPTS_FILE).read_bytes(), type=tuple[Attempt, ...])
    except (OSError, msgspec.MsgspecError):
        return ()


def note_attempt(folder: Path, attempt: Attempt) -> tuple[Attempt, ...]:
    """Add one to those noted."""
    attempts = (*read_attempts(folder), attempt)
    write_bytes(folder / ATTEMPTS_FILE, msgspec.json.format(msgspec.json.encode(attempts), indent=1) + b"\n")
    return attempts


def quarantine(folder: Path, fault: Fault, attempts: Sequence[Attempt]) -> None:
    """Leave `failed.json` in the job's folder."""
    failed = Quarantined(sentence=fault.sentence, hint=fault.hint, code=fault.code, attempts=tuple(attempts))
    write_bytes(folder / FAILED_FILE, msgspec.json.format(msgspec.json.encode(failed), indent=1) + b"\n")


def release(folder: Path) -> None:
    """Out of quarantine: what went wrong before counts no more."""
    for name in (FAILED_FILE, ATTEMPTS_FILE):
        (folder / name).unlink(missing_ok=True)


def read_failed(folder: Path) -> Quarantined | None:
    try:
        return msgspec.json.decode((folder / FAILED_FILE).read_bytes(), type=Quarantined)
    except (OSError, msgspec.MsgspecError):
        return None
