"""A broker as far as one worker can see: a ROUTER that gives orders and remembers every word."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zmq

from backend.serve.orders import FROM_WORKER, SECRET_VARIABLE, TO_WORKER, Beat, Ended, Run
from protocol.framing import array_spec, decode, encode
from protocol.messages import Header
from protocol.version import VERSION

SECRET = "5ec" * 10
ROOT = Path(__file__).parents[2]


class Broker:
    """`words`: every message that came, oldest first. `process` is the worker."""

    def __init__(self, start=True):
        self.context = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        self.router.set(zmq.LINGER, 0)
        self.router.set(zmq.ROUTER_MANDATORY, 1)
        port = self.router.bind_to_random_port("tcp://127.0.0.1")
        self.address = f"tcp://127.0.0.1:{port}"
        self.words, self.heard_at, self.process, self.root = [], [], None, ROOT
        if start:
            self.start()

    @property
    def command(self):
        return [sys.executable, "-m", "backend.serve.worker", self.address, "cpu"]

    @property
    def environment(self):
        return os.environ | {SECRET_VARIABLE: SECRET, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

    def start(self):
        self.process = subprocess.Popen(self.command, cwd=ROOT, env=self.environment, start_new_session=True)

    def wait_idle(self):
        self.wait(lambda message: isinstance(message.body, Beat) and message.body.idle, since=len(self.words))

    def order(self, body, job="", attempt=0):
        header = Header(v=VERSION, id=0, job=job, seq=attempt)
        self.router.send_multipart([SECRET.encode(), *encode(header, body, kinds=TO_WORKER)])

    def order_when_there(self, body, job, attempt):
        """Once the (new) worker has said its first word."""
        self.wait(lambda message: isinstance(message.body, Beat), since=len(self.words))
        self.order(body, job, attempt)

    def hear(self, timeout_s):
        """One more word, if one comes in time."""
        if self.router.poll(int(1000 * timeout_s)):
            peer, *frames = self.router.recv_multipart()
            assert peer == SECRET.encode()
            self.words.append(decode(frames, FROM_WORKER))
            self.heard_at.append(time.monotonic())

    def wait(self, condition, since=0, deadline_s=60.0):
        """The first word since number `since` for which the condition holds."""
        until = time.monotonic() + deadline_s
        seen = since
        while True:
            while seen < len(self.words):
                if condition(self.words[seen]):
                    return self.words[seen]
                seen += 1
            left = until - time.monotonic()
            assert left > 0, f"nothing of that kind came; the last words: {[str(word.body)[:200] for word in self.words[-5:]]}"
            assert self.process is None or self.process.poll() is None or self.router.poll(0), "the worker has ended"
            self.hear(min(left, 0.2))

    def wait_for(self, kind, job, attempt=1, when=lambda body: True):
        """The first word of that kind about the attempt."""
        return self.wait(lambda word: isinstance(word.body, kind) and _about(word, job, attempt) and when(word.body))

    def all(self, kind, job, attempt=1):
        return [word for word in self.words if isinstance(word.body, kind) and _about(word, job, attempt)]

    def finish(self, job, attempt=1, outcome="done"):
        ended = self.wait_for(Ended, job, attempt).body
        assert ended.outcome == outcome, ended
        return ended

    def wait_gone(self, deadline_s=30.0):
        """The exit status; words that still come are kept."""
        until = time.monotonic() + deadline_s
        while self.process.poll() is None or self.router.poll(0):
            assert time.monotonic() < until, "the worker is still there"
            self.hear(0.05)
        return self.process.returncode

    def wait_silence(self, deadline_s=15.0):
        """Until no beat has come for three seconds."""
        until = time.monotonic() + deadline_s
        while self.router.poll(3000):
            assert time.monotonic() < until, "the worker is still there"
            self.hear(0)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.router.close(0)
        self.context.term()


def _about(word, job, attempt):
    return (word.header.job, word.header.seq) == (job, attempt)


def stored(job, folder, arrays, **more):
    """The order to run a job whose arrays lie as files beside its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    specs, paths = [], []
    for name, array in arrays.items():
        path = folder / f"input_{name}"
        path.write_bytes(np.ascontiguousarray(array).tobytes())
        specs.append(array_spec(name, array, hashlib.sha256(path.read_bytes()).hexdigest()))
        paths.append(str(path))
    return Run(job=job, folder=str(folder), inputs=tuple(specs), paths=tuple(paths), **more)


def result(folder, ended):
    """Array name -> array, of the artefacts that a job left; each is checked against its digest."""
    arrays = {}
    for artefact in ended.results:
        data = (folder / "result" / artefact.name).read_bytes()
        assert len(data) == artefact.bytes and hashlib.sha256(data).hexdigest() == artefact.digest
        if artefact.dtype:
            arrays[artefact.name] = np.frombuffer(data, artefact.dtype).reshape(artefact.shape)
    return arrays
