"""A client written from docs/protocol.md alone, with a ZeroMQ binding and a MessagePack codec: a mesh there, an asset back.

python examples/raw_client.py "a red mug" [folder=result] [mesh=mug.obj] [steps=100] [address=tcp://127.0.0.1:5577]
"""

import hashlib
import secrets
import struct
import sys
from itertools import chain, count, product
from pathlib import Path

import msgspec
import zmq

HELLO, PING, SUBMIT, CHUNK, PULL = 1, 2, 3, 4, 13
FAULT, JOB_STATE, NEED, GOT, PIECE = 66, 67, 68, 69, 72
PART = 2**20  # bytes of a chunk or a piece
SIDES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]  # of a cube
JOB = secrets.token_hex(16)
socket = zmq.Context().socket(zmq.DEALER)
socket.linger = 0
ids = count(1)


def send(kind, body, raw=(), job=JOB):
    header = {"v": [1, 0], "id": next(ids), "job": job}
    socket.send_multipart([bytes([kind]), msgspec.msgpack.encode(header), msgspec.msgpack.encode(body), *raw])


def receive():
    """(kind, body, raw frames) of the next message. A second of silence is broken by a ping, three of them end the program."""
    for _ in range(3):
        if socket.poll(1000):
            kind, _, body, *raw = socket.recv_multipart()
            body = msgspec.msgpack.decode(body)
            return (kind[0], body, raw) if kind[0] != FAULT else sys.exit(f"{body['sentence']} {body['hint']}")
        send(PING, {}, job="")
    sys.exit("The server does not answer. Start it with: sketchbridge serve")


def answer(kind):
    """(body, raw frames) of the next message of this kind; others are passed over."""
    while (message := receive())[0] != kind:
        pass
    return message[1:]


def read_mesh(path):
    """Points and triangles of an .obj file, its longest side scaled to 1.6 around the origin; a cube without a file."""
    lines = [line.split() for line in Path(path).read_text().splitlines()] if path else []
    points = [[float(number) for number in words[1:4]] for words in lines if words[:1] == ["v"]] or list(product((-1, 1), repeat=3))
    polygons = [[int(word.split("/")[0]) - 1 for word in words[1:]] for words in lines if words[:1] == ["f"]] or SIDES
    ends = [(min(axis), max(axis)) for axis in zip(*points, strict=True)]
    scale = 1.6 / max(high - low for low, high in ends)
    points = [[(x - (low + high) / 2) * scale for x, (low, high) in zip(point, ends, strict=True)] for point in points]
    return points, [(face[0], face[i], face[i + 1]) for face in polygons for i in range(1, len(face) - 1)]


def run(description, arrays):
    """Submits the job, sends what the server lacks, and waits for the end: the artefacts that it left, by name."""
    by_digest = {hashlib.sha256(data).hexdigest(): data for _, _, _, data in arrays}
    inputs = [{"name": n, "dtype": t, "shape": s, "digest": hashlib.sha256(data).hexdigest()} for n, t, s, data in arrays]
    send(SUBMIT, {"job": description, "inputs": inputs, "label": "raw client"})
    while True:
        kind, body, _ = receive()
        for missing in body["missing"] if kind == NEED else ():
            digest, offset = missing["digest"], missing["offset"]
            while offset < len(by_digest[digest]):
                part = by_digest[digest][offset : offset + PART]
                send(CHUNK, {"digest": digest, "offset": offset, "total": len(by_digest[digest])}, [part])
                offset = answer(GOT)[0]["offset"]
        if kind == JOB_STATE:
            print(f"{body['state']:10} {body['phase']:12} {100 * body['fraction']:3.0f} %")
            if body["state"] in ("done", "failed", "cancelled"):
                return {artefact["name"]: artefact for artefact in body["results"]} or sys.exit(body["reason"])


def pull(artefact):
    data = b""
    while len(data) < artefact["bytes"]:
        send(PULL, {"name": artefact["name"], "offset": len(data), "count": min(PART, artefact["bytes"] - len(data))})
        data += answer(PIECE)[1][0]
    return data if hashlib.sha256(data).hexdigest() == artefact["digest"] else sys.exit(f"{artefact['name']} arrived damaged.")


options = {"folder": "result", "mesh": "", "steps": "-1", "address": "tcp://127.0.0.1:5577"} | dict(w.split("=", 1) for w in sys.argv[2:])
points, faces = read_mesh(options["mesh"])
rows = (("vertices", "float32", points, "f"), ("faces", "int32", faces, "i"))
arrays = [(n, t, [len(r), 3], struct.pack(f"<{3 * len(r)}{code}", *chain.from_iterable(r))) for n, t, r, code in rows]
socket.connect(options["address"])
send(HELLO, {"low": [1, 0], "high": [1, 0], "client": "raw client", "token": secrets.token_hex(16)}, job="")
results = run({"prompt": sys.argv[1], "mode": "sketch", "steps": int(options["steps"])}, arrays)
folder = Path(options["folder"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "base_colour.png").write_bytes(pull(results["base_colour.png"]))
vertices, triangles = struct.iter_unpack("<3f", pull(results["vertices"])), struct.iter_unpack("<3i", pull(results["faces"]))
lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices] + [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in triangles]
(folder / "asset.obj").write_text("\n".join(lines) + "\n")
