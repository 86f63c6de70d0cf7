"""Messages to frames and back. Everything that came from outside is checked here before anybody looks at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import msgspec
import numpy as np

from protocol.errors import SketchBridgeError
from protocol.messages import KINDS, ArraySpec, Header
from protocol.version import BODY_BYTES, FRAME_BYTES, HEADER_BYTES, MESSAGE_FRAMES

ITEM_BYTES = {"float32": 4, "int32": 4, "uint8": 1}


class BadMessage(SketchBridgeError):
    """Frames that are no message of this protocol. `code` names the fault: "malformed", "unsupported" or "too_large"."""

    def __init__(self, sentence: str, code: str = "malformed", header: Header | None = None) -> None:
        super().__init__(sentence, "Check that both sides speak this protocol.")
        self.code = code
        self.header = header


@dataclass(frozen=True)
class Message:
    """A received message. `arrays`: those that the body describes, by name, read-only views of the frames; `raw`: a chunk's bytes."""

    header: Header
    body: Any
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    raw: bytes = b""


def array_spec(name: str, array: np.ndarray, digest: str = "") -> ArraySpec:
    """How the array is described on the wire. Errors: ValueError for an element type that does not travel."""
    if str(array.dtype) not in ITEM_BYTES:
        raise ValueError(f"'{name}' is {array.dtype}, but only {', '.join(ITEM_BYTES)} travel")
    return ArraySpec(name=name, dtype=str(array.dtype), shape=array.shape, digest=digest)  # type: ignore[arg-type]


def array_bytes(spec: ArraySpec) -> int:
    """Size of the array on the wire."""
    return ITEM_BYTES[spec.dtype] * prod(spec.shape)


def as_array(spec: ArraySpec, data: bytes | memoryview) -> np.ndarray:
    """The read-only array in `data`. Errors: BadMessage where the bytes are not what the description says."""
    if len(data) != array_bytes(spec):
        raise BadMessage(f"The array '{spec.name}' is declared with {array_bytes(spec)} bytes, but its frame has {len(data)}.")
    return np.frombuffer(data, dtype=np.dtype(spec.dtype).newbyteorder("<")).reshape(spec.shape)


def encode(
    header: Header,
    body: msgspec.Struct,
    arrays: Mapping[str, np.ndarray] | None = None,
    raw: bytes | memoryview | None = None,
    kinds: Mapping[int, type[msgspec.Struct]] = KINDS,
) -> list[bytes | memoryview]:
    """The frames of one message. Arrays must be those that the body describes; they are laid out little-endian in C order."""
    frames: list[bytes | memoryview] = [
        bytes([next(kind for kind, struct in kinds.items() if struct is type(body))]),
        msgspec.msgpack.encode(header),
        msgspec.msgpack.encode(body),
    ]
    for spec in getattr(body, "arrays", ()):
        array = (arrays or {})[spec.name]
        frames.append(memoryview(np.ascontiguousarray(array, dtype=np.dtype(spec.dtype).newbyteorder("<")).reshape(-1)).cast("B"))
    if raw is not None:
        frames.append(raw)
    return frames


def decode(frames: Sequence[bytes | memoryview], kinds: Mapping[int, type[msgspec.Struct]] = KINDS) -> Message:
    """The message in `frames`. `kinds`: those that this side takes.

    Errors: BadMessage for anything else, naming what is wrong; with the header where that could be read.
    """
    if not 3 <= len(frames) <= MESSAGE_FRAMES:
        raise BadMessage(f"A message has 3 to {MESSAGE_FRAMES} frames, but {len(frames)} came.")
    for frame, limit in zip(frames, (1, HEADER_BYTES, BODY_BYTES, *[FRAME_BYTES] * MESSAGE_FRAMES), strict=False):
        if len(frame) > limit:
            raise BadMessage(f"A frame has {len(frame)} bytes, but at most {limit} are taken.", "too_large")
    try:
        header = msgspec.msgpack.decode(frames[1], type=Header)
    except msgspec.MsgspecError as error:
        raise BadMessage(f"The header of a message cannot be read: {error}.") from None
    kind = kinds.get(frames[0][0] if len(frames[0]) else -1)
    if kind is None:
        raise BadMessage(f"The message kind {bytes(frames[0]).hex() or 'of no byte'} is unknown here.", "unsupported", header)
    try:
        body = msgspec.msgpack.decode(frames[2], type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadMessage(f"The body of '{kind.__name__}' cannot be read: {error}.", header=header) from None
    rest = frames[3:]
    specs: tuple[ArraySpec, ...] = getattr(body, "arrays", ())
    if specs:
        if len(rest) != len(specs):
            raise BadMessage(f"'{kind.__name__}' describes {len(specs)} arrays, but {len(rest)} frames came.", header=header)
        try:
            return Message(header, body, {spec.name: as_array(spec, frame) for spec, frame in zip(specs, rest, strict=True)})
        except BadMessage as error:
            error.header = header
            raise
    if len(rest) > 1:
        raise BadMessage(f"'{kind.__name__}' takes one raw frame at most, but {len(rest)} came.", header=header)
    return Message(header, body, raw=bytes(rest[0]) if rest else b"")
