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
    peers = []

    def connect(server, **options):
        peers.append(Peer(server.address, **options))
        return peers[-1]

    yield connect
    for peer in peers:
        peer.close()
