# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses as people type them, and who may be called."""

import pytest

from blender_addon.core.connect import connect, disconnect, is_loopback, may_connect, normalise_address
from protocol.errors import UserError
from protocol.events import Link

from .fakes import World


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("127.0.0.1", "tcp://127.0.0.1:5577"),
        (" localhost ", "tcp://127.0.0.1:5577"),
        ("localhost:6000", "tcp://127.0.0.1:6000"),
        ("Studio-3.local:80", "tcp://studio-3.local:80"),
        ("tcp://10.0.0.7:5577", "tcp://10.0.0.7:5577"),
        ("tcp://10.0.0.7:5577/", "tcp://10.0.0.7:5577"),
        ("::1", "tcp://[::1]:5577"),
        ("[fe80::1]:6000", "tcp://[fe80::1]:6000"),
    ],
)
def test_addresses(typed, address):
    assert normalise_address(typed) == address
    assert normalise_address(address) == address


@pytest.mark.parametrize(
    "typed",
    ["", "  ", "http://host", "host:0", "host:70000", "host:port", "a b", "ipc:///tmp/x", "host/../x", "tcp://", ":5577", "[::zz]:1"],
)
def test_what_is_no_address(typed):
    with pytest.raises(UserError) as error:
        normalise_address(typed)
    assert "127.0.0.1:5577" in error.value.hint


def test_loopback():
    assert is_loopback("tcp://127.0.0.1:5577") and is_loopback("tcp://127.9.9.9:1") and is_loopback("tcp://[::1]:5577")
    assert not is_loopback("tcp://10.0.0.7:5577") and not is_loopback("tcp://127.evil.example:5577")


def test_offline_only_this_machine():
    near, far = "tcp://127.0.0.1:5577", "tcp://10.0.0.7:5577"
    assert may_connect(near, False, True) is None and may_connect(far, True, False) is None
    assert "Online Access" in may_connect(far, False, False).hint
    assert "command" not in may_connect(far, False, False).sentence
    assert "the preference cannot change it" in may_connect(far, False, True).hint


def test_nothing_is_opened_before_the_user_acts():
    world = World()
    world.tick(5)
    assert world.server.link is Link.OFF and not world.records.files


def test_off_and_on_again(world):
    job = world.submit()
    disconnect(world.session)
    world.tick()
    assert world.session.link.link is Link.OFF and world.row(job).state.state == "queued"
    world.connect()
    assert world.session.link.link is Link.READY


def test_connecting_twice_changes_nothing(world):
    connect(world.session)
    world.tick()
    assert world.session.link.link is Link.READY


def test_nobody_listens():
    world = World()
    world.server.up = False
    world.connect()
    assert (world.session.link.link, world.session.link.kind) == (Link.LOST, "nothing_listening")
    world.server.up = True
    world.connect()
    assert world.session.link.link is Link.READY
