# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine remembers of its jobs: one small JSON file each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..ports import JobRecord


class FileRecords:
    """The Records port in a folder, which is made at the first save. Files are replaced whole and readable by their owner only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> tuple[JobRecord, ...]:
        """Every record that can be read, oldest first; one that cannot be is logged and left alone."""
        raise NotImplementedError

    def save(self, record: JobRecord) -> None:
        raise NotImplementedError

    def remove(self, job: str) -> None:
        raise NotImplementedError
