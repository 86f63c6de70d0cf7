"""Programs run in a root of their own; whatever happens to them, nothing of this machine is mounted there."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import root


@pytest.fixture
def bare_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with just enough in it to run `sleep`."""
    folder = tmp_path / "bare"
    for program in ("/usr/bin/env", "/usr/bin/sleep"):
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for file in (program, *(word for word in listed.split() if word.startswith("/"))):
            target = folder / file.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    for name in ("proc", "dev", "tmp"):
        (folder / name).mkdir()
    monkeypatch.setattr(root, "ROOT", folder)
    return folder


@pytest.fixture
def sleeper(bare_root: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs in the bare root, with its mounts made."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "precious").write_text("kept")
    process = subprocess.Popen(root.enter(shared, ["/usr/bin/sleep", "60"]))
    try:
        end = time.monotonic() + 20
        while Path(f"/proc/{process.pid}/comm").read_text().strip() != "sleep":
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


def test_mounts_are_seen_by_the_program_alone(sleeper: subprocess.Popen[bytes], bare_root: Path) -> None:
    assert str(bare_root) not in Path("/proc/self/mountinfo").read_text()
    assert " /proc " in Path(f"/proc/{sleeper.pid}/mountinfo").read_text()


def test_the_root_can_be_deleted_while_a_program_runs_in_it(sleeper: subprocess.Popen[bytes], bare_root: Path, tmp_path: Path) -> None:
    shutil.rmtree(bare_root)
    assert sleeper.poll() is None
    assert (tmp_path / "shared" / "precious").read_text() == "kept"
    assert Path("/dev/null").is_char_device() and Path("/proc/self/stat").exists()


STARTER = """
import os, subprocess, sys, time
process = subprocess.Popen(sys.argv[1:])
while open(f"/proc/{process.pid}/comm").read().strip() != "sleep":
    time.sleep(0.01)
print(process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_program_ends_with_its_starter(bare_root: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    command = [sys.executable, "-c", STARTER, *root.enter(shared, ["/usr/bin/sleep", "60"])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    status = Path(f"/proc/{int(process.stdout.readline())}/stat")
    process.wait(20)
    end = time.monotonic() + 20
    while status.exists() and " Z " not in status.read_text():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_blender_sees_the_shared_folder_and_nothing_else_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("for both")
    script = f"cat /tmp/note && test ! -e {root.CHECKOUT} && test ! -e {tmp_path}"
    done = subprocess.run(root.enter(tmp_path, ["sh", "-c", script]), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "for both")


def test_no_machine_variable_reaches_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THIS_MACHINE", "1")
    done = subprocess.run(root.enter(tmp_path, ["env"]), capture_output=True, text=True, check=True)
    assert "SECRET" not in done.stdout and "HOME=/tmp/home" in done.stdout


def test_without_root_rights_one_sentence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root.os, "geteuid", lambda: 1000)
    with pytest.raises(root.RootError, match="as root on Linux"):
        root.make()
