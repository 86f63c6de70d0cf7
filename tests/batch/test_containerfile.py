"""The container file is not built here; what it names has to be there."""

import json
import re
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
LINES = re.sub(r"\\\n\s*", "", (REPOSITORY / "Containerfile").read_text()).splitlines()
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def _arguments(instruction):
    return [line.removeprefix(instruction).strip() for line in LINES if line.startswith(f"{instruction} ")]


def test_what_it_copies_is_there():
    copied = [source for line in _arguments("COPY") for source in line.split()[:-1]]
    missing = [source for source in copied if not (REPOSITORY / source).exists()]
    assert copied and not missing
    needed = {"pyproject.toml", PROJECT["project"]["readme"], "backend", "protocol", "constraints.txt"}
    assert needed <= set(copied), "the package cannot be built without"


def test_its_program_is_the_packages_own():
    (entry,) = _arguments("ENTRYPOINT")
    assert json.loads(entry)[0] in PROJECT["project"]["scripts"]


def test_the_extras_it_installs_are_declared():
    asked = {extra for line in _arguments("RUN") for extra in re.findall(r"sketchbridge\[(\w+)\]", line)}
    assert asked == {"ray"} and asked <= set(PROJECT["project"]["optional-dependencies"])
