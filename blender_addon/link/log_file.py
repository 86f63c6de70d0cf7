# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's log: a rotating file in the user's folder, opened at the first line."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

PACKAGE = __name__.rpartition(".link.")[0]
"""The extension's own package, whatever Blender calls it; its loggers stand below."""
LARGEST = 512 * 1024


def open_log(folder: Path, recent: logging.Handler) -> None:
    """Lines go to `folder`/sketchbridge.log and to `recent`."""
    close_log()
    file = RotatingFileHandler(folder / "sketchbridge.log", maxBytes=LARGEST, backupCount=1, encoding="utf-8", delay=True)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger(PACKAGE)
    logger.setLevel(logging.INFO)
    for handler in (file, recent):
        logger.addHandler(handler)


def close_log() -> None:
    """No handler of ours is left."""
    logger = logging.getLogger(PACKAGE)
    for handler in tuple(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
