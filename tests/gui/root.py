"""A Debian folder with a windowed Blender, X server and X tools in it; how to make it and how to start a program inside.

Mounts are made in a mount namespace of each program's own. They end with the program, are never seen outside,
and so the folder can be deleted at any time.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ROOT = CHECKOUT / ".blender-root"
SUITE = "trixie"
PACKAGES = (
    "blender python3-numpy python3-requests python3-zstandard python3-cattr "
    "xvfb xauth xdotool imagemagick libgl1-mesa-dri libegl1 libegl-mesa0"
)
ENTER = """
mount --bind /proc "$0/proc" && mount --rbind /dev "$0/dev" && mount --bind "$1" "$0/tmp" || exit 97
root=$0; shift
exec chroot "$root" "$@"
"""


class RootError(Exception):
    """One sentence about what this machine lacks for a windowed Blender."""


def enter(shared: Path, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> list[str]:
    """The command line that runs `command` inside the root, where the folder `shared` is /tmp and nothing else of this machine is seen.

    The program is ended when its starter is gone, however that happened.
    """
    variables = {"PATH": "/usr/bin:/bin", "HOME": "/tmp/home", "LANG": "C.UTF-8", "LIBGL_ALWAYS_SOFTWARE": "1", **(environment or {})}
    inner = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in variables.items()), *map(str, command)]
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "sh", "-c"]
    return [*alone, ENTER, str(ROOT), str(shared), *inner]


def is_ready() -> bool:
    """Whether Blender answers from inside the folder."""
    if os.geteuid() != 0 or not (ROOT / "usr/bin/blender").exists():
        return False
    done = subprocess.run(["chroot", ROOT, "blender", "--version"], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode == 0 and done.stdout.startswith("Blender")


def make() -> None:
    """Makes the folder unless Blender answers from it already (about two minutes, 1.2 GB). Errors: RootError."""
    if os.name != "posix" or os.geteuid() != 0:
        raise RootError("The windowed Blender lives in a folder root, which needs mounts: run `make test-gui` as root on Linux.")
    if is_ready():
        return
    if not shutil.which("mmdebstrap"):
        raise RootError("The windowed Blender's folder is made by mmdebstrap: `apt-get install mmdebstrap`.")
    shutil.rmtree(ROOT, ignore_errors=True)
    print(f"Making {ROOT.name} with Blender from Debian {SUITE}", flush=True)
    options = [
        '--aptopt=Apt::Install-Recommends "false"',
        '--aptopt=Acquire::Check-Valid-Until "false"',
        '--aptopt=Acquire::Languages "none"',
    ]
    options += ["--dpkgopt=force-unsafe-io", *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale"))]
    include = "--include=" + ",".join(PACKAGES.split())
    subprocess.run(["mmdebstrap", "--quiet", "--variant=apt", "--mode=root", *options, include, SUITE, ROOT], check=True)
    (ROOT / "etc/mtab").unlink(missing_ok=True)
    (ROOT / "etc/mtab").symlink_to("/proc/self/mounts")
    if not is_ready():
        raise RootError(f"{ROOT.name} was made, but Blender does not answer from it: try `chroot {ROOT} blender --version`.")


if __name__ == "__main__":
    try:
        make()
    except RootError as error:
        sys.exit(str(error))
