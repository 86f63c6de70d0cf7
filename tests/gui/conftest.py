"""Blender windows and a server for the tests of this folder. `--tutorial FOLDER` says where the tutorial is written."""

import json
import os
import select
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import root
from rig import Rig

import build_addon


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tutorial", type=Path, default=build_addon.ROOT / "build" / "tutorial", help="folder of tutorial.md and its pictures"
    )


FOLDERS = build_addon.ROOT / "build" / "test-gui"
"""What each window leaves behind: pictures, Blender's log, its profile. Kept until the next run."""


def fresh_folder(name: str) -> Path:
    folder = FOLDERS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """After a failure, leaves a picture of every window that the test used."""
    report = yield
    if report.failed and report.when == "call":
        for rig in getattr(item, "funcargs", {}).values():
            if isinstance(rig, Rig) and (path := rig.photograph(f"failed-{item.name}")):
                report.sections.append(("picture", str(path)))
    return report


@pytest.fixture(scope="session", autouse=True)
def blender_root() -> None:
    root.make()


@pytest.fixture(scope="session")
def extension_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip of the extension for this machine, as a user gets it."""
    folder = tmp_path_factory.mktemp("extension")
    return build_addon.build(build_addon.host_platform(), folder, folder / "staging")


@pytest.fixture(scope="session")
def probe_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small extension with one of every kind of button."""
    path = tmp_path_factory.mktemp("probe") / "rig_probe.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in ("__init__.py", "blender_manifest.toml"):
            archive.write(Path(__file__).parent / "fixtures" / "probe" / file, file)
    return path


@pytest.fixture(scope="module")
def window(extension_zip: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A fresh Blender with the extension, for the tests of one file."""
    with Rig(fresh_folder(Path(request.node.name).stem), [extension_zip]) as rig:
        yield rig


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a `sketchbridge serve` outside Blender's root, with a folder of its own."""
    folder = tmp_path_factory.mktemp("server")
    command = [
        Path(sys.executable).with_name("sketchbridge"),
        "serve",
        "--port",
        "0",
        "--devices",
        "cpu",
        "--json",
        "--data",
        folder / "data",
    ]
    with (folder / "log").open("wb") as log:
        # One thread: the window is drawn by the processor too, and threads that wait for each other starve it.
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=folder, env=environment)
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 60)[0], (folder / "log").read_text()
        yield json.loads(process.stdout.readline())["address"]
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()
