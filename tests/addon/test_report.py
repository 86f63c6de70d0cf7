# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy Report: what it holds, and what it must not."""

import logging

import pytest

from blender_addon.core.recent_log import LINES
from blender_addon.core.report import report
from blender_addon.ports import Sketch

from .fakes import IDENTITY, TOKEN

VERSIONS = {"Blender": "4.2.23", "Python": "3.11.9", "Extension": "0.1.0"}


@pytest.fixture
def logger(world):
    logger = logging.getLogger("blender_addon.test_report")
    logger.setLevel(logging.INFO)
    logger.addHandler(world.session.log)
    yield logger
    logger.removeHandler(world.session.log)


def test_it_holds_what_helps(world, logger):
    job = world.submit()
    world.server.run(job, 33)
    world.server.fail(job)
    world.tick()
    logger.warning("The preview was late by 3 steps/s, 50 % of 12.5 MB.")
    text = report(world.session, job, VERSIONS)
    for wanted in (
        "Blender: 4.2.23",
        "Protocol: 1.0",
        "Server: sketchbridge 0.1",
        "Link: ready",
        f"Job {job[:8]}: failed",
        "step 33 of 100",
        "Fault numerical: The colours ran away. Lower the guidance.",
        "a trace",
        "queued -> running",
        "running -> failed numerical",
        "link ready",
        "The preview was late by 3 steps/s, 50 % of 12.5 MB.",
    ):
        assert wanted in text, text


def test_without_a_job(world):
    assert "Link: ready" in report(world.session, "", {})


def test_only_the_last_minute_and_the_last_lines(world, logger):
    job = world.submit()
    world.clock.wait(61)
    world.server.run(job)
    world.tick()
    for number in range(60):
        logger.info("line %d.", number)
    text = report(world.session, job, {})
    assert "queued -> running" in text and "new -> queued" not in text
    assert "line 59." in text and "line 9." not in text and len(world.session.log.lines) == LINES


PRIVATE = [
    "/home/anna/work/flower.blend",
    "/usr/lib/x/y.so",
    "~/secret/thing",
    r"C:\Users\Anna Maria\Desktop\flower.blend",
    r"\\studio\share\anna",
    'File "/opt/my tools/run.py", line 3',
    "tcp://studio.example:5577",
    "key 8f14e45fceea167a5a36dedd4bea2543aaaa",
    "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
]


@pytest.mark.parametrize("line", PRIVATE)
def test_paths_keys_and_addresses_are_removed(world, logger, line):
    logger.warning("Something about %s went wrong", line)
    text = report(world.session, "", VERSIONS)
    for word in ("anna", "flower", "secret", "my tools", "studio", "8f14e45f", "Desktop", "usr/lib", "Lns47"):
        assert word.lower() not in text.lower(), text
    assert "went wrong" in text or "<path>" in text


def test_names_of_the_user_and_of_the_work_are_removed(world, logger, monkeypatch):
    monkeypatch.setenv("USER", "anna-maria")
    monkeypatch.setenv("COMPUTERNAME", "WORKSTATION7")
    job = world.submit("a secret dragon", Sketch("Dragon of Client X", {"vertices": world_vertices()}, IDENTITY))
    logger.error("anna-maria on workstation7 lost %s and %s of Dragon of Client X: a secret dragon", TOKEN, job)
    text = report(world.session, job, VERSIONS)
    for word in ("anna", "workstation7", TOKEN[:20], job, "dragon", "client x", "/home"):
        assert word not in text.lower(), text


def world_vertices():
    import numpy as np

    return np.zeros((3, 3), np.float32)
