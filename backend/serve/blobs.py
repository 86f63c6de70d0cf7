"""Input arrays on disk: files named by the SHA-256 of their bytes, apart for every client, resumable while they arrive."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.serve.faults import Refused


@dataclass
class _Arriving:
    have: int
    digest: Any


class Blobs:
    """The folder of inputs. A file without ".part" is complete and what its name says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._arriving: dict[Path, _Arriving] = {}

    def path(self, owner: str, digest: str) -> Path:
        return self.folder / owner / digest

    def have(self, owner: str, digest: str, total: int) -> int:
        """Bytes of the array that are here, `total` only if it is complete. Errors: Refused("digest") for one that lies damaged."""
        path = self.path(owner, digest)
        if path.exists():
            if path.stat().st_size != total:
                raise Refused("input", f"The array {digest[:12]} is here with another size than {total} bytes.", "Check its shape.")
            return total
        arriving = self._part(path)
        if arriving.have > total:
            self._discard(path)
            return 0
        if arriving.have == total:
            self._complete(path, digest)
        return arriving.have

    def write(self, owner: str, digest: str, total: int, offset: int, data: bytes) -> int:
        """Bytes that are here once `data` is on disk; those that do not continue what is here are passed over.

        Errors: Refused("digest") when the array is complete and its bytes are not what its name says; it then starts over.
        """
        have = self.have(owner, digest, total)
        if have == total or offset != have:
            return have
        if offset + len(data) > total:
            raise Refused("malformed", f"The chunk ends at byte {offset + len(data)} of an array of {total}.", "Send what was declared.")
        path = self.path(owner, digest)
        part = _part_of(path)
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("r+b" if have else "wb") as file:
            file.seek(offset)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        arriving = self._arriving[path]
        arriving.digest.update(data)
        arriving.have += len(data)
        if arriving.have == total:
            self._complete(path, digest)
        return arriving.have

    def remove_unused(self, used: set[tuple[str, str]], owner: str) -> None:
        """Remove the owner's arrays, whole or partial, that are not among the (owner, digest) `used`."""
        for path in (self.folder / owner).glob("*"):
            if (owner, path.name.removesuffix(".part")) not in used:
                self._arriving.pop(path.with_suffix(""), None)
                path.unlink(missing_ok=True)

    def _part(self, path: Path) -> _Arriving:
        if path not in self._arriving:
            digest, have = hashlib.sha256(), 0
            part = _part_of(path)
            if part.exists():
                with part.open("rb") as file:
                    while block := file.read(2**20):
                        digest.update(block)
                        have += len(block)
            self._arriving[path] = _Arriving(have, digest)
        return self._arriving[path]

    def _complete(self, path: Path, digest: str) -> None:
        arriving = self._arriving.pop(path)
        if arriving.digest.hexdigest() != digest:
            self._discard(path)
            raise Refused("digest", f"The array {digest[:12]} arrived damaged.", "Send it again.", retryable=True)
        os.replace(_part_of(path), path)
        _sync_folder(path.parent)

    def _discard(self, path: Path) -> None:
        self._arriving.pop(path, None)
        _part_of(path).unlink(missing_ok=True)


def _part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _sync_folder(folder: Path) -> None:
    """A rename is durable once its folder is; Windows has no such call and needs none."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
