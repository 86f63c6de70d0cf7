"""The judging at the end of a batch, on a terminal: a bar with the time left, and Ctrl-C ends it with a report of what there is."""

import csv
import os
import pty
import re
import signal
import subprocess
import sys
import time

import msgspec
import pytest

from backend.batch.plan import plan_of
from tests.gallery.folder import finish

JOBS = 12
PATIENCE_S = 120.0


@pytest.fixture
def finished(tmp_path, out):
    """A job file, all of whose jobs lie done in the folder of the batch, and not judged."""
    jobs = tmp_path / "jobs.txt"
    jobs.write_text("".join(f"a red ball {k}\n" for k in range(JOBS)))
    for planned in plan_of(jobs).plan.jobs:
        finish(out, {"id": planned.id, "job": msgspec.to_builtins(planned.job)})
    return jobs


class Terminal:
    """A command on a terminal of its own; `seen` is what stood there."""

    def __init__(self, *command):
        self._fd, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        self.seen = ""

    def read(self):
        """A little more; False at the end."""
        try:
            part = os.read(self._fd, 65536)
        except OSError:  # how Linux says that nobody has the terminal open any more
            return False
        self.seen += part.decode(errors="replace")
        return bool(part)

    def wait_for(self, pattern):
        until = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.seen):
            assert time.monotonic() < until and self.read(), self.seen[-500:]

    def finish(self):
        while self.read():
            pass
        return self.process.wait(PATIENCE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self._fd)


def test_control_c_ends_the_judging_and_the_report_is_made(finished, out):
    with Terminal(sys.executable, "-m", "backend.cli.main", "batch", str(finished), "--out", str(out)) as command:
        command.wait_for(r"\d:\d\d:\d\d\S* judging a-red-ball-2")
        command.process.send_signal(signal.SIGINT)
        assert command.finish() == 0, command.seen[-500:]
    judged = len(list(out.glob("jobs/*/judged.json")))
    assert 2 <= judged < JOBS
    assert f"The judging was stopped: {JOBS - judged} assets have no scores yet." in command.seen
    assert f"{JOBS} done" in command.seen and (out / "index.html").is_file()
    with (out / "table.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == JOBS and sum(row["judge_iq_nats"] != "" for row in rows) == judged
