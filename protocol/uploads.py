"""A submission on its way: digests a step at a time, then the arrays that the server lacks, in chunks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from protocol.framing import BadMessage, array_spec, as_bytes
from protocol.messages import Chunk, Got, Need, Submit

if TYPE_CHECKING:
    import numpy as np

    from protocol.job import RefineJob

CHUNK_BYTES = 2**20
"""Copying or hashing so much takes about a millisecond, a small share of a tick."""
GAP_TRIES = 3


@dataclass
class _Part:
    """One array. `asked`: offset of the next chunk; `has`: what the server has acknowledged."""

    name: str
    array: np.ndarray
    data: memoryview
    digest: str = ""
    asked: int = 0
    has: int = 0
    hasher: hashlib._Hash = field(default_factory=hashlib.sha256)
    hashed: int = 0


class Upload:
    """The arrays are read while the upload lasts, so nobody may change them."""

    def __init__(self, job: str, description: RefineJob, arrays: dict[str, np.ndarray], label: str) -> None:
        """Errors: ValueError for an array of a type that does not travel, or without elements."""
        self.job = job
        self.request = 0  # id of the Submit that waits for its answer
        self.accepted = False  # the server knows the job
        self.offered = False  # the server may have heard of the job
        self.submitted = False  # on this connection
        self._refusals = 0  # chunks that brought nothing forward
        self._description = msgspec.Raw(msgspec.msgpack.encode(description))
        self._label = label
        for name, array in arrays.items():
            array_spec(name, array)
            if not array.size:
                raise ValueError(f"'{name}' has no elements")
        self._parts = [_Part(name, array, as_bytes(array)) for name, array in arrays.items()]
        self._wanted: dict[str, _Part] = {}
        self._under_way: dict[int, tuple[_Part, int]] = {}  # id of the chunk: its array, and the offset after it

    @property
    def total(self) -> int:
        """Bytes of all arrays."""
        return sum(len(part.data) for part in self._parts)

    @property
    def sent(self) -> int:
        """Bytes that the server has."""
        return sum(self._wanted[part.digest].has if part.digest in self._wanted else len(part.data) for part in self._parts)

    @property
    def unanswered(self) -> int:
        return len(self._under_way)

    @property
    def hashed(self) -> bool:
        return all(part.digest for part in self._parts)

    def hash_step(self) -> bool:
        """Hashes one chunk more. False where all digests are known."""
        for part in self._parts:
            if part.digest:
                continue
            part.hasher.update(part.data[part.hashed : part.hashed + CHUNK_BYTES])
            part.hashed += CHUNK_BYTES
            if part.hashed >= len(part.data):
                part.digest = part.hasher.hexdigest()
            return True
        return False

    def asks(self, request: int) -> None:
        """The Submit went out under this id."""
        self.request = request
        self.offered = self.submitted = True

    def body(self) -> Submit:
        """The message that begins, or takes up again, this submission."""
        inputs = tuple(array_spec(part.name, part.array, part.digest) for part in self._parts)
        return Submit(job=self._description, inputs=inputs, label=self._label)

    def restart(self) -> None:
        """A new connection, or a chunk that did not fit: ask again what the server has."""
        self.submitted = False
        self.request = 0
        self._wanted = {}
        self._under_way = {}

    def need(self, need: Need) -> None:
        """Takes up the arrays that the server lacks, where it left off. Errors: BadMessage for one that was not offered."""
        self.accepted = True
        self.request = 0
        self._under_way = {}
        self._wanted = {}
        parts = {part.digest: part for part in self._parts}
        for missing in need.missing:
            part = parts.get(missing.digest)
            if part is None or missing.offset > len(part.data):
                raise BadMessage("The server asks for data that was not offered.")
            part.asked = part.has = missing.offset
            self._wanted[part.digest] = part

    def next_chunk(self, most: int) -> tuple[Chunk, memoryview] | None:
        """The next part to send, of at most `most` bytes; None where all is sent."""
        for part in self._wanted.values():
            if part.asked < len(part.data):
                raw = part.data[part.asked : part.asked + min(CHUNK_BYTES, most)]
                return Chunk(digest=part.digest, offset=part.asked, total=len(part.data)), raw
        return None

    def sent_chunk(self, request: int, chunk: Chunk, raw: memoryview) -> None:
        part = self._wanted[chunk.digest]
        part.asked += len(raw)
        self._under_way[request] = (part, part.asked)

    def waits_for(self, request: int) -> bool:
        return request in self._under_way

    def got(self, request: int, got: Got) -> None:
        """What the server has counts: another offset than expected moves the upload there, as when two jobs send the same array.

        Errors: BadMessage for another array, and for a server that stays where it is.
        """
        part, end = self._under_way.pop(request)
        if got.digest != part.digest or got.offset > len(part.data):
            raise BadMessage("The server acknowledges data that was not sent.")
        if got.offset != end:
            self.stuck(got.offset <= part.has)
            part.asked = got.offset
            self._under_way = {waiting: sent for waiting, sent in self._under_way.items() if sent[0] is not part}
        part.has = got.offset

    def stuck(self, again: bool = True) -> None:
        """Counts an answer that brought nothing forward. Errors: BadMessage after three of them."""
        self._refusals += again
        if self._refusals > GAP_TRIES:
            raise BadMessage("The server does not take the data that it asks for.", "gap")
