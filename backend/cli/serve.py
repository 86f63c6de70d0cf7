"""`sketchbridge serve`: the server that Blender and other clients connect to."""

import json
import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from protocol.errors import UserError
from protocol.version import DEFAULT_PORT

LEVELS = ("debug", "info", "warning", "error")


def serve_command(
    host: Annotated[str, typer.Option(help="Address to listen on; only this machine can connect.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one and prints it.")] = DEFAULT_PORT,
    data: Annotated[Path | None, typer.Option(help="Folder for jobs, inputs and results; a folder of the user by default.")] = None,
    devices: Annotated[str, typer.Option(help="auto, cpu, or for example cuda:0,cuda:1; one worker each.")] = "auto",
    prior: Annotated[
        list[str] | None, typer.Option(help="A prior to offer besides the starter: folder, hub id or exemplar:FOLDER; repeatable.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    as_json: Annotated[bool, typer.Option("--json", help="Tell the address as one JSON line on stdout.")] = False,
) -> None:
    """Take jobs from Blender and run them. Ctrl-C stops it; every job goes on at the next start."""
    from backend.serve.address import data_folder
    from backend.serve.broker import Settings, serve
    from backend.serve.devices import parse_devices

    if log_level not in LEVELS:
        raise UserError(f"There is no log level '{log_level}'.", f"Use {', '.join(LEVELS)}.")
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    folder = data_folder() if data is None else data
    settings = Settings(folder, host, port, parse_devices(devices), tuple(prior or ()))

    def ready(address: str) -> None:
        if as_json:
            print(json.dumps({"ready": True, "address": address, "port": int(address.rpartition(":")[2]), "pid": os.getpid()}), flush=True)
        else:
            print(f"SketchBridge listens on {address}; jobs are kept in {folder}. Ctrl-C stops it.", flush=True)

    serve(settings, ready)
