"""The job table on disk: SQLite for jobs and their recorded events, one folder per job for what its run writes."""

import shutil
import sqlite3
from pathlib import Path

import msgspec

from backend.serve.stored_job import StoredJob
from protocol.errors import ResourceError
from protocol.messages import JobState, Remark

Recorded = JobState | Remark

_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, owner TEXT NOT NULL, state TEXT NOT NULL, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    job TEXT NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (job, seq)
) WITHOUT ROWID;
"""
_RECORDED: dict[str, type[JobState] | type[Remark]] = {"JobState": JobState, "Remark": Remark}


class Store:
    """The data folder. Writes become durable, all together, at `commit`; nothing may be announced before."""

    def __init__(self, folder: Path) -> None:
        """Opens or makes the store. Errors: ResourceError if another server has it open, or it cannot be read or written."""
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = folder / "jobs.sqlite"
            self._database = sqlite3.connect(self._file, timeout=0, isolation_level=None)
            # Exclusive for as long as the process lives: the lock that keeps a second server out.
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode=WAL")
            # What was announced must outlive a power cut as well; a commit is one sync, and there are a few per second.
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_TABLES)
            self._database.execute("BEGIN EXCLUSIVE")
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise ResourceError(f"Another server uses the folder '{folder}'.", "Stop it, or name another folder with --data.") from None
            raise ResourceError(f"The job store in '{folder}' cannot be opened: {error}.", "Name another folder with --data.") from None
        except (OSError, sqlite3.DatabaseError) as error:
            raise ResourceError(f"The job store in '{folder}' cannot be opened: {error}.", "Name another folder with --data.") from None
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(StoredJob)

    def jobs(self) -> list[StoredJob]:
        """All jobs. Errors: ResourceError for one that this version cannot read."""
        try:
            return [self._decoder.decode(record) for (record,) in self._database.execute("SELECT record FROM jobs")]
        except msgspec.MsgspecError as error:
            raise ResourceError(
                f"The job store in '{self.folder}' was written by another version: {error}.", "Name another folder."
            ) from None

    def save(self, job: StoredJob) -> None:
        self._begin()
        self._database.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?)", (job.id, job.owner, job.state, self._encoder.encode(job)))

    def record(self, job: str, seq: int, at: float, body: Recorded) -> None:
        """One event of a job, for those who attach later."""
        self._begin()
        packed = msgspec.msgpack.encode(body)
        self._database.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?)", (job, seq, at, type(body).__name__, packed))

    def events(self, job: str, after: int) -> list[tuple[int, Recorded]]:
        """The recorded events of a job with numbers above `after`, in order."""
        rows = self._database.execute("SELECT seq, kind, body FROM events WHERE job = ? AND seq > ? ORDER BY seq", (job, after))
        return [(seq, msgspec.msgpack.decode(body, type=_RECORDED[kind])) for seq, kind, body in rows]

    def remove(self, job: str) -> None:
        """Forget the job, its events and its folder."""
        self._begin()
        self._database.execute("DELETE FROM jobs WHERE id = ?", (job,))
        self._database.execute("DELETE FROM events WHERE job = ?", (job,))
        self.empty(job)

    def job_folder(self, job: str) -> Path:
        """Where the run of the job writes; made if it is not there."""
        folder = self._folder_of(job)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def empty(self, job: str) -> None:
        """Remove what the runs of the job wrote."""
        shutil.rmtree(self._folder_of(job), ignore_errors=True)

    def commit(self) -> None:
        """Everything written so far is on disk. Errors: ResourceError if the disk refuses, or the file has been taken away."""
        if self._database.in_transaction:
            if not self._file.exists():  # SQLite would go on writing to a file that nobody can open again
                raise ResourceError(f"The job store in '{self.folder}' was removed while the server used it.", "Start the server again.")
            try:
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                raise ResourceError(
                    f"The job store in '{self.folder}' cannot be written: {error}.", "Free some space on its disk."
                ) from None

    def close(self) -> None:
        self.commit()
        self._database.close()

    def _folder_of(self, job: str) -> Path:
        return self.folder.absolute() / "jobs" / job

    def _begin(self) -> None:
        if not self._database.in_transaction:
            self._database.execute("BEGIN")
