# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests that run inside Blender's Python module; in an environment without it they are passed over."""

import os
import sys
import tempfile
from importlib.util import find_spec

import pytest

IN_BLENDER = find_spec("bpy") is not None
collect_ignore_glob = [] if IN_BLENDER else ["test_*.py"]

if IN_BLENDER:
    os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp()  # before bpy is imported
    import bpy

    _status = {"code": 1}

    @pytest.fixture(autouse=True)
    def empty_scene():
        """Every test starts from the factory settings and an empty scene."""
        bpy.ops.wm.read_factory_settings(use_empty=True)

    def pytest_sessionfinish(session, exitstatus):
        _status["code"] = int(exitstatus)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(config):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_status["code"])  # Blender's exit handlers may crash or hang
