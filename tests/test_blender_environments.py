"""Tests in a Blender environment pass, fail or run out of time, and each is told as what it is."""

import sys
import time
from pathlib import Path

import blender_environments
import pytest


class ThisPython(blender_environments.Environment):
    """Runs tests with the Python of this process instead of a Blender module's."""

    @property
    def executable(self) -> Path:
        return Path(sys.executable)


HERE = ThisPython("0.0.0", "3.11")


def run(folder: Path, source: str) -> tuple[bool, str]:
    (folder / "test_it.py").write_text(source)
    return blender_environments.test(HERE, [str(folder), "-p", "no:socket"])


def test_passed_tests_are_counted(tmp_path: Path) -> None:
    passed, tail = run(tmp_path, "def test_it(): pass\ndef test_too(): pass\n")
    assert passed
    assert tail.startswith("2 passed")


def test_a_failed_test_fails_the_environment(tmp_path: Path) -> None:
    passed, tail = run(tmp_path, "def test_it(): assert False\n")
    assert not passed
    assert tail.startswith("1 failed")


def test_a_process_that_ends_too_early_is_no_success(tmp_path: Path) -> None:
    passed, tail = run(tmp_path, "import os\ndef test_it(): os._exit(0)\n")
    assert not passed
    assert tail == "ended with 0 before it had a result"


def test_a_process_that_hangs_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blender_environments, "LIMIT_S", 2)
    beat = tmp_path / "beat"
    child = f"import time\nwhile True: open({str(beat)!r}, 'a').write('.'); time.sleep(0.05)"
    source = f"import subprocess, sys, time\ndef test_it():\n subprocess.Popen([sys.executable, '-c', {child!r}])\n time.sleep(60)\n"
    passed, tail = run(tmp_path, source)
    assert not passed
    assert tail == "not finished after 2 s"
    size = beat.stat().st_size
    time.sleep(0.3)
    assert size == beat.stat().st_size


def test_pythons_are_found_by_what_they_are() -> None:
    mine = "{}.{}".format(*sys.version_info[:2])
    assert blender_environments.find_python(mine)
    assert blender_environments.find_python("2.0") is None


def test_an_environment_with_other_pins_is_not_made() -> None:
    assert not blender_environments.Environment("5.0.0", "3.11").is_made()
