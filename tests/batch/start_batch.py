"""A batch as a process of its own, with workers that compute nothing or with real ones: `python -m tests.batch.start_batch OPTIONS`."""

import json
import sys
from pathlib import Path

from backend.batch.engines import WORKER, LocalEngine
from backend.batch.plan import plan_of
from backend.batch.run import run_plan
from backend.cli.batch import logged
from backend.cli.batch_watch import JsonEvents
from tests.batch.conftest import IDLE, QUICK


def main(options):
    jobs, out, workers, real, rerun = json.loads(options)
    engine = LocalEngine(("cpu",), workers, WORKER if real else IDLE, None if real else QUICK)
    plan, watch = plan_of(Path(jobs)).plan, JsonEvents()
    with logged(watch, Path(rerun) if rerun else None, plan) as told:
        outcome = run_plan(plan, Path(out), engine, told)
    watch.finish(outcome)
    return 130 if outcome.stopped else 5 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
