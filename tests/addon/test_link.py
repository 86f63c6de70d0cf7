# SPDX-License-Identifier: GPL-3.0-or-later
"""Records on a real disk, a log, and a real process started as a local server."""

import logging
import os
import shlex
import stat
import sys
import time
from pathlib import Path

import psutil
import pytest

from blender_addon.link.local_server import LocalServer, clean_environment
from blender_addon.link.log_file import close_log, open_log
from blender_addon.link.records import FileRecords
from blender_addon.link.token import new_token
from blender_addon.ports import JobRecord
from protocol.errors import SketchBridgeError

from .fakes import IDENTITY

JOB = "0123456789abcdef" * 2
RECORD = JobRecord(JOB, "t" * 64, "Stem", "sketch", "a “red” flower", IDENTITY, "uid-1", ("uid-1", "uid-2"), "{}", "/x/y.blend", 12.5)


def test_records_survive(tmp_path):
    folder = tmp_path / "new" / "jobs"
    assert FileRecords(folder).all() == ()
    assert not folder.exists()
    FileRecords(folder).save(RECORD)
    assert FileRecords(folder).all() == (RECORD,)
    FileRecords(folder).save(RECORD)
    FileRecords(folder).remove(JOB)
    FileRecords(folder).remove(JOB)
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_records_hold_a_secret_so_only_their_owner_reads_them(tmp_path):
    records = FileRecords(tmp_path / "jobs")
    records.save(RECORD)
    assert stat.S_IMODE((tmp_path / "jobs" / f"{JOB}.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "jobs").stat().st_mode) == 0o700


def test_records_are_in_the_order_of_time(tmp_path):
    records = FileRecords(tmp_path)
    for number in (3, 1, 2):
        records.save(JobRecord(f"{number:032x}", "", "", "sketch", "", IDENTITY, submitted_at=float(number)))
    assert [record.submitted_at for record in records.all()] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job": 1}', f'{{"job": "{"f" * 32}"}}', "\x00" * 10])
def test_a_damaged_record_hides_no_other(tmp_path, text):
    records = FileRecords(tmp_path)
    records.save(RECORD)
    (tmp_path / f"{'e' * 32}.json").write_text(text)
    (tmp_path / "notes.json").write_text("mine")
    assert records.all() == (RECORD,)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("job", ["", "../../etc/passwd", "A" * 32, "f" * 33])
def test_a_job_id_is_never_a_path(tmp_path, job):
    with pytest.raises(ValueError, match="32 hexadecimal"):
        FileRecords(tmp_path / "jobs").remove(job)


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path):
    (tmp_path / "jobs").write_text("a file in the way")
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        FileRecords(tmp_path / "jobs").save(RECORD)


def test_tokens_differ():
    assert len(new_token()) == 64 and new_token() != new_token()


def test_the_log_is_written_and_closed(tmp_path):
    recent = logging.StreamHandler()
    package = logging.getLogger("blender_addon")
    open_log(tmp_path, recent)
    open_log(tmp_path, recent)
    try:
        assert not list(tmp_path.iterdir())
        logging.getLogger("blender_addon.link.records").info("one line")
        assert (tmp_path / "sketchbridge.log").read_text().count("one line") == 1
    finally:
        close_log()
    assert not package.handlers


SERVER = """
import json, os, sys, time
print("starting", flush=True)
if "--slow" in sys.argv:
    time.sleep(60)
port = int(sys.argv[sys.argv.index("--port") + 1])
assert "--json" in sys.argv and "PYTHONHOME" not in os.environ
print(json.dumps({"event": "hello"}), flush=True)
print(json.dumps({"event": "listening", "address": f"tcp://127.0.0.1:{port}", "more": 1}), flush=True)
if "--crash" in sys.argv:
    print("No space left.", flush=True)
    sys.exit(3)
if "--stubborn" in sys.argv:
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("stubborn", flush=True)
time.sleep(60)
"""


@pytest.fixture
def local(tmp_path, monkeypatch):
    """A local server of a small program; what it is started with is given by a test."""
    monkeypatch.setenv("PYTHONHOME", "/blender/python")
    program = tmp_path / "my server.py"
    program.write_text(SERVER)
    started = []

    def make(options: str = "") -> LocalServer:
        server = LocalServer(f'"{sys.executable}" "{program}" {options}', tmp_path / "log")
        started.append(server)
        return server

    yield make
    for server in started:
        server.kill(0.0)


def until(server: LocalServer, *states: str, deadline_s: float = 20.0):
    end = time.monotonic() + deadline_s
    while server.poll().state not in states:
        assert time.monotonic() < end, server.poll()
        time.sleep(0.01)
    return server.poll()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_local_server_starts_and_stops(local):
    server = local()
    assert server.poll().state == "off"
    server.start()
    state = until(server, "up")
    assert state.address.startswith("tcp://127.0.0.1:")
    pid = server.pid
    server.stop()
    assert until(server, "off").lines == ()
    assert gone(pid)


def test_starting_does_not_wait_for_the_server(local):
    server = local("--slow")
    server.start()
    assert server.poll().state == "starting"


def test_a_local_server_that_ends_by_itself_shows_its_last_lines(local):
    server = local("--crash")
    server.start()
    state = until(server, "ended")
    assert state.code == 3 and state.lines[-1] == "No space left."
    server.start()
    assert until(server, "ended").code == 3
    assert (server.folder / "server.log.1").exists()


def test_a_stubborn_local_server_is_ended_at_the_deadline(local):
    server = local("--stubborn")
    server.start()
    pid = until(server, "up").address and server.pid
    end = time.monotonic() + 20
    while "stubborn" not in server.log_path.read_text():
        assert time.monotonic() < end
        time.sleep(0.01)
    server.stop()
    assert server.poll().state == "up"
    begun = time.monotonic()
    server.kill(0.2)
    assert time.monotonic() - begun < 20
    assert gone(pid) and server.poll().state == "off"


@pytest.mark.skipif(os.name != "posix", reason="a group of processes can be signalled on POSIX only")
def test_a_server_behind_a_shell_ends_with_it(local, tmp_path):
    script = local().command + ' "$@" & wait'
    server = LocalServer(f"sh -c {shlex.quote(script)} sh", tmp_path / "log")
    server.start()
    until(server, "up")
    (behind,) = psutil.Process(server.pid).children()
    server.stop()
    until(server, "off")
    end = time.monotonic() + 20
    while behind.is_running() and behind.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(("command", "told"), [("", "empty"), ("no-such-program-1 serve", "not found"), ('"half', "cannot be understood")])
def test_commands_that_cannot_be_started(tmp_path, command, told):
    server = LocalServer(command, tmp_path)
    with pytest.raises(SketchBridgeError, match=told) as error:
        server.start()
    assert error.value.hint and server.poll().state == "off"
    server.stop()
    server.kill()


def test_a_folder_is_no_program(tmp_path):
    with pytest.raises(SketchBridgeError):
        LocalServer(f'"{tmp_path}"', tmp_path).start()


def test_the_environment_is_not_blenders():
    clean = clean_environment({"PATH": "/bin", "PYTHONHOME": "x", "PYTHONPATH": "x", "BLENDER_USER_CONFIG": "x", "OCIO": "x", "HOME": "h"})
    assert clean == {"PATH": "/bin", "HOME": "h"}


def test_no_call_of_a_local_server_keeps_a_file_open(local):
    server = local()
    server.start()
    until(server, "up")
    if Path("/proc/self/fd").exists():
        open_files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{fd}")]
        assert not [name for name in open_files if name.endswith("server.log")]
