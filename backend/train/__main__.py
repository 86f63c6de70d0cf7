"""`python -m backend.train --work folder --minutes 100 ...`: every scalar option of `TrainOptions` by its name."""

from __future__ import annotations

import argparse
import logging

import msgspec

from backend.train.console import progress_bars
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
    with progress_bars() as report:
        result = train_prior(options, report=report)
    print(msgspec.json.format(msgspec.json.encode(result)).decode())


if __name__ == "__main__":
    main()
