import pytest

from tests.serve.peer import Peer, Server


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for tests that leave it as it was."""
    with Server(tmp_path_factory.mktemp("shared") / "data") as server:
        yield server


@pytest.fixture
def start(tmp_path):
    """Starts servers on one data folder; all are stopped at the end."""
    servers = []

    def start(**options):
        servers.append(Server(tmp_path / "data", **options))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture
def connect():
    """Connects clients; their jobs are cancelled at the end where the server still lives, so that it is free for others."""
    peers = []

    def connect(server, **options):
        peers.append((server, Peer(server.address, **options)))
        return peers[-1][1]

    yield connect
    for server, peer in peers:
        if server.process.poll() is None and hasattr(peer, "welcome") and not peer.socket.closed:
            peer.cancel_all()
        peer.close()
