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


class Download:
    """Artefacts of one job, one after the other."""

    def __init__(self, job: str, names: tuple[str, ...]) -> None:
        self.job = job
        self.names = names
        self.received = 0
        self._artefacts: list[Artefact] | None = None
        self._vertices = 0
        self._whole: list[bytes] = []
        self._buffer = io.BytesIO()
        self._hasher = hashlib.sha256()
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
        return self._artefacts is not None and len(self._whole) == len(self._artefacts)

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
        self._close_complete()

    def restart(self) -> None:
        """A new connection: what was asked for and did not come is asked for again."""
        self._asked.clear()
        self._asked_to = (len(self._whole), self._buffer.tell())

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
            self._buffer.write(data)
            self._hasher.update(data)
            self.received += len(data)
            self._close_complete()

    def result(self) -> ResultArrived:
        """Everything, once `finished`."""
        arrays: dict[str, np.ndarray] = {}
        files: dict[str, bytes] = {}
        for artefact, data in zip(self._artefacts or (), self._whole, strict=True):
            if artefact.dtype:
                arrays[artefact.name] = np.frombuffer(data, np.dtype(artefact.dtype).newbyteorder("<")).reshape(artefact.shape)
            else:
                files[artefact.name] = data
        return ResultArrived(self.job, arrays, files)

    def _close_complete(self) -> None:
        """Puts away the artefact that has all its bytes, and those behind it that have none."""
        artefacts = self._artefacts or []
        while not self.finished and self._buffer.tell() == artefacts[len(self._whole)].bytes:
            artefact = artefacts[len(self._whole)]
            if self._hasher.hexdigest() != artefact.digest:
                raise BadMessage(f"'{artefact.name}' of the result is not what its digest says.", "digest")
            self._whole.append(self._buffer.getvalue())  # shares the buffer's memory
            self._buffer = io.BytesIO()
            self._hasher = hashlib.sha256()
