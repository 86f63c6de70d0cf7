# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the panel: what an artist reads in each situation."""

import re
import string

import pytest

from blender_addon.core import choices, words
from blender_addon.core.amounts import age, remaining, size
from blender_addon.core.lines import job_lines, server_lines
from protocol.events import Link, LinkChanged, Pulling, Uploading
from protocol.messages import Device, Status

from .fakes import WELCOME, World


def line(world):
    return job_lines(world.session, world.clock.now())[0]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"state": "queued", "place": 0}, "Waiting, next in line"),
        ({"state": "queued", "place": 1}, "Waiting, 1 before it"),
        ({"state": "queued", "place": 2}, "Waiting, 2 before it"),
        ({"state": "preparing", "phase": "load"}, "Loading the model"),
        ({"state": "running", "phase": "shape", "step": 40, "steps": 580}, "Shaping, step 40 of 580"),
        ({"state": "running", "phase": "colour", "step": 4, "steps": 580}, "Painting, step 4 of 580"),
        ({"state": "running", "phase": "my stage", "step": 4, "steps": 9}, "Working on 'my stage', step 4 of 9"),
        ({"state": "running"}, "Working"),
        ({"state": "finishing", "phase": "export"}, "Unwrapping and baking"),
        ({"state": "paused"}, "Paused"),
        ({"state": "cancelled"}, "Stopped"),
        ({"state": "failed"}, "Failed"),
    ],
)
def test_states_in_words(world, changes, text):
    job = world.submit()
    world.server.move(job, **changes)
    world.tick()
    assert line(world).text == text


def test_bytes_on_their_way(world):
    world.server.submit = lambda job, *_: world.server.events.append(Uploading(job, 3 * 2**20, 12 * 2**20))
    job = world.submit()
    assert (line(world).text, line(world).fraction) == ("Sending the sketch, 3.0 MB of 12.0 MB", 0.25)
    world.server.events.append(Uploading(job, 0, 0))
    world.tick()
    assert (line(world).text, line(world).fraction) == ("Waiting for the server to take it", None)


def test_the_result_on_its_way(world):
    job = world.submit()
    world.server.done(job)
    world.server.events.append(Pulling(job, 2**20, 2 * 2**20))
    world.tick()
    assert (line(world).text, line(world).fraction) == ("Fetching the result, 1.0 MB of 2.0 MB", 0.5)


def test_the_time_left_is_hidden_until_it_is_known_and_counts_down(world):
    job = world.submit()
    world.server.run(job, 9, eta_s=60.0)
    world.tick()
    assert line(world).eta_text == ""
    world.server.run(job, 10, eta_s=62.0)
    world.tick()
    assert line(world).eta_text == "About 1 min left"
    world.clock.wait(20)
    assert line(world).eta_text == "About 40 s left"
    world.clock.wait(100)
    assert line(world).eta_text == "Almost there"
    world.server.lose()
    world.tick()
    assert line(world).eta_text == ""


def test_an_old_word_is_shown_with_its_age(world):
    job = world.submit()
    world.server.run(job, 9)
    world.tick()
    world.server.lose()
    world.tick()
    world.clock.wait(180)
    assert "Last heard of 3 min ago" in line(world).detail


def test_what_to_do_is_told(world):
    job = world.submit()
    world.server.run(job, 9, device="cpu", attempt=2, reason="The worker was lost.")
    world.tick()
    world.row(job).preview = False
    assert set(line(world).detail) == {
        "It has no preview in the scene. Press Show Preview to watch it.",
        "On Processor",
        "Attempt 2: went on from its last safe point",
    }
    world.server.move(job, state="paused")
    world.tick()
    assert "Resume" in line(world).detail[0]


def test_a_long_prompt_is_cut(world):
    world.submit("flower " * 40)
    assert len(line(world).title) < 75 and line(world).title.endswith("…")


def test_every_state_of_the_link_has_a_sentence_and_a_remedy():
    world = World()
    assert [one.text for one in server_lines(world.session, 0.0)] == ["Not connected", "Press Connect."]
    for kind in ("nothing_listening", "not_our_server", "version", "unreachable", "silent", "server_left", "address", "internal"):
        for link in (Link.LOST, Link.REFUSED):
            world.server.events.append(LinkChanged(link, kind=kind, retry_in_s=3.2 if link is Link.LOST else 0.0))
            world.tick(1)
            lines = server_lines(world.session, world.clock.now())
            assert lines[0].level == "error" and lines[1].text == words.LINK_REMEDY[kind]
            assert ("Next attempt in 4 s" in [one.text for one in lines]) == (link is Link.LOST)


def test_the_server_tells_of_its_devices(world):
    job = world.submit()
    device = Device(name="cpu", title="Processor", state="busy", memory_free=3 * 2**29, memory_total=2**33, job=job)
    world.session.status = Status(devices=(device,), running=1, queued=3)
    assert [one.text for one in server_lines(world.session, 0.0)] == [
        "Connected to sketchbridge 0.1",
        "Processor: working for this Blender",
        "Memory of Processor: 1.5 GB of 8.0 GB free",
        "1 running, 3 waiting on the server",
    ]


def test_drawing_touches_no_port(world):
    for _ in range(3):
        world.finished()
    world.session.ports.previews = world.session.ports.versions = world.session.ports.records = world.session.ports.server = None
    assert len(job_lines(world.session, world.clock.now())) == 3
    assert server_lines(world.session, world.clock.now())


def test_menus_follow_the_server():
    assert choices.presets(WELCOME, "quick")[1] == ("quick", "Quick", "Colours only")
    assert choices.methods(WELCOME, "")[0][0] == ""
    assert [item[0] for item in choices.methods(WELCOME, "sds")] == ["", "sds", "bridge"]
    assert choices.priors(WELCOME, "sd21")[-1][:2] == ("sd21", "sd21 (not on this server)")
    assert choices.priors(None, "sd21") == [("sd21", "sd21", "Connect to see what the server offers")]
    assert choices.methods(None, "") == [("", "By Preset", "The preset chooses the method of each stage")]
    assert [item[0] for item in choices.modes(WELCOME, "sketch")] == ["sketch", "prompt", "texture"]
    assert [parameter.name for parameter in choices.parameters(WELCOME, "sds")] == ["guidance", "space"]
    assert choices.parameters(None, "sds") == choices.parameters(WELCOME, "vsd") == ()


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "Almost there"), (7, "About 5 s left"), (38, "About 40 s left"), (54.9, "About 55 s left"), (56, "About 1 min left"),
     (3560, "About 59 min left"), (3600, "About 1 h 0 min left"), (9000, "About 2 h 30 min left")],
)  # fmt: skip
def test_time_left(seconds, told):
    assert remaining(seconds) == told


def test_amounts():
    assert [size(n) for n in (0, 512, 812 * 1024, 3.1 * 2**20, 23.4 * 2**30)] == ["0 B", "512 B", "812 KB", "3.1 MB", "23.4 GB"]
    assert [age(s) for s in (12, 200, 7300)] == ["12 s", "3 min", "2 h"]


def test_words_are_whole_patterns_and_can_be_translated(world):
    patterns = words.all_words()
    assert len(patterns) > 100 and all(isinstance(pattern, str) and pattern for pattern in patterns)
    for pattern in patterns:
        list(string.Formatter().parse(pattern))


def test_the_panel_speaks_another_language(world):
    job = world.submit()
    world.server.move(job, state="queued", place=2)
    world.tick()
    german = {"Waiting, {place} before it": "Wartet, {place} davor", "{name}: {prompt}": "{name} - {prompt}"}
    words.use(lambda text: german.get(text, text))
    try:
        assert (line(world).text, line(world).title) == ("Wartet, 2 davor", "Stem - a red flower")
    finally:
        words.use(str)


JARGON = ("queue", "worker", "checkpoint", "token", "payload", "socket", "uuid", "manifest", "exception", "json", "artefact", "broker")


def test_no_jargon():
    for pattern in words.all_words():
        read = re.sub(r"{.*?}", "", pattern).lower()
        assert not [word for word in JARGON if word in read], pattern
