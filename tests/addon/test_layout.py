# SPDX-License-Identifier: GPL-3.0-or-later
"""The arrows between the parts of the extension, read from their sources."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "blender_addon"
WITH_BPY = {"host", "ops", "ui", "props", "compat", "__init__", "runtime", "text"}
"""`runtime` holds the one timer, `text` asks Blender for the language."""
THREADS = {"threading", "_thread", "asyncio", "concurrent", "multiprocessing", "queue"}
NO_WAITING_IN_CORE = {"bpy", "zmq", "socket", "subprocess", "time", "pathlib", "shutil", "tempfile", "urllib", "http"} | THREADS

SOURCES = sorted([*EXTENSION.rglob("*.py"), *(ROOT / "protocol").rglob("*.py")])


def part(path: Path) -> str:
    """The folder of the extension a file lies in, or the name of a file at its root; "protocol" for the wire."""
    if not path.is_relative_to(EXTENSION):
        return "protocol"
    return path.relative_to(EXTENSION).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Modules that a file imports, wherever in it; relative ones with their dots resolved against the extension."""
    names = set()
    package = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level]) if node.level else ""
            module = ".".join(filter(None, [base, node.module or ""]))
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def each(*parts: str) -> list:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in SOURCES if not parts or part(path) in parts]


@pytest.mark.parametrize("path", each())
def test_no_thread_anywhere(path):
    assert not roots(path) & THREADS


@pytest.mark.parametrize("path", each())
def test_only_the_outer_parts_know_blender(path):
    assert part(path) in WITH_BPY or not roots(path) & {"bpy", "bmesh", "mathutils", "gpu", "blf"}


@pytest.mark.parametrize("path", each("core", "ports"))
def test_core_touches_the_world_through_its_ports(path):
    assert not roots(path) & NO_WAITING_IN_CORE
    outer = {f"blender_addon.{name}" for name in (*WITH_BPY, "link", "text")}
    assert not {name for name in imported(path) if ".".join(name.split(".")[:2]) in outer}
    assert "protocol.client" not in imported(path)


@pytest.mark.parametrize("path", each("link", "host"))
def test_link_and_host_know_nothing_of_the_panel(path):
    assert not {name for name in imported(path) if name.startswith(("blender_addon.ui", "blender_addon.ops", "blender_addon.props"))}


@pytest.mark.parametrize("path", each("protocol"))
def test_the_wire_knows_nobody(path):
    assert not roots(path) & {"blender_addon", "backend", "torch"}


@pytest.mark.parametrize("path", each("core", "link", "ports"))
def test_sizes_and_licence(path):
    text = path.read_text()
    assert text.startswith("# SPDX-License-Identifier: GPL-3.0-or-later\n")
    assert len(text.splitlines()) < 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 40, node.name
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print"


def test_the_reader_of_imports_reads():
    assert "blender_addon.core.rows" in imported(EXTENSION / "core" / "session.py")
    assert "protocol.events" in imported(EXTENSION / "core" / "session.py")
    assert {part(path) for path in SOURCES} >= {"core", "link", "ports", "protocol"}
