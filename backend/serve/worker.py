"""The process that computes on one device: `python -m backend.serve.worker ADDRESS DEVICE`, started by the broker.

The secret in the environment variable `orders.SECRET_VARIABLE` makes the broker listen.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from backend.errors import SketchBridgeError
from backend.serve.orders import SECRET_VARIABLE, Drop
from backend.serve.worker_link import WorkerLink

if TYPE_CHECKING:
    from backend.serve.engine import Engine


def main() -> int:
    """Work until told to leave. The exit status is 0 unless the device cannot be used, or was left broken."""
    parser = argparse.ArgumentParser(prog="python -m backend.serve.worker", description="Runs the jobs of a broker on one device.")
    add_arguments(parser)
    options = parser.parse_args()
    return work(options.address, options.device, _engine)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the broker puts after the command."""
    parser.add_argument("address", help="where the broker listens for workers, for example tcp://127.0.0.1:41234")
    parser.add_argument("device", help="cpu, cuda or cuda:N")


def work(address: str, device: str, load: "Callable[[str], Engine]") -> int:
    """The worker's life. `load`: the engine on a device; it may take seconds of imports, during which the broker already hears us."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    link = WorkerLink(address, device, os.environ.pop(SECRET_VARIABLE, ""))
    link.obey_signals()
    link.start()
    try:
        engine = load(device)
    except SketchBridgeError as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    link.ready(engine.title, engine.memory)
    while not engine.broken and (order := link.next_order()) is not None:
        if isinstance(order, Drop):
            engine.drop()
        else:
            link.end(order, engine.run(order, link.tell))
    link.close()
    return int(engine.broken)


def _engine(device: str) -> "Engine":
    from backend.serve.engine import Engine

    return Engine(device)


if __name__ == "__main__":
    sys.exit(main())
