"""A result on its way: pieces of the wanted artefacts in order, checked as they come, whole once their digests agree."""

from __future__ import annotations

import hashlib
import io
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protocol.events import ResultArrived
from protocol.framing import BadMessage
from protocol.messages import Piece, Pull
from protocol.received import check_artefact, check_values

if TYPE_CHECKING:
    from protocol.messages import Artefact

PIECE_BYTES = 2**20
"""Copying, hashing and checking so much takes about two milliseconds. A multiple of every element's size."""


@dataclass
class _Asked:
    request: int
    artefact: int
    offset: int
    count: int
    raw: bytes | None = None


class _Whole:
    """The bytes of one artefact as they come. All memory is there from the start: growing may copy everything in one long tick."""

    def __init__(self, artefact: Artefact) -> None:
        self.artefact = artefact
        self.size = 0
        self._hasher = hashlib.sha256()
        self._memory = np.empty(artefact.bytes if artefact.dtype else 0, np.uint8)
        self._file = io.BytesIO(b"" if artefact.dtype else bytes(artefact.bytes))  # the only holder of these bytes, so written in place

    @property
    def complete(self) -> bool:
        return self.size == self.artefact.bytes

    def add(self, raw: bytes) -> None:
        self._hasher.update(raw)
        if self.artefact.dtype:
            self._memory[self.size : self.size + len(raw)] = np.frombuffer(raw, np.uint8)
        else:
            self._file.write(raw)
        self.size += len(raw)

    def check(self) -> None:
        """Errors: BadMessage where these are not the bytes of the digest."""
        if self._hasher.hexdigest() != self.artefact.digest:
            raise BadMessage(f"'{self.artefact.name}' of the result is not what its digest says.", "digest")

    def array(self) -> np.ndarray:
        return self._memory.view(np.dtype(self.artefact.dtype).newbyteorder("<")).reshape(self.artefact.shape)

    def file(self) -> bytes:
        return self._file.getvalue()  # shares the memory


class Download:
    """Artefacts of one job, one after the other."""

    def __init__(self, job: str, names: tuple[str, ...]) -> None:
        self.job = job
        self.names = names
        self.received = 0
        self._artefacts: list[Artefact] | None = None
        self._vertices = 0
        self._whole: list[_Whole] = []  # those that are complete, and the one that is coming
        self._asked_to = (0, 0)  # artefact and offset of the next request
        self._asked: deque[_Asked] = deque()

    @property
    def total(self) -> int:
        return sum(artefact.bytes for artefact in self._artefacts or ())

    @property
    def unanswered(self) -> int:
        return len(self._asked)

    @property
    def finished(self) -> bool:
        return self._artefacts is not None and len(self._whole) == len(self._artefacts) and all(whole.complete for whole in self._whole)

    def begin(self, results: tuple[Artefact, ...]) -> None:
        """Chooses the wanted among the results. Errors: BadMessage for one that is not there or cannot be what it says."""
        if self._artefacts is not None:
            return
        there = {artefact.name: artefact for artefact in results}
        missing = [name for name in self.names if name not in there]
        if missing:
            raise BadMessage(f"The result has no '{missing[0]}', only {', '.join(there) or 'nothing'}.", "input")
        wanted = [there[name] for name in self.names]
        for artefact in wanted:
            check_artefact(artefact)
        if "vertices" in there and there["vertices"].shape:
            self._vertices = there["vertices"].shape[0]
        self._artefacts = wanted
        self._go_on()

    def restart(self) -> None:
        """A new connection: what was asked for and did not come is asked for again."""
        self._asked.clear()
        self._asked_to = (max(len(self._whole) - 1, 0), self._whole[-1].size if self._whole else 0)

    def next_pull(self, most: int) -> Pull | None:
        """The next part to ask for, of at most `most` bytes; None where all is asked for."""
        artefacts = self._artefacts or []
        index, offset = self._asked_to
        while index < len(artefacts) and offset >= artefacts[index].bytes:
            index, offset = index + 1, 0
        self._asked_to = (index, offset)
        if index == len(artefacts):
            return None
        return Pull(name=artefacts[index].name, offset=offset, count=min(PIECE_BYTES, most, artefacts[index].bytes - offset))

    def asked(self, request: int, pull: Pull) -> None:
        index, offset = self._asked_to
        self._asked.append(_Asked(request, index, offset, pull.count))
        self._asked_to = (index, offset + pull.count)

    def waits_for(self, request: int) -> bool:
        return any(asked.request == request for asked in self._asked)

    def arrived(self, request: int, piece: Piece, raw: bytes) -> None:
        """Errors: BadMessage for anything but the bytes that were asked for, for values that cannot be used, for another digest."""
        asked = next(asked for asked in self._asked if asked.request == request)
        artefact = (self._artefacts or [])[asked.artefact]
        if (piece.name, piece.offset, piece.total, len(raw)) != (artefact.name, asked.offset, artefact.bytes, asked.count):
            raise BadMessage(f"{asked.count} bytes of '{artefact.name}' from {asked.offset} were asked for; others came.")
        check_values(artefact, raw, self._vertices)
        asked.raw = raw
        while self._asked and self._asked[0].raw is not None:
            data = self._asked.popleft().raw or b""
            self._whole[-1].add(data)
            self.received += len(data)
            self._go_on()

    def result(self) -> ResultArrived:
        """Everything, once `finished`."""
        arrays: dict[str, np.ndarray] = {}
        files: dict[str, bytes] = {}
        for whole in self._whole:
            if whole.artefact.dtype:
                arrays[whole.artefact.name] = whole.array()
            else:
                files[whole.artefact.name] = whole.file()
        return ResultArrived(self.job, arrays, files)

    def _go_on(self) -> None:
        """Checks what is complete, and begins the next artefact."""
        artefacts = self._artefacts or []
        while not self._whole or self._whole[-1].complete:
            if self._whole:
                self._whole[-1].check()
            if len(self._whole) == len(artefacts):
                return
            self._whole.append(_Whole(artefacts[len(self._whole)]))
