"""A client of nothing but a socket and the framing, and the server process it talks to."""

import hashlib
import json
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import zmq

from protocol.framing import array_spec, decode, encode
from protocol.job import RefineJob
from protocol.messages import ENDED, Cancel, Chunk, Fault, Header, Hello, JobState, ListJobs, Pull, Submit, Welcome
from protocol.version import VERSION

PATIENCE_S = 90.0


class Server:
    """A server process on `data`; stopped at the end of the `with` block."""

    def __init__(self, data, **options):
        self.data = data
        self.began = time.perf_counter()
        command = [sys.executable, "-m", "tests.serve.start_server", str(data), json.dumps(options)]
        self.log = (data.parent / f"{data.name}.log").open("ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        assert line, f"the server did not start: {(data.parent / f'{data.name}.log').read_text()}"
        self.ready = json.loads(line)
        self.address = self.ready["address"]

    def worker_ids(self):
        """Process ids of the workers that live."""
        listed = subprocess.run(["ps", "-o", "pid=,stat=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(line.split()[0]) for line in listed.stdout.splitlines() if "Z" not in line.split()[1]]

    def stop(self, number=signal.SIGTERM):
        workers = self.worker_ids()
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        self.log.close()
        until = time.monotonic() + PATIENCE_S
        while any(_lives(worker) for worker in workers) and time.monotonic() < until:
            time.sleep(0.01)
        assert not any(_lives(worker) for worker in workers), "a worker outlived its server"
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


def _lives(process):
    """Is it there, and more than an entry that nobody has collected?"""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Peer:
    """One connection. `heard` keeps every message that came, in order."""

    def __init__(self, address, token=None, greet=True):
        self.token = token or secrets.token_hex(16)
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.connect(address)
        self.last_id = 0
        self.heard = []
        self.commands = {}
        if greet:
            self.welcome = self.ask(Hello(low=VERSION, high=VERSION, client="test", token=self.token)).body

    def close(self):
        self.socket.close(0)

    def say(self, body, job="", seq=0, raw=None):
        self.last_id += 1
        self.socket.send_multipart(encode(Header(v=VERSION, id=self.last_id, job=job, seq=seq), body, raw=raw))
        return self.last_id

    def ask(self, body, job="", seq=0, raw=None):
        """The answer: the unrecorded message with this request as its parent."""
        parent = self.say(body, job, seq, raw)
        return self.wait(lambda message: message.header.parent == parent and not message.header.seq)

    def cancel_all(self):
        """Leaves no job behind that waits or runs."""
        for state in self.ask(ListJobs()).body.jobs:
            if state.state not in ENDED:
                self.ask(Cancel(), state.job, state.last_command + 1)
                self.wait_state(state.job, *ENDED)

    def command(self, body, job):
        """The answer to the next command of the job."""
        self.commands[job] = self.commands.get(job, 0) + 1
        return self.ask(body, job, self.commands[job]).body

    def wait(self, wanted, patience_s=PATIENCE_S):
        """The next message that is wanted."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            if self.socket.poll(50):
                message = decode(self.socket.recv_multipart())
                self.heard.append(message)
                if wanted(message):
                    return message
        raise AssertionError(f"not heard within {patience_s} s; last heard: {[each.body for each in self.heard[-5:]]}")

    def wait_state(self, job, *states):
        """The newest word on the job, once its state is one of these."""
        known = [m.body for m in self.heard if isinstance(m.body, JobState) and m.body.job == job]
        if known and known[-1].state in states:
            return known[-1]
        return self.wait(lambda m: isinstance(m.body, JobState) and m.body.job == job and m.body.state in states).body

    def wait_step(self, job, step):
        return self.wait(lambda m: isinstance(m.body, JobState) and m.body.job == job and m.body.step >= step).body

    def drain(self, quiet_s=0.2, most_s=3.0):
        """Everything that comes until nothing does for a while, or for `most_s`."""
        came, until = [], time.monotonic() + most_s
        while time.monotonic() < until and self.socket.poll(quiet_s * 1000):
            came.append(decode(self.socket.recv_multipart()))
        self.heard += came
        return came

    def submit(self, job=None, arrays=None, **settings):
        """The job's id, submitted and, where arrays are given, uploaded."""
        job = job or secrets.token_hex(16)
        answer = self.ask(submission(arrays, **settings), job).body
        if not isinstance(answer, JobState):
            assert not isinstance(answer, Fault), answer
            self.upload(job, answer, arrays)
        return job

    def upload(self, job, need, arrays):
        data = {digest_of(array): array.tobytes() for array in arrays.values()}
        for missing in need.missing:
            whole = data[missing.digest]
            self.ask(Chunk(digest=missing.digest, offset=missing.offset, total=len(whole)), job, raw=whole[missing.offset :])

    def pull(self, job, name, piece=100_000):
        data, total = b"", 1
        while len(data) < total:
            answer = self.ask(Pull(name=name, offset=len(data), count=piece), job)
            data, total = data + answer.raw, answer.body.total
        return data

    def events(self, job):
        """Recorded events of a job, as heard."""
        return [(m.header.seq, m.body) for m in self.heard if m.header.job == job and m.header.seq]

    def remarks(self, job):
        return [body.text for _, body in self.events(job) if hasattr(body, "text")]


def submission(arrays=None, inputs=None, label="", **settings):
    arrays = arrays or {}
    described = {"prompt": "a red thing", "mode": "sketch" if arrays else "prompt", "checkpoint_every": 10, "preview_every": 2, **settings}
    specs = tuple(array_spec(name, array, digest_of(array)) for name, array in arrays.items()) if inputs is None else inputs
    return Submit(job=msgspec.Raw(msgspec.msgpack.encode(described)), inputs=specs, label=label)


def digest_of(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


def triangle(**changes):
    """The smallest sketch."""
    return {
        "vertices": np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32),
        "faces": np.array([[0, 1, 2]], np.int32),
        **changes,
    }


__all__ = ["ENDED", "Peer", "RefineJob", "Server", "Welcome", "digest_of", "submission", "triangle"]
