"""Which devices get a worker, found without torch and without waiting."""

import re
import shutil
import subprocess

from protocol.errors import UserError

_DEVICE = re.compile(r"cpu|cuda:\d+")


def parse_devices(text: str) -> tuple[str, ...]:
    """The devices in "cuda:0,cuda:1"; empty for "auto". Errors: UserError for anything else."""
    if text == "auto":
        return ()
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if not _DEVICE.fullmatch(name):
            raise UserError(f"'{name}' is not a device.", "Use auto, cpu, or for example cuda:0,cuda:1.")
    if len(set(names)) < len(names):
        raise UserError(f"A device is named twice in '{text}'.", "Name each device once; it gets one worker.")
    return names


class DeviceSearch:
    """Asks the driver's own program for the devices; it may take seconds, so it runs beside."""

    def __init__(self) -> None:
        program = shutil.which("nvidia-smi")
        self._process = None
        if program is not None:
            self._process = subprocess.Popen([program, "-L"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def found(self) -> tuple[str, ...] | None:
        """One name per GPU, "cpu" where there is none; None while the answer is not there yet."""
        if self._process is None:
            return ("cpu",)
        if self._process.poll() is None:
            return None
        said = self._process.communicate()[0].decode(errors="replace")
        count = sum(line.startswith("GPU ") for line in said.splitlines())
        return tuple(f"cuda:{index}" for index in range(count)) or ("cpu",)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
