"""From strokes to an accepted asset and back from disk: server and Blender in separate processes with disjoint folders."""

import socket

import numpy as np
import pytest
import zmq

from protocol.framing import decode, encode
from protocol.messages import Fault, Header
from protocol.version import VERSION
from tests.e2e.processes import wait_for

QUICK = {"steps": 80, "seed": 3, "faces": 6000, "texture_px": "512"}


def connected(artist, server):
    artist.do("connect", address=server.address)
    wait_for(lambda: artist.do("rows")["link"] == "ready", 20, "the handshake")


def submit(artist, **settings):
    """Press the big button; the id of the new job."""
    before = set(artist.do("rows")["rows"])
    artist.do("settings", **settings)
    artist.press("sketchbridge.submit")
    (job,) = set(artist.do("rows")["rows"]) - before
    return job


def extent(facts):
    return np.array(facts["low"]), np.array(facts["high"])


def diagonal(facts):
    low, high = extent(facts)
    return float(np.linalg.norm(high - low))


def test_strokes_become_a_flower_that_changes_its_colour_on_the_way(server, artist, tmp_path):
    connected(artist, server)
    drawn = artist.do("draw_strokes")["objects"]
    strokes = artist.do("facts", name="Heart")
    job = submit(artist, prompt="a red flower", **QUICK)
    artist.wait(job, "three previews", lambda row: len(artist.do("seen")["previews"].get(job, [])) >= 3 and row["step"] > 10, 120)

    artist.press("sketchbridge.pause", job=job)
    held = artist.wait(job, "the pause", lambda row: row["state"] == "paused", 60)
    artist.press("sketchbridge.steer", job=job, prompt="a blue flower")
    artist.press("sketchbridge.resume", job=job)
    done = artist.wait(job, "the end", lambda row: row["asset"] or row["state"] == "failed", 300)
    assert done["state"] == "done", done
    assert done["prompt"] == "a blue flower" and done["steps"] > held["steps"]

    previews = artist.do("seen")["previews"][job]
    assert len({one["mark"] for one in previews}) >= 3
    sizes = [one["diagonal"] for one in previews]
    assert max(sizes) < 1.3 * min(sizes), "a preview does not stand where the sketch stands"

    artist.press("sketchbridge.accept", job=job)
    name = next(n for n in artist.do("select_only_result", job=job)["objects"] if n not in drawn)
    flower = artist.do("facts", name=name)
    assert flower["vertices"] > 500 and all(artist.do("facts", name=one)["hidden"] for one in drawn)
    assert set(flower["images"]) and all(image["packed"] and image["size"] == [512, 512] for image in flower["images"].values())
    low, high = extent(flower)
    heart_low, heart_high = extent(strokes)
    assert (low < heart_low).all() and (high > heart_high).all(), "the flower does not stand around its heart"

    # Red has become blue: of the coloured picture, blue outweighs red.
    base = next(image for image in flower["images"].values() if image["space"] == "sRGB")
    assert base["mean"][2] > base["mean"][0], base

    for step, there in ((artist.do("undo"), False), (artist.do("redo"), True)):
        assert (name in step["objects"]) is there
    again = artist.do("facts", name=name)
    assert again["mark"] == flower["mark"] and again["images"].keys() == flower["images"].keys()

    path = str(tmp_path / "artist" / "flower.blend")
    artist.do("save", path=path)
    artist.do("reopen", path=path)
    read = artist.do("facts", name=name)
    for key in ("mark", "matrix", "materials", "images", "uv_maps"):
        assert read[key] == flower[key], key
    assert [one["current"] for one in artist.do("versions", name=name)][-1]

    seen = artist.do("seen")
    assert seen["threads"] == ["MainThread"], seen["threads"]


def test_a_mesh_changes_in_place_and_keeps_what_was_on_it(server, artist, tmp_path):
    connected(artist, server)
    before = artist.do("draw_pot")
    job = submit(artist, prompt="a green apple", **(QUICK | {"steps": 40}))
    other = submit(artist, prompt="a red apple", **(QUICK | {"steps": 20, "preset": "quick"}))
    first = artist.wait(job, "the end", lambda row: row["asset"] or row["state"] == "failed", 300)
    assert first["state"] == "done", first
    assert first["target"] == before["uid"] or first["target"]
    artist.wait(other, "the end of the second", lambda row: row["asset"], 300)

    artist.press("sketchbridge.accept", job=job)
    after = artist.do("facts", name="Apple")
    assert after["mark"] != before["mark"] and after["matrix"] == before["matrix"] and after["parent"] == "Table"
    assert after["groups"] == ["top", "low"] and after["modifiers"] == ["Wobble"] and after["custom"]["price"] == 12
    assert "Skin" in after["materials"] and len(after["materials"]) == 2
    top, low = after["weighted"]["top"], after["weighted"]["low"]
    assert top[0] > 100 and low[0] > 100 and top[1] > 0.1 > -0.1 > low[1]
    # In place: the result's box is the sketch's, but for what the shape was free to move.
    for there, here in zip(extent(after), extent(before), strict=True):
        assert np.abs(there - here).max() < 0.15 * diagonal(before)

    artist.press("sketchbridge.accept", job=other)
    assert len(artist.do("versions", name="Apple")) == 3
    artist.press("sketchbridge.revert", index=0)
    assert artist.do("facts", name="Apple")["mark"] == before["mark"]

    path = str(tmp_path / "artist" / "apple.blend")
    artist.do("save", path=path)
    artist.do("reopen", path=path)
    kept = artist.do("versions", name="Apple")
    assert [one["current"] for one in kept] == [True, False, False]
    artist.do("select_only", name="Apple")
    artist.press("sketchbridge.revert", index=1)
    assert artist.do("facts", name="Apple")["mark"] == after["mark"]


def test_an_asset_from_words_stands_at_the_cursor(server, artist):
    connected(artist, server)
    artist.do("empty_with_cursor", place=[5.0, 6.0, 7.0])
    job = submit(artist, mode="prompt", prompt="a red apple", size=0.5, **(QUICK | {"steps": 40}))
    done = artist.wait(job, "the end", lambda row: row["asset"] or row["state"] == "failed", 300)
    assert done["state"] == "done", done
    artist.press("sketchbridge.accept", job=job)
    (name,) = artist.do("select_only_result", job=job)["objects"]
    low, high = extent(artist.do("facts", name=name))
    assert np.abs([*((low + high)[:2] / 2), low[2]] - np.array([5.0, 6.0, 7.0])).max() < 1e-5, (low, high)
    assert 0.05 < (high - low).max() < 0.7


@pytest.fixture(params=["nobody", "wrong program", "too old", "too new"])
def stranger(request):
    """A port with something else behind it, and the kind of fault that it is."""
    if request.param in ("nobody", "wrong program"):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            if request.param == "wrong program":
                other.listen()
            kind = "nothing_listening" if request.param == "nobody" else "not_our_server"
            yield f"tcp://127.0.0.1:{other.getsockname()[1]}", kind, lambda: None
        return
    major = VERSION[0] - 1 if request.param == "too old" else VERSION[0] + 1
    with zmq.Context() as context, context.socket(zmq.ROUTER) as other:
        other.linger = 0
        port = other.bind_to_random_port("tcp://127.0.0.1")

        def answer():
            if other.poll(0):
                who, *frames = other.recv_multipart()
                asked = decode(frames).header
                words = f"This server speaks version {major}.0 of the protocol."
                header = Header(v=(major, 0), id=1, parent=asked.id)
                other.send_multipart([who, *encode(header, Fault(code="version", sentence=words, hint="Update the older side."))])

        yield f"tcp://127.0.0.1:{port}", "version", answer


def test_a_server_that_is_not_ours_is_named_with_a_remedy(artist, stranger):
    address, kind, answer = stranger
    artist.do("connect", address=address)

    def told():
        answer()
        seen = artist.do("rows")
        return seen if seen["link"] in ("lost", "refused") else None

    seen = wait_for(told, 20, "a word about the link")
    assert seen["kind"] == kind and seen["sentence"] and seen["hint"], seen
    assert seen["link"] == ("refused" if kind == "version" else "lost"), seen
