"""Headless Chromium for tests, driven over its DevTools protocol through a pipe; it has no network at all.

A browser of this machine is not used: its version, settings and extensions would be part of the tests. Debian's headless build lives in a
folder of its own, `.browser-root`, made by `python -m tests.gallery.chromium` (as root on Linux: it needs mounts).
"""

import base64
import io
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2] / ".browser-root"
SUITE = "trixie"
PACKAGES = "chromium-headless-shell,fonts-dejavu-core"
PROGRAM = "usr/lib/chromium/chromium-headless-shell"
# Drivers of graphics cards and translations: the browser draws with its own software renderer.
LEFT_OUT = ("share/doc", "share/man", "share/locale", "share/X11", "lib/*/libLLVM*", "lib/*/libgallium*", "lib/*/libz3*", "lib/*/gconv",
            "lib/chromium/libVkLayer*")  # fmt: skip
ENTER = """
mount --bind /proc "$0/proc" && mount --rbind /dev "$0/dev" && mount --bind "$1" "$0/tmp" || exit 97
root=$0; shift
exec chroot "$root" "$@"
"""
FLAGS = (
    "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--mute-audio", "--no-first-run", "--disable-background-networking",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--force-device-scale-factor=1", "--remote-debugging-pipe", "about:blank",
)  # fmt: skip


class BrowserError(Exception):
    """One sentence about what this machine lacks for the browser, or what a page threw."""


def is_ready() -> bool:
    """Whether the browser answers from inside the folder."""
    if os.geteuid() != 0 or not (ROOT / PROGRAM).exists():
        return False
    done = subprocess.run(["chroot", ROOT, f"/{PROGRAM}", "--version"], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode == 0 and "Chrom" in done.stdout


def make() -> None:
    """Makes the folder unless the browser answers from it already (under a minute, 0.3 GB). Errors: BrowserError."""
    if os.name != "posix" or os.geteuid() != 0:
        raise BrowserError("The tests' browser lives in a folder root, which needs mounts: make it as root on Linux.")
    if is_ready():
        return
    if not shutil.which("mmdebstrap"):
        raise BrowserError("The browser's folder is made by mmdebstrap: `apt-get install mmdebstrap`.")
    shutil.rmtree(ROOT, ignore_errors=True)
    print(f"Making {ROOT.name} with Chromium from Debian {SUITE}", flush=True)
    options = ['Apt::Install-Recommends "false"', 'Acquire::Check-Valid-Until "false"', 'Acquire::Languages "none"']
    command = ["mmdebstrap", "--quiet", "--variant=extract", "--mode=root", *(f"--aptopt={option}" for option in options)]
    subprocess.run([*command, f"--include={PACKAGES}", SUITE, str(ROOT)], check=True)
    for pattern in LEFT_OUT:  # afterwards, because filtering while unpacking takes five times as long
        for path in ROOT.glob(f"usr/{pattern}"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name in ("proc", "dev", "tmp"):
        (ROOT / name).mkdir(exist_ok=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        if not (ROOT / name).exists():
            (ROOT / name).symlink_to(f"usr/{name}")
    if not is_ready():
        raise BrowserError(f"{ROOT.name} was made, but Chromium does not answer from it: try `chroot {ROOT} /{PROGRAM} --version`.")


class Browser:
    """One browser with one page. The folder `shared` is its /tmp, and nothing else of this machine is seen from inside.

    `requests`: addresses asked for since the last `open`. `errors`: what the page threw or logged as an error.
    """

    def __init__(self, shared: Path, size: tuple[int, int] = (1280, 800)) -> None:
        self.shared = shared
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._number = 0
        self._rest = b""
        self._session = ""
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # No network interface but an unconnected loopback: what a page asked for would fail, and be noted.
        alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--propagation", "private"]
        # The protocol wants its pipe at 3 and 4, whatever numbers it has here.
        moved = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
        inside = [*alone, "sh", "-c", ENTER, str(ROOT), str(shared), f"/{PROGRAM}", *FLAGS, f"--window-size={size[0]},{size[1]}"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}
        with (shared / "browser.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", moved, "bash", *inside], pass_fds=(to_browser, from_browser), env=environment, stdout=log, stderr=log
            )
        os.close(to_browser)
        os.close(from_browser)
        target = self.call("Target.createTarget", url="about:blank", width=size[0], height=size[1])["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(*size)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._write)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one command of the protocol."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 60
        while True:
            heard = self._hear(deadline)
            if heard.get("id") == self._number:
                if "error" in heard:
                    raise BrowserError(f"{method}: {heard['error']['message']}")
                result: dict[str, Any] = heard["result"]
                return result
            self._note(heard)

    def _hear(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))[0]
            part = os.read(self._read, 2**20) if ready else b""
            if not part:
                raise BrowserError("The browser does not answer: " + (self.shared / "browser.log").read_text(errors="replace")[-800:])
            self._rest += part
        text, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        method, told = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(f"{told['entry']['text']} {told['entry'].get('url', '')[:200]}")

    def open(self, name: str) -> None:
        """A file below `shared` as a page, loaded to its end."""
        self.requests.clear()
        self.errors.clear()
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=f"file:///tmp/{name}")
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for. Errors: BrowserError with what it threw."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(answer["exceptionDetails"].get("exception", {}).get("description", "the script failed"))
        return answer["result"].get("value")

    def until(self, condition: str, seconds: float = 30.0) -> Any:
        """Waits until a JavaScript expression is true, and returns it. Errors: BrowserError after `seconds`."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(condition)):
            if time.monotonic() > deadline:
                raise BrowserError(f"Still not true after {seconds:g} s: {condition}. {' '.join(self.errors)}")
            time.sleep(0.05)
        return value

    def resize(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def press(self, key: str) -> None:
        """One key, as the keyboard would send it to what has the focus."""
        codes = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9}
        code = codes.get(key, 0)
        text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """The left button pressed at `start`, moved to `end` and let go."""
        mouse: Callable[..., dict[str, Any]] = lambda kind, at: self.call(  # noqa: E731
            "Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", buttons=1, clickCount=1
        )
        mouse("mousePressed", start)
        for share in (0.25, 0.5, 0.75, 1.0):
            mouse("mouseMoved", (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])))
        mouse("mouseReleased", end)

    def picture(self, of: str = "") -> np.ndarray:
        """What is seen, [H,W,3] uint8: of the whole window, or of the element that a selector names."""
        clip: dict[str, Any] = {}
        if of:
            clip = {"clip": {**self.run(f"document.querySelector({json.dumps(of)}).getBoundingClientRect().toJSON()"), "scale": 1}}
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png", **clip)["data"])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


if __name__ == "__main__":
    try:
        make()
    except BrowserError as error:
        sys.exit(str(error))
