"""Warp, started without a word."""

import os
import sys
import tempfile
from functools import cache

import warp as wp

NO_DRIVER = b"NVIDIA CUDA driver"


@cache
def start_warp() -> None:
    """Initialise Warp, once. Its native library reports a missing CUDA driver on file descriptor 2 whatever the log level is.

    That line is left out, since running on the CPU is no fault; whatever else is said goes on to stderr.
    """
    wp.config.log_level = max(wp.config.log_level, wp.LOG_ERROR)
    try:
        stderr = os.dup(2)
    except OSError:  # nobody listens
        wp.init()
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as heard:
        os.dup2(heard.fileno(), 2)
        try:
            wp.init()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        heard.seek(0)
        said = b"".join(line for line in heard if NO_DRIVER not in line)
    if said:
        os.write(2, said)
