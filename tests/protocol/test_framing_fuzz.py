"""Frames nobody thought of: 5 000 of them are a message or a `BadMessage`, and nothing else."""

import msgspec
import numpy as np
import pytest

pytest.importorskip("hypothesis")

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.framing import BadMessage, array_spec, as_array, as_bytes, decode, encode
from protocol.job import RefineJob
from protocol.messages import KINDS, Header, JobState, Preview, Submit

COUNTS = st.integers(0, 2**53)
HEADERS = st.builds(
    Header, v=st.tuples(COUNTS, COUNTS), id=COUNTS, parent=COUNTS, job=st.sampled_from(["", "0" * 32]), seq=COUNTS, sent_at=st.floats()
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


def fields_of(kind):
    """A body with the right keys and any values, or none of them."""
    return st.fixed_dictionaries({}, optional={name: PLAIN | st.from_type(str) for name in kind.__struct_fields__})


KIND = st.sampled_from(sorted(KINDS))
BODIES = KIND.flatmap(lambda kind: st.tuples(st.just(kind), fields_of(KINDS[kind])))


def message_or_bad(frames):
    try:
        message = decode(frames)
    except BadMessage as bad:
        if bad.code not in ("malformed", "unsupported", "too_large") or not 0 < len(bad.sentence) < 1000:
            raise
        return None
    assert isinstance(message.body, tuple(KINDS.values()))
    return message


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=8))
def test_random_frames(frames):
    message_or_bad(frames)


@settings(max_examples=700, deadline=None)
@given(HEADERS, BODIES, st.lists(st.binary(max_size=40), max_size=3))
def test_the_right_keys_with_any_values(header, body, raw):
    kind, fields = body
    message_or_bad([bytes([kind]), msgspec.msgpack.encode(header), msgspec.msgpack.encode(fields), *raw])


@settings(max_examples=1000, deadline=None)
@given(st.data())
def test_a_message_with_some_bytes_changed(data):
    arrays = {"vertices": np.ones((3, 3), np.float32), "colours": np.ones((3, 3), np.uint8), "faces": np.ones((1, 3), np.int32)}
    bodies = [
        (Preview(step=1, topology="t", arrays=tuple(array_spec(name, array) for name, array in arrays.items())), arrays),
        (JobState(job="0" * 32, state="running", losses={"a": 1.0}), None),
        (Submit(job=msgspec.Raw(msgspec.msgpack.encode(RefineJob(prompt="x"))), inputs=(array_spec("faces", arrays["faces"]),)), None),
    ]
    body, carried = data.draw(st.sampled_from(bodies))
    frames = [bytearray(frame) for frame in encode(Header(v=(1, 0), id=1), body, carried)]
    for _ in range(data.draw(st.integers(1, 4))):
        frame = data.draw(st.sampled_from(frames))
        if frame:
            frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    message_or_bad([bytes(frame) for frame in frames])


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(st.integers(0, 2**53), max_size=4),
    st.sampled_from(["float32", "int32", "uint8", "float64", ""]),
    st.binary(max_size=64),
)
def test_any_shape_over_any_frame(shape, dtype, raw):
    body = {"step": 1, "topology": "t", "arrays": [{"name": "vertices", "dtype": dtype, "shape": shape}]}
    message = message_or_bad([b"\x46", msgspec.msgpack.encode(Header(v=(1, 0), id=1)), msgspec.msgpack.encode(body), raw])
    if message is not None:
        assert message.arrays["vertices"].nbytes == len(raw)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["float32", "int32", "uint8"]), st.lists(st.integers(0, 5), min_size=1, max_size=3), st.randoms())
def test_arrays_survive(dtype, shape, random):
    array = np.frombuffer(random.randbytes(4 * int(np.prod(shape))), np.uint8)[: int(np.prod(shape)) * np.dtype(dtype).itemsize]
    array = array.view(dtype).reshape(shape)
    assert bytes(as_bytes(as_array(array_spec("a", array), as_bytes(array)))) == array.tobytes()
