"""The real server with fake workers and short deadlines, as a process of its own: `python -m tests.serve.start_server DATA OPTIONS`."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import msgspec

from backend.serve.broker import Settings, serve
from backend.serve.workers import Deadlines
from protocol.messages import Limits

QUICK = Deadlines(start=60.0, silence=1.5, cancel=0.5, leave=5.0, retry=(0.05, 0.5))


def main(data, options):
    options = json.loads(options)
    settings = Settings(
        Path(data),
        port=options.get("port", 0),
        devices=tuple(options.get("devices", ["cpu"])),
        priors=tuple(options.get("priors", [])),
        worker_command=options.get("worker", [sys.executable, "-m", "tests.serve.fake_worker"]),
        deadlines=replace(QUICK, **options.get("deadlines", {})),
        limits=msgspec.convert(options.get("limits", {}), Limits),
    )
    serve(settings, lambda address: print(json.dumps({"address": address, "torch": "torch" in sys.modules}), flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
