"""Frames there and back, and every way in which they can be no message."""

import msgspec
import numpy as np
import pytest

from protocol.framing import BadMessage, array_spec, as_array, as_bytes, decode, encode
from protocol.messages import FROM_CLIENT, ArraySpec, Chunk, Header, Ping, Preview, Remark
from protocol.version import BODY_BYTES, FRAME_BYTES, HEADER_BYTES, MESSAGE_FRAMES, VERSION

HEADER = Header(v=VERSION, id=7, job="0" * 32, seq=3)
ARRAYS = {
    "vertices": np.arange(12, dtype=np.float32).reshape(4, 3),
    "colours": np.arange(12, dtype=np.uint8).reshape(4, 3),
    "faces": np.array([[0, 1, 3]], np.int32),
}
PREVIEW = Preview(step=4, topology="t", arrays=tuple(array_spec(name, array) for name, array in ARRAYS.items()))


def told(frames, code="malformed", kinds=None):
    with pytest.raises(BadMessage) as raised:
        decode(frames) if kinds is None else decode(frames, kinds)
    assert raised.value.code == code
    assert raised.value.sentence.endswith(".") and "\n" not in raised.value.sentence and len(raised.value.sentence) < 500
    return raised.value


def test_arrays_there_and_back():
    frames = encode(HEADER, PREVIEW, ARRAYS)
    message = decode([bytes(frame) for frame in frames])
    assert (message.header, message.body) == (HEADER, PREVIEW)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(message.arrays[name], array)
        assert message.arrays[name].dtype == array.dtype and not message.arrays[name].flags.writeable


@pytest.mark.parametrize(
    "array", [np.arange(12, dtype=">f4"), np.arange(24, dtype="f4")[::2], np.zeros((0, 3), "f4"), np.float32(2).reshape(1)]
)
def test_arrays_of_any_layout_travel_little_endian_in_c_order(array):
    spec = ArraySpec(name="a", dtype="float32", shape=array.shape)
    np.testing.assert_array_equal(as_array(spec, as_bytes(array)), array)


def test_bytes_there_and_back():
    chunk = Chunk(digest="a" * 64, offset=0, total=3)
    assert decode(encode(HEADER, chunk, raw=memoryview(b"abc"))).raw == b"abc"
    assert decode(encode(HEADER, chunk, raw=b"")).raw == b""


def test_unknown_keys_are_passed_over():
    header = msgspec.msgpack.encode(msgspec.to_builtins(HEADER) | {"hop": 3})
    body = msgspec.msgpack.encode({"text": "x", "mood": "calm"})
    assert decode([b"\x47", header, body]).body == Remark(text="x")


def test_truncation_is_noticed_wherever_it_happens():
    whole = [bytes(frame) for frame in encode(HEADER, PREVIEW, ARRAYS)]
    for index, frame in enumerate(whole):
        for end in range(len(frame)):
            told(
                [*whole[:index], frame[:end], *whole[index + 1 :]],
                code="unsupported" if index == 0 else "malformed",
            )
    for count in range(len(whole)):
        told(whole[:count])


@pytest.mark.parametrize(
    ("index", "size"), [(0, 2), (1, HEADER_BYTES + 1), (2, BODY_BYTES + 1), (3, FRAME_BYTES + 1)], ids=["kind", "header", "body", "raw"]
)
def test_frames_above_their_limit(index, size):
    frames = [bytes(frame) for frame in encode(HEADER, PREVIEW, ARRAYS)]
    frames[index] = b"\x80" * size
    assert str(size) in told(frames, "too_large").sentence


def test_too_many_frames():
    told([b"\x02", *[b"\x80"] * MESSAGE_FRAMES])


@pytest.mark.parametrize(
    "shape",
    [(10**9, 3), (2**53, 2**53, 2**53), (4, 4), (0, 2**53), (2**31, 0, 2**31), (0, 3), (-1, 3), (), (1, 1, 1, 1), (4.5, 3), ("4", 3), None],
)
def test_shapes_that_are_not_in_the_frame(shape):
    body = {"step": 1, "topology": "t", "arrays": [{"name": "vertices", "dtype": "float32", "shape": shape}]}
    frames = [b"\x46", msgspec.msgpack.encode(HEADER), msgspec.msgpack.encode(body), ARRAYS["vertices"].tobytes()]
    told(frames)


def test_an_empty_array_with_impossible_sides():
    body = {"step": 1, "topology": "t", "arrays": [{"name": "vertices", "dtype": "float32", "shape": (2**40, 0, 2**40)}]}
    error = told([b"\x46", msgspec.msgpack.encode(HEADER), msgspec.msgpack.encode(body), b""])
    assert "no array" in error.sentence and error.header == HEADER


@pytest.mark.parametrize("dtype", ["float64", "object", "O", ">f4", "|S8", "float32\0", 4])
def test_other_element_types(dtype):
    body = {"step": 1, "topology": "t", "arrays": [{"name": "vertices", "dtype": dtype, "shape": [1]}]}
    told([b"\x46", msgspec.msgpack.encode(HEADER), msgspec.msgpack.encode(body), b"\0" * 4])


def test_two_arrays_of_one_name():
    spec = array_spec("vertices", ARRAYS["vertices"])
    body = Preview(step=1, topology="t", arrays=(spec, spec))
    told(encode(HEADER, body, {"vertices": ARRAYS["vertices"]}))


def test_bytes_where_none_belong_and_none_where_they_do():
    told([*encode(HEADER, Ping()), b"stowaway"])
    told(encode(HEADER, Chunk(digest="a" * 64, offset=0, total=3)))


def test_kinds_of_the_other_direction():
    error = told(encode(HEADER, Remark(text="x")), "unsupported", FROM_CLIENT)
    assert error.header == HEADER  # so that the fault can name what it answers


@pytest.mark.parametrize("job", ["../../etc/passwd", "A" * 32, "0" * 31, "0" * 33, "0" * 32 + "\n"])
def test_job_ids_are_hexadecimal(job):
    header = msgspec.to_builtins(HEADER) | {"job": job}
    told([b"\x02", msgspec.msgpack.encode(header), b"\x80"])


def test_deep_nesting_is_no_crash():
    told([b"\x47", b"\x91" * 4000, b"\x80"])
    told([b"\x47", msgspec.msgpack.encode(HEADER), b"\x81\xa4text" + b"\x91" * 100_000])
    told([b"\x47", msgspec.msgpack.encode(HEADER), b"\x81\xa4mood" + b"\x91" * 100_000])
