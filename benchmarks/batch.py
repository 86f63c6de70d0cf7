"""Scheduling overhead of a batch, with workers that compute nothing: `python -m benchmarks.batch [--jobs 5000] [--workers 2]`."""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from backend.batch.board import Board, Silent
from backend.batch.engines import LocalEngine
from backend.batch.plan import Plan, plan_of
from backend.batch.run import Outcome, run_plan

WORKER = (sys.executable, "-m", "tests.batch.idle_worker")


@dataclass
class Measured:
    """`grown_mib`: resident memory at the end over that when a tenth of the jobs was done."""

    plan: Plan
    outcome: Outcome
    plan_s: float
    per_job_ms: float
    held_mib: float
    grown_mib: float


class _Memory(Silent):
    def __init__(self) -> None:
        self.first: tuple[float, int] | None = None
        self.last = (0.0, 0)
        self.mib: list[tuple[int, float]] = []

    def show(self, board: Board) -> None:
        if board.done and self.first is None:
            self.first = time.monotonic(), board.done
        self.last = time.monotonic(), board.done
        self.mib.append((board.done, resident_mib()))


def batch_of(count: int, workers: int, folder: Path) -> Measured:
    """Plan and run so many jobs of no step in `folder`."""
    jobs = folder / "jobs.jsonl"
    jobs.write_text("".join(f'{{"prompt": "thing {k}", "mode": "prompt", "steps": 0}}\n' for k in range(count)))
    began = time.monotonic()
    plan = plan_of(jobs).plan
    plan_s = time.monotonic() - began
    watch = _Memory()
    outcome = run_plan(plan, folder / "out", LocalEngine(("cpu",), workers, WORKER), watch)
    # From the first finished job on: workers take their time to start.
    assert watch.first is not None
    seconds, done = watch.last[0] - watch.first[0], watch.last[1] - watch.first[1]
    early = next(mib for done_then, mib in watch.mib if done_then >= count / 10)
    return Measured(plan, outcome, plan_s, 1000 * seconds / max(1, done), watch.mib[-1][1], watch.mib[-1][1] - early)


def resident_mib() -> float:
    """Of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = batch_of(options.jobs, options.workers, Path(folder))
    print(f"{len(measured.outcome.done)} jobs on {options.workers} workers that compute nothing")
    print(f"plan {1000 * measured.plan_s / options.jobs:.2f} ms a job; run {measured.per_job_ms:.2f} ms a job")
    print(f"resident memory {measured.held_mib:.0f} MiB at the end, {measured.grown_mib:+.1f} MiB since a tenth was done")


if __name__ == "__main__":
    main()
