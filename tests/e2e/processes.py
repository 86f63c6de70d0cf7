"""The two sides as they are in life: a server process and a Blender process, with folders of their own."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
ARTIST = Path(__file__).with_name("artist.py")


def wait_for(what: Callable[[], Any], deadline_s: float, why: str) -> Any:
    """The first true value of `what`, asked ten times a second."""
    end = time.monotonic() + deadline_s
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, f"waited {deadline_s:.0f} s for {why}"
        time.sleep(0.1)


class Server:
    """`sketchbridge serve` in its own folder. `address` is known once it is up.

    On one thread, where a run repeats bit for bit and leaves a core to Blender.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder, self.port = folder, port
        self.environment = os.environ | {"OMP_NUM_THREADS": "1", "HOME": str(folder / "home")}
        self.start()

    def start(self) -> None:
        (self.folder / "home").mkdir(parents=True, exist_ok=True)
        log = (self.folder / "server.log").open("ab")
        command = [sys.executable, "-m", "backend.cli.main", "serve", "--port", str(self.port), "--data", str(self.folder / "data")]
        command += ["--devices", "cpu", "--json"]
        self.process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=log, env=self.environment | {"PYTHONPATH": str(ROOT)}
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 20)
        assert ready, "the server said nothing within 20 s"
        line = self.process.stdout.readline()
        assert line, (self.folder / "server.log").read_text()
        self.address = json.loads(line)["address"]
        self.port = int(self.address.rpartition(":")[2])

    def workers(self) -> list[psutil.Process]:
        return [child for child in psutil.Process(self.process.pid).children() if "backend.serve.worker" in " ".join(child.cmdline())]

    def kill(self) -> None:
        """As a power cut would: the broker alone, at once."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Artist:
    """A Blender module process that runs `artist.py`. `do` presses buttons and asks."""

    def __init__(self, python: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        home = folder / "home"
        home.mkdir(exist_ok=True)
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "BLENDER_USER_RESOURCES": str(folder / "blender"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.log = folder / "blender.log"
        self.process = subprocess.Popen(
            [str(python), str(ARTIST)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("ab"),
            env=environment,
        )

    def do(self, what: str, /, deadline_s: float = 60.0, **arguments: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": what, **arguments}).encode() + b"\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], deadline_s)
        assert ready, f"Blender did not answer '{what}' within {deadline_s:.0f} s: {self.log.read_text()[-2000:]}"
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-2000:]
        answer = json.loads(line)
        assert not (isinstance(answer, dict) and "error" in answer), answer["error"]
        return answer

    def row(self, job: str) -> dict[str, Any]:
        return self.do("rows")["rows"].get(job, {"state": "", "step": 0})

    def wait(self, job: str, why: str, test: Callable[[dict[str, Any]], Any], deadline_s: float) -> dict[str, Any]:
        """The job's row once `test` holds."""
        last: dict[str, Any] = {}

        def holds() -> dict[str, Any] | None:
            last.clear()
            last.update(self.row(job))
            return last if test(last) else None

        try:
            return wait_for(holds, deadline_s, why)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}") from None

    def press(self, name: str, **arguments: Any) -> None:
        answer = self.do("op", name=name, **arguments)
        assert answer["result"] == ["FINISHED"], (name, answer)

    def close(self) -> None:
        """As closing the window does."""
        if self.process.poll() is None and self.process.stdin is not None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def __enter__(self) -> "Artist":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
