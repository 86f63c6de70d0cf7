"""Messages to frames and back. Everything that came from outside is checked here before anybody looks at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import msgspec
import numpy as np

from protocol.errors import SketchBridgeError
from protocol.messages import KINDS, WITH_BYTES, ArraySpec, Header
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


def as_bytes(array: np.ndarray) -> memoryview:
    """The array as it travels: little-endian, C order. A view where it lies so already, else a copy."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data


def as_array(spec: ArraySpec, data: bytes | memoryview) -> np.ndarray:
    """The read-only array in `data`. Errors: BadMessage where the bytes are not what the description says."""
    if len(data) != array_bytes(spec):
        raise BadMessage(f"The array '{spec.name}' is declared with {array_bytes(spec)} bytes, but its frame has {len(data)}.")
    try:
        return np.frombuffer(data, dtype=np.dtype(spec.dtype).newbyteorder("<")).reshape(spec.shape)
    except ValueError:  # no bytes, and yet a side too long for any array
        raise BadMessage(f"The array '{spec.name}' is declared with the shape {list(spec.shape)}, which no array has.") from None


def encode(
    header: Header,
    body: msgspec.Struct,
    arrays: Mapping[str, np.ndarray] | None = None,
    raw: bytes | memoryview | None = None,
    kinds: Mapping[int, type[msgspec.Struct]] = KINDS,
) -> list[bytes | memoryview]:
    """The frames of one message: `arrays` those that the body describes, or `raw` for a kind that carries bytes."""
    frames: list[bytes | memoryview] = [
        bytes([next(kind for kind, struct in kinds.items() if struct is type(body))]),
        msgspec.msgpack.encode(header),
        msgspec.msgpack.encode(body),
    ]
    for spec in getattr(body, "arrays", ()):
        frames.append(as_bytes((arrays or {})[spec.name].astype(spec.dtype, copy=False)))
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
    header: Header = _unpack(frames[1], Header, "The header of a message")
    kind = kinds.get(frames[0][0] if len(frames[0]) else -1)
    if kind is None:
        raise BadMessage(f"The message kind {bytes(frames[0]).hex() or 'of no byte'} is unknown here.", "unsupported", header)
    try:
        body = _unpack(frames[2], kind, f"The body of '{kind.__name__}'")
        arrays, raw = _payload(kind, getattr(body, "arrays", ()), frames[3:])
    except BadMessage as error:
        error.header = header
        raise
    return Message(header, body, arrays, raw)


def _unpack(frame: bytes | memoryview, to: type[Any], what: str) -> Any:
    try:
        return msgspec.msgpack.decode(frame, type=to)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"{what} cannot be read: {str(error)[:300]}.") from None


def _payload(
    kind: type[msgspec.Struct], specs: Sequence[ArraySpec], rest: Sequence[bytes | memoryview]
) -> tuple[dict[str, np.ndarray], bytes]:
    expected = 1 if kind in WITH_BYTES else len(specs)
    if len(rest) != expected:
        raise BadMessage(f"'{kind.__name__}' should come with {expected} raw frames, but {len(rest)} came.")
    if kind in WITH_BYTES:
        return {}, bytes(rest[0])
    if len({spec.name for spec in specs}) != len(specs):
        raise BadMessage(f"'{kind.__name__}' describes two arrays of the same name.")
    return {spec.name: as_array(spec, frame) for spec, frame in zip(specs, rest, strict=True)}, b""
