"""The process that runs a batch's jobs on one device: `python -m backend.batch.worker [--threads N] ADDRESS DEVICE`."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from backend.serve.worker import add_arguments, work

if TYPE_CHECKING:
    from backend.batch.job_engine import JobEngine


def main() -> int:
    """Work until told to leave, as a server's worker does."""
    parser = argparse.ArgumentParser(prog="python -m backend.batch.worker", description="Runs the jobs of a batch on one device.")
    parser.add_argument("--threads", type=int, default=0, help="of the processor; 0 leaves that to torch")
    add_arguments(parser)
    options = parser.parse_args()
    if options.threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))  # before torch is loaded
    return work(options.address, options.device, _engine)


def _engine(device: str) -> "JobEngine":
    from backend.batch.job_engine import JobEngine

    return JobEngine(device)


if __name__ == "__main__":
    sys.exit(main())
