"""The process that computes on one device: `python -m backend.serve.worker ADDRESS DEVICE`, started by the broker.

The secret in the environment variable `orders.SECRET_VARIABLE` makes the broker listen.
"""

import argparse
import logging
import os
import sys

from backend.errors import SketchBridgeError
from backend.serve.orders import SECRET_VARIABLE, Drop
from backend.serve.worker_link import WorkerLink


def main() -> int:
    """Work until told to leave. The exit status is 0 unless the device cannot be used, or was left broken."""
    parser = argparse.ArgumentParser(prog="python -m backend.serve.worker", description="Runs the jobs of a broker on one device.")
    parser.add_argument("address", help="where the broker listens for workers, for example tcp://127.0.0.1:41234")
    parser.add_argument("device", help="cpu, cuda or cuda:N")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    link = WorkerLink(options.address, options.device, os.environ.pop(SECRET_VARIABLE, ""))
    link.obey_signals()
    link.start()

    from backend.serve.engine import Engine  # seconds of imports, during which the broker already hears us

    try:
        engine = Engine(options.device)
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


if __name__ == "__main__":
    sys.exit(main())
