"""Starting the server: fast, without torch, alone on its folder, on this machine only."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image
from typer.testing import CliRunner

from backend.cli.main import app
from backend.distill.parameters import PARAMETERS
from backend.priors import hub
from backend.refine.presets import stages_of
from backend.serve.address import endpoint
from backend.serve.capabilities import MODES, PRESETS, methods, offer_priors
from backend.serve.devices import DeviceSearch, parse_devices
from protocol.errors import UserError
from protocol.messages import Bye, Fault, Hello
from tests.priors.tiny import write_tiny_folder
from tests.serve.peer import Peer, Server


def test_answers_without_torch_and_before_torch_would_be_there(tmp_path):
    times, torch = [], []
    for _ in range(3):  # a busy machine may be slow once
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        torch.append(time.perf_counter() - began)
        with Server(tmp_path / f"data{len(times)}") as server:
            peer = Peer(server.address)
            times.append(time.perf_counter() - server.began)
            assert server.ready["torch"] is False
            assert peer.welcome.server.startswith("sketchbridge ")
            peer.close()
    print(f"\nfrom starting the process to Welcome: {1000 * min(times):.0f} ms; to import torch: {1000 * min(torch):.0f} ms")
    assert min(times) < 0.7 * min(torch)


def test_welcome_says_all_that_a_panel_needs(shared, connect):
    welcome = connect(shared).welcome
    assert [mode.name for mode in welcome.modes] == ["sketch", "prompt", "texture", "image", "illusion"]
    assert {method.name for method in welcome.methods} == set(PARAMETERS)
    guidance = welcome.methods[0].parameters[0]
    assert (guidance.name, guidance.type, guidance.minimum, guidance.maximum) == ("guidance", "float", 0.0, 1000.0)
    assert guidance.title and guidance.description
    starter = welcome.priors[0]
    assert guidance.default == 15.0, "the default should suit the starter"
    assert starter.name == "starter" and "flower" in starter.nouns and starter.licence
    assert welcome.limits.faces == 2_000_000
    assert [device.name for device in welcome.status.devices] == ["cpu"]


def test_every_method_and_preset_has_words():
    card = offer_priors(())["starter"].card
    assert [each.name for each in methods(card)] == list(PARAMETERS)
    assert all(choice.title and choice.description for choice in (*methods(card), *PRESETS, *MODES))
    for preset in PRESETS:
        assert stages_of(preset.name, "sketch", card)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_other_addresses_are_refused(tmp_path, host):
    result = CliRunner().invoke(app, ["serve", "--host", host, "--data", str(tmp_path / "data")])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1 and host in result.stderr
    assert not (tmp_path / "data").exists()


def test_loopback_addresses():
    assert endpoint("localhost", 5577) == "tcp://127.0.0.1:5577"
    assert endpoint("127.0.0.9", 0) == "tcp://127.0.0.9:*"
    assert endpoint("::1", 1) == "tcp://[::1]:1"


def test_devices():
    assert parse_devices("auto") == ()
    assert parse_devices("cuda:0, cuda:1") == ("cuda:0", "cuda:1")
    for text in ("toaster", "cuda", "cpu,cpu", ""):
        with pytest.raises(UserError):
            parse_devices(text)


def test_devices_are_those_that_the_driver_lists(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert DeviceSearch().found() == ("cpu",)
    listed = "GPU 0: NVIDIA H200 (UUID: GPU-1)\\n  MIG 1g.18gb Device 0: (UUID: MIG-1)\\nGPU 1: NVIDIA H200 (UUID: GPU-2)\\n"
    for said, devices in ((listed, ("cuda:0", "cuda:1")), ("No devices were found", ("cpu",))):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\nprintf '{said}'\n")
        program.chmod(0o755)
        search = DeviceSearch()
        until = time.monotonic() + 10
        while (found := search.found()) is None and time.monotonic() < until:
            time.sleep(0.01)
        assert found == devices


def test_priors_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "cached", lambda repo_id: None)
    monkeypatch.setattr(hub, "offered_files", lambda repo_id: ["model_index.json"])
    write_tiny_folder(tmp_path / "mine")
    offered = offer_priors((str(tmp_path / "mine"), "someone/some-model"))
    assert offered["mine"].location == str(tmp_path / "mine")
    assert offered["someone/some-model"].info.vocabulary == ()
    for named in (("./nowhere",), (str(tmp_path / "mine"), str(tmp_path / "mine"))):
        with pytest.raises(UserError):
            offer_priors(named)


def test_a_folder_of_pictures_is_offered_under_its_name(tmp_path):
    folder = tmp_path / "mugs"
    folder.mkdir()
    for number in range(2):
        Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a red mug, front view")
    offered = offer_priors((f"exemplar:{folder}",))["mugs"]
    assert offered.location == f"exemplar:{folder.resolve()}"
    assert offered.info.vocabulary == ("red", "mug") and offered.info.example_prompts == ("a red mug, front view",)
    (folder / "1.txt").unlink()
    told = _serve("--prior", f"exemplar:{folder}", "--port", "0", "--data", str(tmp_path / "data"))
    assert told.returncode == 2 and "1.png' has no caption" in told.stderr and told.stderr.count("\n") == 1


def _serve(*options):
    command = [sys.executable, "-m", "backend.cli.main", "serve", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_folder_and_a_port_serve_one_server(start, tmp_path):
    server = start()
    second = _serve("--port", "0", "--data", str(tmp_path / "data"))
    assert second.returncode == 3 and "Another server" in second.stderr
    port = server.address.rpartition(":")[2]
    third = _serve("--port", port, "--data", str(tmp_path / "other"))
    assert third.returncode == 3 and port in third.stderr and "in use" in third.stderr


def test_the_command_tells_its_address_and_ctrl_c_ends_it(tmp_path, connect):
    command = [
        sys.executable,
        "-m",
        "backend.cli.main",
        "serve",
        "--port",
        "0",
        "--json",
        "--devices",
        "cpu",
        "--data",
        str(tmp_path / "d"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ready = json.loads(process.stdout.readline())
    assert ready["ready"] and ready["pid"] == process.pid and ready["address"].endswith(f":{ready['port']}")
    peer = Peer(ready["address"])
    process.send_signal(signal.SIGINT)
    peer.wait(lambda message: isinstance(message.body, Bye))
    peer.close()
    assert process.wait(20) == 0
    assert "Traceback" not in process.communicate()[1]


@pytest.mark.parametrize(("low", "high", "told"), [((0, 1), (0, 9), "extension"), ((2, 0), (2, 3), "server"), ((1, 1), (1, 4), "server")])
def test_no_common_version(shared, connect, low, high, told):
    peer = connect(shared, greet=False)
    fault = peer.ask(Hello(low=low, high=high, client="test", token=peer.token)).body
    assert isinstance(fault, Fault) and fault.code == "version"
    assert told in fault.hint and "1.0" in fault.sentence and f"{low[0]}.{low[1]}" in fault.sentence


def test_a_newer_client_that_still_speaks_ours(shared, connect):
    peer = connect(shared, greet=False)
    assert peer.ask(Hello(low=(0, 3), high=(4, 2), client="test", token=peer.token)).body.version == (1, 0)


def test_the_workers_socket_hears_nobody_without_the_secret(shared):
    """A process that posed as a worker would be handed jobs; the address of that socket is in the worker's command line."""
    from backend.serve.orders import FROM_WORKER, Beat
    from protocol.framing import encode
    from protocol.messages import Header, Ping

    worker = shared.worker_ids()[0]
    with open(f"/proc/{worker}/cmdline", "rb") as file:
        address = file.read().split(b"\0")[-3].decode()
    assert os.getpid() != worker and address.startswith("tcp://127.0.0.1:")
    foreign = Peer(address, greet=False)
    foreign.socket.send_multipart(encode(Header(v=(1, 0), id=1), Beat(device="cpu", title="evil"), kinds=FROM_WORKER))
    client = Peer(shared.address)
    titles = {client.ask(Ping()).body.status.devices[0].title for _ in range(20)}
    assert "evil" not in titles
    assert not foreign.drain()
    foreign.close()
    client.close()
