"""A worker that computes nothing: a real process that speaks the orders, takes a step every few milliseconds, and checkpoints.

Words in the prompt change what it does: "stubborn" does not obey, "crash" dies before its first checkpoint, "trip" dies once at
step 20, "liar" announces results that are not there, "broken" fails.
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import zmq

from backend.serve.orders import (
    CHECKPOINT_FILE,
    FROM_WORKER,
    RESULT_FOLDER,
    SECRET_VARIABLE,
    TO_WORKER,
    Beat,
    Drop,
    Ended,
    Held,
    Moved,
    Quit,
    Run,
    Said,
    Show,
    Shown,
    Stop,
    Turn,
    Turned,
)
from protocol.framing import array_spec, decode, encode
from protocol.job import JournalEntry
from protocol.messages import Artefact, Fault, Header
from protocol.version import VERSION

STEP_S = 0.003
BEAT_S = 0.1
DEFAULT_STEPS = 40


class FakeWorker:
    def __init__(self, address, device):
        self.device = device
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.set(zmq.ROUTING_ID, os.environ[SECRET_VARIABLE].encode())
        self.socket.set(zmq.LINGER, 500)
        self.socket.connect(address)
        self.parent = os.getppid()
        self.beaten_at = 0.0
        self.run = None
        self.dropped = 0

    def say(self, body, arrays=None):
        header = Header(v=VERSION, id=1, job=self.job, seq=self.attempt)
        self.socket.send_multipart(encode(header, body, arrays, kinds=FROM_WORKER))

    job, attempt = "", 0

    def live(self):
        while os.getppid() == self.parent != 1:  # 1: the server was gone before this process had started
            if time.monotonic() - self.beaten_at > BEAT_S:
                self.beaten_at = time.monotonic()
                title = f"fake, dropped {self.dropped} times"
                self.say(Beat(device=self.device, title=title, idle=self.run is None, memory_total=1))
            if self.socket.poll(1000 * BEAT_S / 2 if self.run is None else 0):
                message = decode(self.socket.recv_multipart(), TO_WORKER)
                if not self.obey(message.header, message.body):
                    return
            elif self.run is not None:
                time.sleep(STEP_S)
                self.step()

    def obey(self, header, body):
        if isinstance(body, Run):
            self.job, self.attempt, self.run = header.job, header.seq, body
            self.begin()
        elif isinstance(body, Quit):
            if self.run is not None and "stubborn" not in self.prompt:
                self.checkpoint()
                self.end("paused")
            return False
        elif isinstance(body, Drop):
            self.dropped += 1
        elif self.run is None or header.job != self.job or "stubborn" in self.prompt:
            pass
        elif isinstance(body, Stop):
            if body.how == "finish":
                self.finish("finished early")
            elif body.how == "discard":
                self.end("cancelled")
            else:
                self.checkpoint()
                self.end("paused")
        elif isinstance(body, Turn):
            self.turns.append((body.seq, body.command))
        elif isinstance(body, Show):
            self.show = body.max_vertices
        return True

    def begin(self):
        self.folder = Path(self.run.folder)
        self.prompt, self.show = self.run.job.prompt, self.run.preview_vertices
        self.steps = self.run.job.steps if self.run.job.steps >= 0 else DEFAULT_STEPS
        self.done, self.journal, self.turns = 0, [], list(self.run.steers)
        if self.run.resume:
            held = json.loads((self.folder / CHECKPOINT_FILE).read_text())
            self.done = held["step"]
            self.journal = msgspec.convert(held["journal"], list[JournalEntry])
        self.replay = [entry for entry in self.run.journal if entry not in self.journal]
        inputs = [Path(path).stat().st_size for path in self.run.paths]
        self.say(Said(text=f"attempt {self.attempt} resume {self.run.resume} from {self.done} inputs {inputs} prior {self.run.job.prior}"))
        self.say(Moved(phase="load", step=self.done, steps=self.steps, fraction=0.0))

    def step(self):
        if "broken" in self.prompt:
            self.say(Ended(outcome="failed", fault=Fault(code="numerical", sentence="It broke.", hint="Try another seed.")))
            self.run = None
            return
        if "crash" in self.prompt or ("trip" in self.prompt and self.done == 20 and self.attempt == 1):
            os._exit(7)
        while self.replay and self.replay[0].step <= self.done:
            self.turned(0, self.replay.pop(0))
        while self.turns:
            seq, command = self.turns.pop(0)
            self.turned(seq, JournalEntry(self.done, command))
        if self.done >= self.steps:
            self.finish("done")
            return
        self.done += 1
        self.say(Moved(phase="colour", step=self.done, steps=self.steps, fraction=self.done / self.steps, eta_s=1.0, rate=10.0))
        if self.done % self.run.job.checkpoint_every == 0:
            self.checkpoint()
        if self.show and self.done % self.run.job.preview_every == 0:
            vertices = np.full((self.show, 3), self.done, np.float32)
            arrays = {"vertices": vertices, "faces": np.zeros((2, 3), np.int32), "colours": np.zeros((self.show, 3), np.uint8)}
            specs = tuple(array_spec(name, array) for name, array in arrays.items())
            self.say(Shown(step=self.done, topology=f"{self.show}", arrays=specs), arrays)

    def turned(self, seq, entry):
        self.journal.append(entry)
        self.say(Turned(seq=seq, entry=entry, prompt=entry.command.prompt or ""))

    def checkpoint(self):
        path = self.folder / CHECKPOINT_FILE
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode({"step": self.done, "journal": self.journal}))
        part.replace(path)
        self.say(Held(step=self.done))

    def finish(self, outcome):
        self.say(Moved(phase="export", step=self.done, steps=self.steps, fraction=1.0))
        result = self.folder / RESULT_FOLDER
        result.mkdir(exist_ok=True)
        report = msgspec.json.encode({"steps": self.done, "journal": self.journal, "attempt": self.attempt})
        data = {"report.json": report, "vertices": np.arange(300_000, dtype="<f4").tobytes()}
        shapes = {"vertices": (100_000, 3)}
        results = []
        for name, content in data.items():
            if "liar" not in self.prompt:
                (result / name).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            dtype = "float32" if name in shapes else ""
            results.append(Artefact(name=name, bytes=len(content), digest=digest, dtype=dtype, shape=shapes.get(name, ())))
        self.end(outcome, tuple(results))

    def end(self, outcome, results=()):
        self.say(Ended(outcome=outcome, step=self.done, steps=self.steps, results=results))
        self.run, self.job, self.attempt = None, "", 0


if __name__ == "__main__":
    FakeWorker(*sys.argv[1:]).live()
    zmq.Context.instance().destroy(500)
