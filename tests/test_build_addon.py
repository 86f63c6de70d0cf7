"""The zips of the extension: the same bytes each time, only what belongs there, accepted and installed by Blender itself."""

import ast
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import blender_environments
import pytest

import build_addon

PRESENT = [environment for environment in blender_environments.ENVIRONMENTS if environment.executable.exists()]
in_each_blender = pytest.mark.parametrize("blender", PRESENT, ids=lambda environment: environment.blender)
on_each_platform = pytest.mark.parametrize("platform", build_addon.PLATFORMS)
LIMIT_S = 120


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Platform -> its zip, each built once."""
    folder = tmp_path_factory.mktemp("zips")
    return {name: build_addon.build(name, folder, folder / "staging") for name in build_addon.PLATFORMS}


@pytest.fixture
def host_zip(zips: dict[str, Path]) -> Path:
    return zips[build_addon.host_platform()]


def read_manifest(path: Path) -> dict[str, object]:
    with zipfile.ZipFile(path) as archive:
        return tomllib.loads(archive.read("blender_manifest.toml").decode())


def test_two_builds_have_the_same_bytes(host_zip: Path, tmp_path: Path) -> None:
    again = build_addon.build(build_addon.host_platform(), tmp_path, tmp_path / "elsewhere")
    assert again.name == host_zip.name
    assert again.read_bytes() == host_zip.read_bytes()


@on_each_platform
def test_a_zip_holds_the_extension_and_nothing_else(zips: dict[str, Path], platform: str) -> None:
    path = zips[platform]
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert "GNU GENERAL PUBLIC LICENSE" in archive.read("LICENSE").decode()
        assert "Apache License" in archive.read("protocol/LICENSE").decode()
        assert {entry.date_time for entry in archive.infolist()} == {build_addon.ZIP_TIME}
    assert names == sorted(names)
    assert {"ports.py", "core/__init__.py", "protocol/messages.py"} <= set(names)
    wheels = [name for name in names if name.endswith(".whl")]
    assert wheels == [f"wheels/{file}" for file in sorted(build_addon.read_lock()[platform])]
    others = [name for name in names if name not in wheels]
    assert not [name for name in others if Path(name).suffix not in build_addon.TEXT | {".png"}]
    assert not [part for name in names for part in Path(name).parts if part.startswith(".") or part in ("tests", "__pycache__")]
    assert path.stat().st_size < 6 * 2**20


@on_each_platform
def test_the_manifest_says_what_is_true(zips: dict[str, Path], platform: str) -> None:
    manifest = read_manifest(zips[platform])
    assert manifest["schema_version"] == "1.0.0"
    assert manifest["id"] == "sketchbridge"
    assert manifest["type"] == "add-on"
    assert manifest["version"] == tomllib.loads((build_addon.ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert tuple(map(int, str(manifest["blender_version_min"]).split("."))) >= (4, 2, 0)
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later", "SPDX:Apache-2.0"]
    assert manifest["tags"] == ["3D View", "Mesh", "Modeling", "Material"]
    assert set(manifest["permissions"]) == {"network", "files"}  # type: ignore[call-overload]
    assert manifest["platforms"] == [platform]
    assert manifest["wheels"] == [f"./wheels/{file}" for file in sorted(build_addon.read_lock()[platform])]
    assert "blender" not in str(manifest["name"]).lower()


@on_each_platform
def test_every_wheel_is_the_locked_one_and_fits_every_python(zips: dict[str, Path], platform: str, tmp_path: Path) -> None:
    locked = build_addon.read_lock()[platform]
    with zipfile.ZipFile(zips[platform]) as archive:
        archive.extractall(tmp_path)
    assert {wheel.name: build_addon.sha256(wheel) for wheel in (tmp_path / "wheels").iterdir()} == locked
    for package, tags in {"msgspec": {"cp311", "cp313", "cp314"}, "pyzmq": {"cp311", "abi3"}}.items():
        assert {file.split("-")[3] for file in locked if file.startswith(f"{package}-")} == tags


def test_a_wheel_with_another_hash_is_refused_and_not_kept(tmp_path: Path) -> None:
    file = next(iter(build_addon.read_lock()[build_addon.host_platform()]))
    with pytest.raises(build_addon.BuildError, match="not the file that was locked"):
        build_addon.fetch(file, "0" * 64, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_wheel_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    file, digest = next(iter(build_addon.read_lock()[build_addon.host_platform()].items()))
    (tmp_path / file).write_bytes(b"half a wheel")
    assert build_addon.sha256(build_addon.fetch(file, digest, tmp_path)) == digest


@pytest.mark.parametrize(
    ("source", "depth", "expected"),
    [
        ("from protocol.messages import Hello, Ping\n", 0, "from .protocol.messages import Hello, Ping\n"),
        ("from protocol.messages import (\n    Hello,\n)\n", 1, "from ..protocol.messages import (\n    Hello,\n)\n"),
        ("def f():\n    from protocol import errors\n", 2, "def f():\n    from ...protocol import errors\n"),
        ("é = 1; from protocol.job import RefineJob\n", 1, "é = 1; from ..protocol.job import RefineJob\n"),
        ("import protocol.messages as wire\n", 1, "from ..protocol import messages as wire\n"),
        ("from protocols.x import y\nimport protocolary\n", 1, "from protocols.x import y\nimport protocolary\n"),
        ("'from protocol.x import y'  # from protocol.x import y\n", 1, "'from protocol.x import y'  # from protocol.x import y\n"),
        ("from . import protocol\n", 1, "from . import protocol\n"),
    ],
)
def test_imports_of_the_wire_become_relative(source: str, depth: int, expected: str) -> None:
    assert build_addon.relative_imports(source, depth, "x.py") == expected


@pytest.mark.parametrize(
    "source", ["import protocol\n", "import protocol.job\n", "import os, protocol.job as j\n", "from blender_addon.core import x\n"]
)
def test_imports_that_cannot_become_relative_are_named(source: str) -> None:
    with pytest.raises(build_addon.BuildError, match=r"link/x\.py, line 2: .*write `from"):
        build_addon.relative_imports("\n" + source, 1, "link/x.py")


def test_no_absolute_import_of_the_wire_is_left(host_zip: Path) -> None:
    with zipfile.ZipFile(host_zip) as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                for node in ast.walk(ast.parse(archive.read(name))):
                    modules = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                    modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                    assert not [module for module in modules if module.split(".")[0] in ("protocol", "blender_addon")], name


def run(blender: blender_environments.Environment, *arguments: str | Path) -> str:
    done = subprocess.run([blender.executable, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@in_each_blender
def test_every_staged_module_imports_under_another_name(blender: blender_environments.Environment, host_zip: Path, tmp_path: Path) -> None:
    package = tmp_path / "path" / "renamed"
    with zipfile.ZipFile(host_zip) as archive:
        archive.extractall(package)
    script = (
        "import importlib.util, os, pkgutil, sys; sys.path.insert(0, sys.argv[1]); import renamed\n"
        "assert importlib.util.find_spec('protocol') is None\n"
        "names = [found.name for found in pkgutil.walk_packages(renamed.__path__, 'renamed.')]\n"
        "for name in names: importlib.import_module(name)\n"
        "assert 'protocol' not in sys.modules\n"
        "print(len(names), flush=True); os._exit(0)\n"
    )
    output = run(blender, "-I", "-c", script, package.parent)
    modules = [path for path in package.rglob("*.py") if path.parent != package or path.name != "__init__.py"]
    assert int(output.split()[-1]) == len(modules)


@in_each_blender
def test_the_zip_installs_and_its_own_wheels_are_used(blender: blender_environments.Environment, host_zip: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    for path in blender.site_packages.iterdir():
        if not path.name.lower().startswith(("msgspec", "zmq", "pyzmq", "_", "distutils")):
            (site / path.name).symlink_to(path)
    profile, report = tmp_path / "profile", tmp_path / "report.json"
    profile.mkdir()
    run(blender, "-S", "-I", build_addon.ROOT / "tests" / "install_extension.py", site, profile, host_zip, report)
    facts = json.loads(report.read_text())
    assert facts["there before"] == []
    assert facts["module"] == "bl_ext.user_default.sketchbridge"
    assert facts["panels"]
    assert facts["panels when disabled"] == []
    for file in (*facts["wheels"].values(), facts["wire"]):
        assert Path(file).is_relative_to(profile), file
    assert facts["threads"] == ["MainThread"]


@pytest.fixture
def validator() -> None:
    if not PRESENT:
        pytest.skip("no Blender module here: python tests/blender_environments.py make")


@pytest.mark.usefixtures("validator")
@on_each_platform
def test_blender_finds_the_zip_valid(zips: dict[str, Path], platform: str) -> None:
    build_addon.validate(zips[platform])


@pytest.mark.usefixtures("validator")
def test_the_validator_reads_the_tags(host_zip: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(host_zip) as archive:
        archive.extractall(tmp_path / "changed")
    manifest = tmp_path / "changed" / "blender_manifest.toml"
    manifest.write_text(manifest.read_text().replace('"Modeling"', '"Sketching"'))
    build_addon.pack(tmp_path / "changed", tmp_path / "changed.zip")
    with pytest.raises(build_addon.BuildError, match="Sketching"):
        build_addon.validate(tmp_path / "changed.zip")


def test_without_a_blender_module_the_validation_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_addon, "ROOT", tmp_path)
    with pytest.raises(build_addon.BuildError, match=r"blender_environments\.py make"):
        build_addon.blender_ext()


@pytest.mark.usefixtures("validator")
def test_the_command_builds_a_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = tmp_path / "repository"
    assert build_addon.main(["--platform", "all", "--out", str(tmp_path / "out"), "--repository", str(repository)]) == 0
    listed = json.loads((repository / "index.json").read_text())["data"]
    assert {entry["platforms"][0]: entry["archive_hash"].removeprefix("sha256:") for entry in listed} == {
        name: build_addon.sha256(repository / f"sketchbridge-{build_addon.version()}-{name}.zip") for name in build_addon.PLATFORMS
    }
    assert all(entry["archive_hash"].removeprefix("sha256:") in capsys.readouterr().out for entry in listed[:1])


def test_a_source_line_that_cannot_be_built_ends_the_command_with_one_sentence(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for name in ("blender_addon", "protocol"):
        (checkout / name).mkdir(parents=True)
    for name in ("build_addon.py", "pyproject.toml", "constraints.txt", "LICENSE"):
        (checkout / name).write_bytes((build_addon.ROOT / name).read_bytes())
    (checkout / "blender_addon" / "__init__.py").write_text("import protocol\n")
    command = [sys.executable, checkout / "build_addon.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "blender_addon/__init__.py, line 1" in done.stderr
