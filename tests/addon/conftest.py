# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's core without Blender: its root, which registers with Blender, is not run."""

import sys
import types
from pathlib import Path

ROOT = Path(__file__).parents[2]

if "blender_addon" not in sys.modules:
    package = types.ModuleType("blender_addon")
    package.__path__ = [str(ROOT / "blender_addon")]
    sys.modules["blender_addon"] = package

import pytest  # noqa: E402

from .fakes import World  # noqa: E402


@pytest.fixture
def world() -> World:
    """A scene, a server that is up, and a session that is connected to it."""
    world = World()
    world.connect()
    return world
