# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine remembers of its jobs: one small JSON file each."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import msgspec

from ..ports import JobRecord

log = logging.getLogger(__name__)

NAME = re.compile("[0-9a-f]{32}")
LARGEST = 2**20


class FileRecords:
    """The Records port in a folder, which is made at the first save. Files are replaced whole and readable by their owner only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> tuple[JobRecord, ...]:
        """Every record that can be read, oldest first; one that cannot be is logged and left alone."""
        found = (self._read(path) for path in self.folder.glob("*.json") if NAME.fullmatch(path.stem))
        return tuple(sorted((record for record in found if record is not None), key=lambda record: record.submitted_at))

    def save(self, record: JobRecord) -> None:
        """Errors: OSError where the folder cannot be written."""
        path = self._path(record.job)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        half = path.with_suffix(f".{os.getpid()}.half")
        half.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(record), indent=1))
                file.flush()
                os.fsync(file.fileno())
            os.replace(half, path)
        finally:
            half.unlink(missing_ok=True)

    def remove(self, job: str) -> None:
        """Nothing happens where it is gone already."""
        self._path(job).unlink(missing_ok=True)

    def _path(self, job: str) -> Path:
        if not NAME.fullmatch(job):
            raise ValueError(f"a job id has 32 hexadecimal digits, but this one is {job[:40]!r}")
        return self.folder / f"{job}.json"

    def _read(self, path: Path) -> JobRecord | None:
        try:
            with path.open("rb") as file:
                record = msgspec.json.decode(file.read(LARGEST), type=JobRecord)
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("The record of job %s cannot be read: %s", path.stem[:8], error)
            return None
        if record.job != path.stem or len(record.to_world) != 16:
            log.warning("The record of job %s is not about that job.", path.stem[:8])
            return None
        return record
