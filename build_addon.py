"""Builds the extension's installable zips, one per platform, byte for byte the same on every machine. Needs no Blender to build.

python build_addon.py [--platform host|all|NAME ...] [--out dist] [--no-validate] [--repository DIR]
python build_addon.py --lock        # after a version in constraints.txt has changed
"""

import argparse
import ast
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "blender_addon" / "wheels.lock.json"
CACHE = ROOT / "build" / "wheels"
STAGING = ROOT / "build" / "addon"

PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "linux-arm64": ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
    "windows-x64": ("win_amd64",),
    "windows-arm64": ("win_arm64",),
    "macos-x64": ("macosx_11_0_x86_64",),
    "macos-arm64": ("macosx_11_0_arm64",),
}
"""Blender's name of each platform, and the wheel platforms that its oldest supported systems accept."""

WHEELS = {"msgspec": (("3.11", "cp311"), ("3.13", "cp313"), ("3.14", "cp314")), "pyzmq": (("3.11", "cp311"), ("3.12", "abi3"))}
"""(Python version, ABI) of every wheel to carry: Blender 4.2 to 5.0 run Python 3.11, later ones 3.13 and 3.14; abi3 fits those."""

TEXT = {".py", ".toml", ".json", ".md", ".svg", ""}
ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class BuildError(Exception):
    """One sentence that says what is wrong and what to do."""


def version() -> str:
    """The version of the distribution, which is the extension's too."""
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if not re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", found):
        raise BuildError(f"Blender wants a semantic version (1.2.3), pyproject.toml has {found!r}: change it there.")
    return found


def host_platform() -> str:
    """Blender's name of the machine that runs this."""
    system, machine = platform.system().lower(), platform.machine().lower()
    system = {"darwin": "macos"}.get(system, system)
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(machine, machine)
    return f"{system}-{machine}"


# ---------------------------------------------------------------------------------------------------------------- imports


def relative_imports(source: str, depth: int, where: str) -> str:
    """`source` with every absolute import of `protocol` made relative, for a module `depth` packages below the extension's root.

    Errors: BuildError for a form that has no relative equivalent, naming `where` and the line.
    """
    lines = source.encode().splitlines(keepends=True)
    for node in ast.walk(ast.parse(source, where)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
            rewritten = rb"from " + b"." * (depth + 1) + rb"protocol\g<rest> import"
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            parent, _, leaf = names[0].rpartition(".")
            rewritten = b"from " + b"." * (depth + 1) + parent.encode() + b" import " + leaf.encode() + rb"\g<rest>"
        else:
            continue
        if any(name.split(".")[0] == "blender_addon" for name in names):
            raise BuildError(f"{where}, line {node.lineno}: imports within the extension are relative, write `from ..core import x`.")
        if not any(name.split(".")[0] == "protocol" for name in names):
            continue
        if isinstance(node, ast.ImportFrom):
            pattern = rb"from\s+protocol(?P<rest>(\.\w+)*)\s+import"
        elif len(names) == 1 and node.names[0].asname and "." in names[0]:
            pattern = rb"import\s+protocol(\.\w+)+(?P<rest>\s+as\s)"
        else:
            raise BuildError(f"{where}, line {node.lineno}: write `from protocol.messages import X`, which the build can make relative.")
        line, start = lines[node.lineno - 1], node.col_offset
        changed, count = re.subn(rb"\A" + pattern, rewritten, line[start:])
        if not count:
            raise BuildError(
                f"{where}, line {node.lineno}: keep `from protocol.x import` on one line, so that the build can make it relative."
            )
        lines[node.lineno - 1] = line[:start] + changed
    return b"".join(lines).decode()


# ----------------------------------------------------------------------------------------------------------------- wheels


def pinned() -> dict[str, str]:
    """Package -> version of the wheels to carry, as constraints.txt has them."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))
    return {package: pins[package] for package in WHEELS}


def read_lock() -> dict[str, dict[str, str]]:
    """Platform -> wheel file -> SHA-256."""
    lock: dict[str, dict[str, str]] = json.loads(LOCK.read_text(encoding="utf-8"))
    for name, version in pinned().items():
        for files in lock.values():
            if not any(file.startswith(f"{name}-{version}-") for file in files):
                raise BuildError(f"{LOCK.name} holds another {name} than {version} of constraints.txt: run `python build_addon.py --lock`.")
    return lock


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(requirement: str, python: str, abi: str, platforms: Sequence[str], into: Path) -> Path:
    """The wheel of `requirement` for another Python and platform, from whichever index pip is configured with."""
    with tempfile.TemporaryDirectory(dir=into) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
        command += ["--dest", folder, "--implementation", "cp", "--python-version", python, "--abi", abi]
        for name in platforms:
            command += ["--platform", name]
        done = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)
        found = list(Path(folder).glob("*.whl"))
        if done.returncode or len(found) != 1:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise BuildError(f"pip found no wheel of {requirement} for {abi} on {platforms[0]}: {last}")
        return Path(shutil.move(found[0], into / found[0].name))


def fetch(file: str, digest: str, cache: Path) -> Path:
    """The wheel named in the lock file, from the cache or from pip, with its hash checked."""
    path = cache / file
    if not path.is_file() or sha256(path) != digest:
        package, wanted, python, abi, tags = file.removesuffix(".whl").split("-")
        cache.mkdir(parents=True, exist_ok=True)
        path = download(f"{package}=={wanted}", f"{python[2]}.{python[3:]}", abi, tags.split("."), cache)
    if path.name != file or sha256(path) != digest:
        found = sha256(path)
        path.unlink()
        raise BuildError(f"{path.name} has the hash {found}, {LOCK.name} expects {file} with {digest}: it is not the file that was locked.")
    return path


def write_lock() -> None:
    """Asks pip for every wheel again and writes names and hashes; a package without a wheel for some platform is an error."""
    CACHE.mkdir(parents=True, exist_ok=True)
    lock: dict[str, dict[str, str]] = {}
    for name, tags in PLATFORMS.items():
        wheels = [
            download(f"{package}=={wanted}", python, abi, tags, CACHE)
            for package, wanted in pinned().items()
            for python, abi in WHEELS[package]
        ]
        lock[name] = {wheel.name: sha256(wheel) for wheel in sorted(wheels)}
        print(f"{name}: {len(wheels)} wheels")
    LOCK.write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8", newline="\n")


# ---------------------------------------------------------------------------------------------------------------- staging


def sources(folder: Path) -> list[Path]:
    """Files of a package that belong into the zip, relative to it, sorted."""
    left_out = {"__pycache__", "tests", "wheels", LOCK.name, "blender_manifest.toml"}
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(
        path for path in files if not any(part in left_out or part.startswith(".") for part in path.parts) and path.suffix != ".pyc"
    )


def copy_package(source: Path, staging: Path, package: Sequence[str]) -> None:
    """Copies a package's files to staging/package, with the wire's imports made relative and line ends the same everywhere."""
    for path in sources(source):
        target = staging.joinpath(*package) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix not in TEXT:
            target.write_bytes((source / path).read_bytes())
            continue
        text = (source / path).read_text(encoding="utf-8")
        if path.suffix == ".py":
            text = relative_imports(text, len(package) + len(path.parts) - 1, f"{source.name}/{path.as_posix()}")
        target.write_text(text, encoding="utf-8", newline="\n")


def manifest(name: str, wheels: Sequence[str]) -> str:
    """The manifest of one platform's zip: the source's, with version, platform and wheels in front."""
    text = (ROOT / "blender_addon" / "blender_manifest.toml").read_text(encoding="utf-8")
    listed = "".join(f'  "./wheels/{wheel}",\n' for wheel in wheels)
    return f'version = "{version()}"\nplatforms = ["{name}"]\nwheels = [\n{listed}]\n' + text[text.index("schema_version") :]


def stage(name: str, staging: Path, cache: Path) -> Path:
    """Writes everything that one platform's zip holds below staging/name and returns that folder."""
    folder = staging / name
    shutil.rmtree(folder, ignore_errors=True)
    copy_package(ROOT / "blender_addon", folder, ())
    copy_package(ROOT / "protocol", folder, ("protocol",))
    (folder / "protocol" / "LICENSE").write_text((ROOT / "LICENSE").read_text(encoding="utf-8"), encoding="utf-8", newline="\n")
    (folder / "wheels").mkdir()
    locked = read_lock()[name]
    for file, digest in locked.items():
        shutil.copyfile(fetch(file, digest, cache), folder / "wheels" / file)
    (folder / "blender_manifest.toml").write_text(manifest(name, sorted(locked)), encoding="utf-8", newline="\n")
    return folder


def pack(folder: Path, path: Path) -> None:
    """Zips a folder with sorted names, one time stamp and no compression: wheels are compressed already, and compressors differ."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()):
            entry = zipfile.ZipInfo(file, ZIP_TIME)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, (folder / file).read_bytes())
    os.replace(unfinished, path)


def build(name: str, out: Path, staging: Path = STAGING, cache: Path = CACHE) -> Path:
    """Builds the zip of one platform and returns its path."""
    path = out / f"sketchbridge-{version()}-{name}.zip"
    pack(stage(name, staging, cache), path)
    return path


# ------------------------------------------------------------------------------------------------------------- validation


def blender_ext() -> tuple[Path, Path, Path]:
    """(Python, Blender's own extension program, its list of valid tags) of the newest Blender module in an environment of this checkout."""
    places = (".venv-bpy*/lib/python3*/site-packages/bpy", ".venv-bpy*/Lib/site-packages/bpy")
    for package in sorted((path for place in places for path in ROOT.glob(place)), reverse=True):
        program = next(package.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"), None)
        tags = next(package.glob("*/scripts/modules/_bpy_internal/extensions/tags.py"), None)
        venv = ROOT / package.relative_to(ROOT).parts[0]
        python = next((path for path in (venv / "bin" / "python", venv / "Scripts" / "python.exe") if path.exists()), None)
        if program and tags and python:
            return python, program, tags
    raise BuildError(
        "Validation needs a Blender module, and no .venv-bpy* has one: "
        "run `python tests/blender_environments.py make`, or build with --no-validate."
    )


def validate(path: Path) -> None:
    """Lets Blender's own validator read the zip. Errors: BuildError with what it said."""
    python, program, tags = blender_ext()
    done = subprocess.run([python, program, "validate", "--valid-tags", tags, path], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"Blender's validator refuses {path.name}: {(done.stdout + done.stderr).strip()}")


def write_repository(paths: Sequence[Path], folder: Path) -> None:
    """Makes a static extension repository of the zips: a folder to put on any web server and name in Blender's preferences."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        shutil.copyfile(path, folder / path.name)
    python, program, _ = blender_ext()
    done = subprocess.run([python, program, "server-generate", "--repo-dir", folder, "--html"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"Blender's program could not make the repository: {(done.stdout + done.stderr).strip()}")
    print(f"{folder}: repository of {len(paths)} zips")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 when every zip was built and passed."""
    parser = argparse.ArgumentParser(description="Builds the extension's zips.")
    parser.add_argument(
        "--platform", nargs="+", default=["host"], choices=["host", "all", *PLATFORMS], help="which zips (default: this machine's)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where the zips go (default: dist)")
    parser.add_argument("--no-validate", action="store_true", help="do without Blender's validator")
    parser.add_argument("--repository", type=Path, metavar="DIR", help="also make a static repository of the zips there")
    parser.add_argument("--lock", action="store_true", help="only refresh the lock file of the wheels")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.lock:
            write_lock()
            return 0
        names = list(PLATFORMS) if "all" in chosen.platform else [host_platform() if name == "host" else name for name in chosen.platform]
        if unknown := [name for name in names if name not in PLATFORMS]:
            raise BuildError(f"There are no wheels for {unknown[0]}: choose one of {', '.join(PLATFORMS)} with --platform.")
        paths = [build(name, chosen.out) for name in dict.fromkeys(names)]
        for path in paths:
            if not chosen.no_validate:
                validate(path)
            verdict = "not validated" if chosen.no_validate else "valid"
            print(f"{path}  {path.stat().st_size / 2**20:.2f} MiB  sha256 {sha256(path)}  {verdict}")
        if chosen.repository:
            write_repository(paths, chosen.repository)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
