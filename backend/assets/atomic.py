"""Files that are there whole or not at all."""

import os
from pathlib import Path

from backend.errors import ResourceError


def replace_file(path: Path | str, data: bytes) -> Path:
    """Write `data` beside `path`, sync it, rename it: what was there before stands until the new file is complete.

    Raises ResourceError, with nothing left behind, where the disk is full or the place cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with open(temporary, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ResourceError(f"{path.name} could not be written to {path.parent}: {error.strerror}.", "Free some space or choose another folder.") from error
    return path
