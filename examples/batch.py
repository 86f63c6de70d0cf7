"""Many assets from Python: a small sweep over two sketches, the table it leaves, and one of its assets run again.

python examples/batch.py [out=out/example-batch] [steps=60]

The same command again does only what is left to do.
"""

import csv
import json
import sys
from pathlib import Path

from backend.api import batch, refine
from protocol.job import job_from

SKETCHES = Path(__file__).parent / "sketches"


def main(out: str = "out/example-batch", steps: str = "60") -> int:
    jobs = [
        {"sketch": SKETCHES / "mug.glb", "prompt": "a blue mug", "method": ["sds", "nfsd"]},
        {"sketch": SKETCHES / "flower.glb", "prompt": ["a red flower", "a yellow flower"]},
    ]
    outcome = batch(jobs, out, preset="quick", steps=int(steps), budget={"faces": 4000, "texture_px": 256})
    with (Path(out) / "table.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            print(row["id"], row["status"])
    if not outcome.done:
        return 1
    report = (Path(out) / "jobs" / outcome.done[0] / "report.json").read_bytes()
    again = refine(job_from(json.loads(report)["resolved"]), out=Path(out) / "again")
    print(f"{outcome.done[0]} once more: {again.outcome}, {again.steps_done} steps")
    return 0 if not outcome.failed else 5


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
