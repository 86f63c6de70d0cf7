# SPDX-License-Identifier: GPL-3.0-or-later
"""From settings to a job at the server: what it holds, what is remembered, what is refused before anything is sent."""

import numpy as np
import pytest

from blender_addon.core.build_job import IDENTITY, Settings, build_job
from blender_addon.core.submit import submit
from blender_addon.ports import Sketch
from protocol.errors import UserError
from protocol.job import decode_job

from .fakes import FROM_PROMPT, SKETCH, TOKEN, WELCOME, World


def test_a_submitted_job_is_at_the_server_in_the_records_and_in_the_scene(world):
    job = world.submit(seed=5, method="sds", parameters={"guidance": 12.0})
    sent, record = world.server.sent[job], world.records.files[job]
    assert (sent.description.prompt, sent.description.seed, sent.description.parameters) == ("a red flower", 5, {"guidance": 12.0})
    assert sent.description.placement == IDENTITY
    assert sent.arrays is SKETCH.arrays and sent.label == "Stem"
    assert decode_job(record.settings) == sent.description
    assert (record.token, record.target, record.to_world) == (TOKEN, "uid-1", SKETCH.to_world)
    assert job in world.scene.shown and world.row(job).preview
    assert world.row(job).state.state == "queued"


def test_a_prompt_alone_becomes_a_job(world):
    job = world.submit("a blue mug", FROM_PROMPT, mode="prompt")
    assert world.server.sent[job].description.mode == "prompt"


def test_not_connected_says_what_to_press():
    world = World()
    with pytest.raises(UserError, match="Press Connect"):
        submit(world.session, SKETCH, Settings(prompt="a flower"), "")
    assert not world.records.files and not world.scene.shown and not world.session.rows


def test_nothing_is_sent_where_the_record_cannot_be_kept(world):
    world.records.full = True
    with pytest.raises(UserError, match="No space left"):
        world.submit()
    assert not world.server.sent and not world.scene.shown and not world.session.rows


def test_nothing_is_left_where_the_client_refuses(world):
    def refuse(*_):
        raise ValueError("float64 does not travel")

    world.server.submit = refuse
    with pytest.raises(ValueError, match="float64"):
        world.submit()
    assert not world.records.files and not world.scene.shown and not world.session.rows


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"prompt": "  "}, "prompt is empty"),
        ({"prompt": "x" * 2001}, "2001 characters"),
        ({"mode": "illusion"}, "no mode 'illusion'"),
        ({"preset": "loose"}, "no preset 'loose'"),
        ({"method": "vsd"}, "no method 'vsd'"),
        ({"prior": "sd21"}, "no model 'sd21'"),
        ({"method": "sds", "parameters": {"guidance": 200.0}}, "'Guidance' is 200.0"),
        ({"method": "sds", "parameters": {"k": 1.0}}, "no setting 'k'"),
        ({"method": "sds", "parameters": {"space": "moon"}}, "'moon'"),
        ({"faces": 3_000_000}, "3000000 faces"),
        ({"texture_px": 16384}, "16384 pixels"),
        ({"slack": 2.0}, "'slack'"),
        ({"seed": -1}, "'seed'"),
    ],
)
def test_settings_that_the_server_does_not_take(changes, told):
    with pytest.raises(UserError) as error:
        build_job(Settings(**{"prompt": "a flower"} | changes), SKETCH, WELCOME)
    assert told in str(error.value)
    assert error.value.hint


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({}, "nothing to send"),
        ({"vertices": np.zeros((0, 3), np.float32)}, "nothing to send"),
        ({"vertices": np.zeros((3, 3), np.float32), "faces": np.zeros((0, 3), np.int32)}, "nothing to send"),
        ({"vertices": np.zeros((3, 3), np.float32), "faces": np.broadcast_to(np.int32(0), (2_000_001, 3))}, "2000001 faces"),
        ({"vertices": np.broadcast_to(np.float32(0), (50_000_000, 3))}, "572.2 MB"),
    ],
)
def test_sketches_that_the_server_does_not_take(arrays, told):
    with pytest.raises(UserError) as error:
        build_job(Settings(prompt="a flower"), Sketch("Stem", arrays, IDENTITY), WELCOME)
    assert told in str(error.value)
