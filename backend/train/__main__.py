"""`python -m backend.train --work folder --minutes 100 ...`: every scalar option of `TrainOptions` by its name."""

from __future__ import annotations

import argparse
import logging

import msgspec
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from backend.train.options import TrainOptions
from backend.train.run import train_prior


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and export the starter prior.")
    for field in msgspec.structs.fields(TrainOptions):
        if field.name != "sizes":
            parser.add_argument(f"--{field.name.replace('_', '-')}", default=argparse.SUPPRESS)
    given = vars(parser.parse_args())
    options = msgspec.convert(given, TrainOptions, strict=False)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with Progress(TextColumn("{task.description:9}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[line]}")) as bars:
        tasks: dict[str, int] = {}

        def report(stage: str, fraction: float, line: str) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0, line="")
            bars.update(tasks[stage], completed=fraction, line=line)
            if not bars.console.is_terminal and line:
                print(f"{stage} {fraction:.4f} {line}", flush=True)

        result = train_prior(options, report=report)
    print(msgspec.json.format(msgspec.json.encode(result)).decode())


if __name__ == "__main__":
    main()
