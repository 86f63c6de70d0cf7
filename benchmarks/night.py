"""The jobs of examples/night.toml on one worker and on two, from nothing to the last asset: `python -m benchmarks.night [--write]`.

The folders stay, with table and page, in `--out`. What counts is the ratio: both run here and now, one after the other.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from backend import gallery
from backend.batch.engines import LocalEngine
from backend.batch.plan import plan_of
from backend.batch.run import run_plan
from backend.cli.batch_watch import Lines
from backend.experiments.page import put

ROOT = Path(__file__).parent.parent
JOBS = ROOT / "examples" / "night.toml"
PAGE = ROOT / "docs" / "benchmarks.md"
WORKERS = (1, 2)


@dataclass(frozen=True)
class Measured:
    """`wall_s`: workers' start included; `job_s`: mean of the seconds that the reports say; `memory_mib`: the largest of one worker."""

    workers: int
    jobs: int
    wall_s: float
    job_s: float
    memory_mib: float
    report_s: float


def measure(workers: int, out: Path, steps: int) -> Measured:
    """Run all jobs in a new folder, and make its report, judging included."""
    plan = plan_of(JOBS, {"steps": steps}).plan
    watch = Lines()
    began = time.monotonic()
    outcome = run_plan(plan, out, LocalEngine(workers=workers), watch)
    wall_s = time.monotonic() - began
    watch.finish(outcome)
    if len(outcome.done) < len(plan.jobs):
        sys.exit("Not all jobs were done, so there is nothing to compare.")
    began = time.monotonic()
    gallery.make(out)
    report_s = time.monotonic() - began
    reports = [json.loads((out / "jobs" / job / "report.json").read_bytes()) for job in outcome.done]
    job_s = sum(sum(report["seconds"].values()) for report in reports) / len(reports)
    memory = max(report["peak_memory_mib"] or 0.0 for report in reports)
    return Measured(workers, len(reports), wall_s, job_s, memory, report_s)


def table(rows: list[Measured]) -> str:
    lines = ["| workers | wall, s | jobs an hour | s a job | memory of a worker, MiB | ratio of wall times |", "|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(
            f"| {row.workers} | {row.wall_s:.0f} | {row.jobs / row.wall_s * 3600:.0f} | {row.job_s:.1f} "
            f"| {row.memory_mib:.0f} | {rows[0].wall_s / row.wall_s:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("out/benchmark-night"))
    options.add_argument("--steps", type=int, default=-1, help="of every job; -1: the preset's")
    options.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    given = options.parse_args()
    if given.out.exists():
        sys.exit(f"'{given.out}' is there already, with jobs that would not run again. Take it away, or name another --out.")
    load = os.getloadavg()[0]
    rows = [measure(workers, given.out / f"workers-{workers}", given.steps) for workers in WORKERS]
    steps = "the preset's" if given.steps < 0 else given.steps
    judged = f"judging and page of {rows[-1].jobs} assets: {rows[-1].report_s:.0f} s"
    text = f"{os.cpu_count()} cores, load {load:.1f} before; {steps} steps a job; {judged}\n\n{table(rows)}"
    print(text)
    if given.write:
        put(text, PAGE, "night")


if __name__ == "__main__":
    main()
