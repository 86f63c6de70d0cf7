"""Servers and artists in folders of their own, ended whatever happens."""

from pathlib import Path

import pytest

from tests.e2e.processes import ROOT, Artist, Server

BLENDERS = [ROOT / f".venv-bpy{name}" / "bin" / "python" for name in ("50", "42", "52")]


@pytest.fixture(scope="session")
def blender() -> Path:
    """The Python of a Blender module. `make test` makes it before these tests run."""
    for python in BLENDERS:
        if python.exists():
            return python
    pytest.fail("No Blender module: run `make blender-environments` first.")


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path / "server") as server:
        yield server


@pytest.fixture
def artist(tmp_path, blender):
    with Artist(blender, tmp_path / "artist") as artist:
        yield artist
