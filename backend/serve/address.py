"""Where the server listens, and where it keeps its things."""

import ipaddress
import os
import sys
from pathlib import Path

from protocol.errors import UserError


def endpoint(host: str, port: int) -> str:
    """The ZeroMQ address to bind; port 0 leaves the choice to the system.

    Errors: UserError for an address that other machines can reach, and for one that is none.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise UserError(f"'{host}' is not an address.", "Use 127.0.0.1.") from None
    if not address.is_loopback:
        raise UserError(
            f"The server only listens on this machine, but {host} can be reached from others.",
            "Use 127.0.0.1, and an SSH tunnel to come from another machine.",
        )
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"tcp://{shown}:{port or '*'}"


def data_folder() -> Path:
    """The folder for the jobs of this user where none is named."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "sketchbridge" / "server"
