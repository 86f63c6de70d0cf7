"""A scripted server and a client connected to it."""

import pytest

from protocol.client import Client
from protocol.events import Link
from tests.protocol.scripted_server import TOKEN, ScriptedServer, drive, reached


@pytest.fixture
def server():
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def client(server):
    """Ready."""
    client = Client(server.address, TOKEN, "a test")
    client.connect()
    drive(client, server, until=reached(Link.READY))
    yield client
    client.close()
