"""Makes one environment per supported Blender module and runs tests/blender in each of them.

python tests/blender_environments.py make       # .venv-bpy42, .venv-bpy50, .venv-bpy52, as far as their Pythons are present
python tests/blender_environments.py test [ARGUMENTS OF PYTEST]
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 900
"""For all of tests/blender in one environment."""


@dataclass(frozen=True)
class Environment:
    """A Blender module: its version, the Python it is built for, what it needs beside the pins of every environment."""

    blender: str
    python: str
    extra: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        major, minor, _ = self.blender.split(".")
        return ROOT / f".venv-bpy{major}{minor}"

    @property
    def executable(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def site_packages(self) -> Path:
        return self.folder / ("Lib/site-packages" if os.name == "nt" else f"lib/python{self.python}/site-packages")

    @property
    def requirements(self) -> list[str]:
        return [f"bpy=={self.blender}", *self.extra, *shared_pins()]

    def is_made(self) -> bool:
        """Whether the environment was completed with exactly these requirements."""
        stamp = self.folder / ".pins"
        return self.executable.exists() and stamp.is_file() and stamp.read_text(encoding="utf-8").split() == self.requirements


ENVIRONMENTS = (Environment("4.2.23", "3.11", ("numpy<2",)), Environment("5.0.1", "3.11"), Environment("5.2.3", "3.13"))


def shared_pins() -> list[str]:
    """What every environment holds, in the versions of constraints.txt."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    return [f"{name}=={pins[name]}" for name in ("pytest", "pytest-timeout", "msgspec", "pyzmq")]


def pythons(version: str) -> Iterator[str]:
    """Programs that may be this Python: this one, those on the path, those of pyenv."""
    yield sys.executable
    for folder in os.get_exec_path():
        if found := shutil.which(f"python{version}", path=folder):
            yield found
    yield from (str(path) for path in sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python{version}"), reverse=True))


def find_python(version: str) -> str | None:
    """The first Python of exactly this minor version that can make environments, or None."""
    question = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for program in pythons(version):
        done = subprocess.run([program, "-c", question], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return program
    return None


def make(environment: Environment) -> bool:
    """Makes or completes one environment; False where its Python is not on this machine, which is said in a line."""
    if environment.is_made():
        return True
    python = find_python(environment.python)
    if python is None:
        print(f"Blender {environment.blender} is left out: its module needs Python {environment.python} with venv, and there is none here.")
        return False
    print(f"Blender {environment.blender}: installing with {python} into {environment.folder.name}", flush=True)
    made = subprocess.run([python, "-m", "venv", environment.folder], check=False)
    pip = [str(environment.executable), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if made.returncode or subprocess.run([*pip, *environment.requirements], check=False).returncode:
        sys.exit(f"{environment.folder.name} could not be made, for the reason above: repair that and run the same again.")
    (environment.folder / ".pins").write_text("\n".join(environment.requirements) + "\n", encoding="utf-8")
    return True


def test(environment: Environment, arguments: Sequence[str]) -> tuple[bool, str]:
    """Runs tests/blender in one environment, with a time limit; (whether all passed, pytest's last line)."""
    log = ROOT / "build" / f"test-{environment.folder.name.lstrip('.')}.log"
    log.parent.mkdir(exist_ok=True)
    command = [str(environment.executable), "-m", "pytest", "-p", "no:cacheprovider", *(arguments or ["tests/blender"])]
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(LIMIT_S)
            tail = None
        except subprocess.TimeoutExpired:
            tail = f"not finished after {LIMIT_S} s"
            code = 1
        finally:
            end_group(process)
    text = log.read_text(encoding="utf-8", errors="replace")
    print(text, flush=True)
    summaries = re.findall(r"^.*\b\d+ (?:passed|failed|errors?|skipped)\b.* in [\d.]+s.*$", text, re.MULTILINE)
    tail = tail or (summaries[-1].strip("= ") if summaries else f"ended with {code} before it had a result")
    return code == 0 and bool(summaries), tail


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and, where the system knows groups, everything that it started."""
    if os.name == "nt":
        process.kill()
    else:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
    process.wait()


def main(arguments: Sequence[str]) -> int:
    """Command line; 0 when every environment that fits this machine was made, or passed."""
    if not arguments or arguments[0] not in ("make", "test"):
        print(__doc__)
        return 2
    if arguments[0] == "make":
        for environment in ENVIRONMENTS:
            if len(arguments) == 1 or environment.blender in arguments[1:]:
                make(environment)
        return 0
    present = [environment for environment in ENVIRONMENTS if make(environment)]
    results = [(environment, *test(environment, arguments[1:])) for environment in present]
    for environment, _, tail in results:
        print(f"Blender {environment.blender}, Python {environment.python}: {tail}")
    for environment in ENVIRONMENTS:
        if environment not in present:
            print(f"Blender {environment.blender}, Python {environment.python}: left out, no such Python here")
    return 0 if all(passed for _, passed, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
