"""Drives a real, windowed Blender with real X events: starts it in a clean profile, clicks, types, takes pictures, asks for its state."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image
from root import enter

WIDTH, HEIGHT = 1280, 800
COLOURS = 200
CHANGED = 0.01
PICTURE_BYTES = 150 * 1000
TAB_PX = 12
"""From the right edge of the sidebar to the middle of its tabs."""
CLOSED_PX = 34
"""Headers closer together than this have nothing between them: the upper panel is closed."""


class RigError(AssertionError):
    """What was waited for and did not come, with the end of Blender's log."""


class Rig:
    """A virtual screen with Blender on it, the given extension zips installed and enabled. Use it as a context manager."""

    def __init__(self, folder: Path, zips: Sequence[Path], width: int = WIDTH, height: int = HEIGHT) -> None:
        self.folder, self.zips, self.width, self.height = folder, zips, width, height
        self.pictures = folder / "pictures"
        self._exchange = folder / "exchange"
        self._log = folder / "blender.log"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._environment = {"BLENDER_USER_RESOURCES": "/tmp/profile", "RIG_EXCHANGE": "/tmp/exchange"}
        self._asked = 0
        self._places: dict[str, tuple[int, int]] = {}
        self._last: np.ndarray | None = None

    def __enter__(self) -> Self:
        try:
            for name in ("home", "profile", "exchange", "pictures"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(__file__).with_name("in_blender.py"), self.folder / "in_blender.py")
            self._install()
            self._start_screen()
            self.start_blender()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends Blender and the screen, and what Blender started."""
        while self._processes:
            self._end(self._processes.pop())

    # ------------------------------------------------------------------------------------------------------ processes

    def _install(self) -> None:
        for path in self.zips:
            shutil.copyfile(path, self.folder / path.name)
            command = ["blender", "--command", "extension", "install-file", "-r", "user_default", "-e", f"/tmp/{path.name}"]
            done = self._run(command, within_s=120)
            if done.returncode:
                raise RigError(f"{path.name} was not installed: {done.stdout.decode(errors='replace')}")

    def _start_screen(self) -> None:
        command = ["Xvfb", "-displayfd", "1", "-screen", "0", f"{self.width}x{self.height}x24", "-nolisten", "tcp"]
        screen = self._start(command, output=subprocess.PIPE)
        assert screen.stdout is not None
        if not select.select([screen.stdout], [], [], 30)[0]:
            raise RigError("The virtual screen did not start within 30 s.")
        self._environment["DISPLAY"] = f":{int(screen.stdout.readline())}"

    def start_blender(self, *arguments: str) -> None:
        """Starts Blender and waits until it answers. `arguments` go on its command line (a .blend file, --online-mode)."""
        (self._exchange / "ready.json").unlink(missing_ok=True)
        window = ["--window-geometry", "0", "0", str(self.width), str(self.height)]
        self._blender = self._start(["blender", *window, *arguments, "--python", "/tmp/in_blender.py"])
        self.wait_for(lambda: (self._exchange / "ready.json").exists(), "Blender's window", within_s=120)
        self.state("settle")

    def stop_blender(self) -> None:
        """Ends Blender as a crash would: at once."""
        self._processes.remove(self._blender)
        self._end(self._blender)

    def _start(self, command: Sequence[str], output: int | None = None) -> subprocess.Popen[bytes]:
        command = enter(self.folder, command, self._environment)
        with self._log.open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output or log, stderr=log, start_new_session=True)
        self._processes.append(process)
        return process

    def _run(self, command: Sequence[str], within_s: float = 30) -> subprocess.CompletedProcess[bytes]:
        command = enter(self.folder, command, self._environment)
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=within_s, check=False)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    # ---------------------------------------------------------------------------------------------------------- asking

    def state(self, query: str, /, *, within_s: float = 60, **arguments: Any) -> Any:
        """The answer to one of the queries of in_blender.py."""
        self._asked += 1
        question, answer = (self._exchange / f"{kind}-{self._asked:06d}.json" for kind in ("ask", "answer"))
        unfinished = question.with_suffix(".part")
        unfinished.write_text(json.dumps({"query": query, "arguments": arguments}), encoding="utf-8")
        os.replace(unfinished, question)
        self.wait_for(answer.exists, f"the answer to {query}", within_s)
        reply = json.loads(answer.read_text(encoding="utf-8"))
        answer.unlink()
        if "error" in reply:
            raise RigError(f"{query} failed inside Blender:\n{reply['error']}")
        return reply["value"]

    def wait(self, query: str, until: Callable[[Any], bool], /, *, within_s: float = 30, **arguments: Any) -> Any:
        """Asks again and again until `until(answer)` holds, and returns that answer."""
        last = None

        def holds() -> bool:
            nonlocal last
            last = self.state(query, **arguments)
            return until(last)

        try:
            self.wait_for(holds, f"{query} to change", within_s, every_s=0.1)
        except RigError as error:
            raise RigError(f"{error}\nLast answer: {last}") from None
        return last

    def give(self, act: Callable[[], None], query: str, until: Callable[[Any], bool], /, *, within_s: float = 8, **arguments: Any) -> Any:
        """Does `act` until `until(answer)` holds: a busy window swallows keys and clicks. Escape closes a menu left open."""
        for _ in range(4):
            act()
            try:
                return self.wait(query, until, within_s=within_s, **arguments)
            except RigError as error:
                last = error
            self.key("Escape")
        raise last

    def wait_for(self, holds: Callable[[], bool], what: str, within_s: float, every_s: float = 0.005) -> None:
        """Waits for a condition outside Blender, while Blender lives."""
        end = time.monotonic() + within_s
        while not holds():
            late = time.monotonic() > end
            if late or self._blender.poll() is not None:
                reason = f"did not come within {within_s:g} s" if late else f"did not come: Blender ended with {self._blender.returncode}"
                log = self._log.read_text(encoding="utf-8", errors="replace")[-3000:]
                raise RigError(f"{what} {reason}. The end of its log:\n{log}")
            time.sleep(every_s)

    # -------------------------------------------------------------------------------------------------- mouse and keys

    def _tool(self, *arguments: str | int) -> None:
        done = self._run(["xdotool", *map(str, arguments)])
        if done.returncode:
            raise RigError(f"xdotool {arguments} failed: {done.stdout.decode(errors='replace')}")
        self.state("settle")

    def move(self, x: int, y: int) -> None:
        """Moves the pointer there, the last pixel as a motion of its own so that Blender sees where it is."""
        self._tool("mousemove", x - 2, y, "sleep", "0.05", "mousemove", x, y, "sleep", "0.1")

    def click(self, x: int, y: int, button: int = 1, holding: str = "") -> None:
        """Clicks at a pixel (1 left, 3 right, 4 wheel up, 5 wheel down), `holding` a key such as shift."""
        self.move(x, y)
        keys = (["keydown", holding, "sleep", "0.1"], ["sleep", "0.1", "keyup", holding]) if holding else ([], [])
        self._tool(*keys[0], "click", button, *keys[1])

    def pan(self, right: int, down: int) -> None:
        """Moves what the viewport shows by so many pixels: shift and the middle button."""
        place = self.state("layout")["regions"]["WINDOW"]
        x, y = place["x"] + place["width"] // 2, place["y"] + place["height"] // 2
        self.move(x, y)
        path: list[str | int] = []
        for step in range(1, 11):
            path += ["mousemove", x + right * step // 10, y + down * step // 10, "sleep", "0.05"]
        self._tool("keydown", "shift", "mousedown", 2, "sleep", "0.1", *path, "mouseup", 2, "keyup", "shift")

    def drag(self, points: Sequence[tuple[int, int]]) -> None:
        """Draws with the left button held along pixels."""
        self.move(*points[0])
        path: list[str | int] = []
        for x, y in points[1:]:
            path += ["mousemove", x, y, "sleep", "0.03"]
        self._tool("mousedown", 1, "sleep", "0.05", *path, "mouseup", 1)

    def key(self, *names: str) -> None:
        """Presses keys one after another: "Return", "ctrl+z", "shift+F3". They go to what the pointer is over."""
        self._tool("key", "--delay", 60, *names)

    def type(self, text: str) -> None:
        """Types text as a person would."""
        self._tool("type", "--delay", 25, text)

    def point_at_viewport(self) -> tuple[int, int]:
        """Moves the pointer to an empty lower corner of the 3D viewport, where keys go to the scene; that pixel."""
        place = self.state("layout")["regions"]["WINDOW"]
        spot = place["x"] + 120, place["y"] + place["height"] - 60
        self.move(*spot)
        return spot

    # --------------------------------------------------------------------------------------------------------- buttons

    def click_tab(self, name: str) -> None:
        """Opens a tab of the sidebar by a click on it: tries the strip of tabs from the top."""
        place = self.state("layout")["regions"]["UI"]
        for y in range(place["y"] + 30, place["y"] + place["height"], 30):
            self.click(place["x"] + place["width"] - TAB_PX, y)
            if self.state("tab") == name:
                return
        raise RigError(f"The sidebar has no tab {name!r}.")

    def find(self, part: str) -> tuple[int, int]:
        """The pixel of the sidebar's first button whose operator call or property path contains `part`; scrolls where it must."""
        known = self._places.get(part)
        if known and part in self.state("button_at", x=known[0], y=known[1]):
            return known
        for fine in (False, True):
            for _ in self._scroll_positions():
                found = self.state("find_button", part=part, fine=fine)
                if found:
                    self._places[part] = found["x"], found["y"]
                    return self._places[part]
        raise RigError(f"No button of the sidebar has {part!r} in what it does. There are: {self.state('buttons')}")

    def _scroll_positions(self) -> Iterator[None]:
        """The sidebar as it stands, then from its top to its end, page by page."""
        yield
        place = self.state("layout")["regions"]["UI"]
        start = before = self.state("scrolled")
        for wheel, times in ((4, 60), *[(5, place["height"] // 40)] * 20):
            self.move(place["x"] + place["width"] // 2, place["y"] + place["height"] // 2)
            self._tool("click", "--repeat", times, "--delay", 10, wheel)
            now = self.state("scrolled")
            if wheel == 5 and now == before:
                return
            if now != start:
                yield
            before = now

    def press(self, part: str) -> None:
        """Clicks the sidebar's button that `find` finds."""
        self.click(*self.find(part))

    def fill(self, part: str, text: str) -> None:
        """Clicks a text or number field of the sidebar and types its new content."""
        x, y = self.find(part)
        self._tool("mousemove", x, y, "sleep", "0.1", "click", "--repeat", 2, "--delay", 80, 1)
        self.key("ctrl+a")
        self.type(text)
        self.key("Return")

    def turn(self, part: str, steps: int) -> None:
        """Turns a choice of the sidebar by ctrl and mouse wheel, downwards for positive `steps`."""
        self.move(*self.find(part))
        self._tool("keydown", "ctrl", "click", "--repeat", abs(steps), "--delay", 80, 5 if steps > 0 else 4, "keyup", "ctrl")

    def open_panel(self, panel: str, category: str, open: bool = True) -> None:
        """Opens or closes a panel of the sidebar by its class name, by a click on its header."""
        if (panel in self.state("open_panels", category=category)) == open:
            return
        for _ in self._scroll_positions():
            headers = self._headers()
            below = [*(y for _, y in headers[1:]), self.height]
            looks_closed = {y: end - y < CLOSED_PX for (_, y), end in zip(headers, below, strict=True)}
            for x, y in sorted(headers, key=lambda header: looks_closed[header[1]] != open):
                self.click(x, y)
                if (panel in self.state("open_panels", category=category)) == open:
                    return
                self.click(x, y)
        raise RigError(f"No header of the sidebar belongs to {panel}; open are {self.state('open_panels', category=category)}")

    def _headers(self) -> list[tuple[int, int]]:
        """A pixel on each panel header that is in sight, from the top: found by a picture with the headers painted."""
        before = self.state("paint_headers", colour=[1, 0, 1, 1])
        try:
            pixels = self._picture("headers")
        finally:
            self.state("paint_headers", colour=before)
        place = self.state("layout")["regions"]["UI"]
        part = pixels[place["y"] : place["y"] + place["height"], place["x"] : place["x"] + place["width"]].astype(int)
        painted = ((part[..., 0] > 240) & (part[..., 1] < 30) & (part[..., 2] > 240)).mean(axis=1) > 0.4
        edges = np.flatnonzero(np.diff(np.concatenate([[False], painted, [False]]).astype(int))).reshape(-1, 2)
        return [(place["x"] + place["width"] // 2, place["y"] + int(first + last) // 2) for first, last in edges]

    # -------------------------------------------------------------------------------------------------------- pictures

    def _picture(self, name: str) -> np.ndarray:
        """What is on the screen, (H, W, 3) uint8, also left as a file."""
        self.state("settle")
        path = self.photograph(name)
        if path is None:
            raise RigError(f"The screen gave no picture for {name}.")
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))

    def photograph(self, name: str) -> Path | None:
        """A picture of the screen as it is, unchecked; None where the screen gives none. For the record of a failure."""
        path = self.pictures / f"{name}.png"
        return path if self._run(["import", "-window", "root", f"png:/tmp/pictures/{name}.png"]).returncode == 0 else None

    def screenshot(self, name: str, changed: float = CHANGED) -> Path:
        """A picture of the whole screen. Errors: RigError if it is blank, or if no more than `changed` of it is new since the last one."""
        pixels = self._picture(name)
        path = self.pictures / f"{name}.png"
        judge(pixels, self._last, changed, str(path))
        self._last = pixels
        Image.fromarray(pixels).quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size > PICTURE_BYTES:
            raise RigError(f"{path} has {path.stat().st_size} bytes, at most {PICTURE_BYTES} were expected.")
        return path


def judge(pixels: np.ndarray, before: np.ndarray | None, changed: float, name: str) -> None:
    """Raises RigError for a picture that is blank, or that shows what the one `before` it showed. (H, W, 3) uint8 each."""
    colours = len(np.unique(pixels.reshape(-1, 3), axis=0))
    if colours <= COLOURS:
        raise RigError(f"{name} has {colours} colours, more than {COLOURS} were expected: the screen is blank.")
    if before is None:
        return
    share = float((np.abs(before.astype(int) - pixels).max(axis=2) > 8).mean())
    if share <= changed:
        raise RigError(f"{name} differs in {share:.2%} of its pixels from the picture before, more than {changed:.2%} was expected.")
