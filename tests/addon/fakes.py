# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports as small machines with state: a scene that is a dictionary, a server that answers, a clock that is set by hand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import msgspec
import numpy as np

from blender_addon.core.build_job import IDENTITY, Settings
from blender_addon.core.connect import connect
from blender_addon.core.session import Session
from blender_addon.core.submit import submit
from blender_addon.ports import Accepted, Asset, JobRecord, Ports, Sketch, Version
from protocol.events import Faulted, JobChanged, JobsListed, Link, LinkChanged, PreviewArrived, ResultArrived
from protocol.messages import Artefact, Choice, Device, Fault, JobState, MethodCard, Parameter, PriorInfo, Status, Welcome

TOKEN = "a" * 64
DIGEST = "0" * 64

WELCOME = Welcome(
    version=(1, 0),
    server="sketchbridge 0.1",
    modes=(Choice(name="sketch", title="Sketch"), Choice(name="prompt", title="Prompt"), Choice(name="texture", title="Texture")),
    presets=(Choice(name="default", title="Default"), Choice(name="quick", title="Quick", description="Colours only")),
    methods=(
        MethodCard(
            name="sds",
            title="SDS",
            parameters=(
                Parameter(name="guidance", type="float", default=7.5, title="Guidance", minimum=0, maximum=100),
                Parameter(name="space", type="choice", default="noise", choices=("noise", "image")),
            ),
        ),
        MethodCard(name="bridge", title="Bridge"),
    ),
    priors=(PriorInfo(name="starter", title="Starter", licence="Apache-2.0"),),
    status=Status(devices=(Device(name="cpu", title="Processor", state="idle", memory_free=2**31, memory_total=2**33),)),
)


class FakeClock:
    """Time passes when a test says so."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1.7e9 + self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds


class FakeServer:
    """One client's view of a server. `jobs` is the truth; what changes there is told by `pump`, while the link is up."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobState] = {}
        self.owner: dict[str, str] = {}
        self.token = TOKEN
        self.sent: dict[str, object] = {}
        self.credit: dict[str, int] = {}
        self.grants: dict[str, int] = {}
        self.pulled: dict[str, tuple[str, ...]] = {}
        self.attached: list[str] = []
        self.steered: dict[str, str] = {}
        self.events: list = []
        self.up = True
        self.link = Link.OFF
        self.released = 0
        self.broken: Exception | None = None
        self.results = {"vertices": 36, "faces": 12, "loop_uv": 24, "base_colour.png": 4, "normal.png": 4, "asset.glb": 9}

    # The port

    def connect(self) -> None:
        if self.up:
            self._link(Link.CONNECTING)
            self._link(Link.HANDSHAKING)
            self._link(Link.READY, welcome=WELCOME)
        else:
            self._link(Link.LOST, kind="nothing_listening", sentence="No server listens there.", hint="Start it.", retry_in_s=2.0)

    def close(self) -> None:
        self.link = Link.OFF
        self.credit.clear()

    def submit(self, job, description, arrays, label="") -> None:
        self.sent[job] = SimpleNamespace(description=description, arrays=arrays, label=label)
        self.owner[job] = self.token
        self.jobs[job] = JobState(job=job, state="queued", label=label, mode=description.mode, prompt=description.prompt, last_seq=1)
        self.tell(job)

    def steer(self, job, command) -> None:
        self.steered[job] = command.prompt
        self.move(job, prompt=command.prompt, last_command=self.jobs[job].last_command + 1)

    def pause(self, job) -> None:
        self.move(job, state="paused")

    def resume(self, job) -> None:
        self.move(job, state="queued", fault=None)

    def cancel(self, job, how) -> None:
        self.move(job, state="cancelled" if how == "discard" else "finishing")

    def forget(self, job) -> None:
        self.jobs.pop(job, None)
        self.list_jobs()

    def attach(self, job, last_seq=0, token="") -> None:
        self.attached.append(job)
        if job not in self.jobs or self.owner[job] not in (self.token, token):
            self.events.append(Faulted(job, Fault(code="unknown_job", sentence="There is no such job.", hint="Check the id.")))
            return
        self.owner[job] = self.token
        self.tell(job)

    def list_jobs(self) -> None:
        mine = [state for job, state in self.jobs.items() if self.owner[job] == self.token]
        self.events.append(JobsListed(tuple(reversed(mine))))

    def grant(self, job, previews=1, max_vertices=5_000) -> None:
        self.credit[job] = previews
        self.grants[job] = self.grants.get(job, 0) + 1

    def pull(self, job, names) -> None:
        self.pulled[job] = names

    def release_memory(self) -> None:
        self.released += 1

    def pump(self, deadline_s):
        if self.broken:
            raise self.broken
        events, self.events = self.events, []
        return events

    # What a test does to it

    def _link(self, link: Link, **said: object) -> None:
        self.link = link
        self.events.append(LinkChanged(link, **said))

    def lose(self) -> None:
        self.credit.clear()
        self._link(Link.LOST, kind="silent", sentence="The server is silent.", hint="Wait.", retry_in_s=4.0)

    def back(self) -> None:
        self._link(Link.READY, welcome=WELCOME)

    def tell(self, job: str) -> None:
        self.events.append(JobChanged(self.jobs[job]))

    def move(self, job: str, **changes: object) -> None:
        """The job is so from now on, and its client hears of it."""
        state = self.jobs[job]
        if "state" in changes:
            changes.setdefault("last_seq", state.last_seq + 1)
        self.jobs[job] = msgspec.structs.replace(state, **changes)
        self.tell(job)

    def run(self, job: str, step: int = 1, **changes: object) -> None:
        self.move(job, **{"state": "running", "phase": "colour", "step": step, "steps": 100, "fraction": step / 100} | changes)

    def fail(self, job: str, retryable: bool = True) -> None:
        fault = Fault(code="numerical", sentence="The colours ran away.", hint="Lower the guidance.", retryable=retryable, trace="a trace")
        self.move(job, state="failed", fault=fault)

    def done(self, job: str) -> None:
        results = tuple(Artefact(name=name, bytes=size, digest=DIGEST) for name, size in self.results.items())
        self.move(job, state="done", fraction=1.0, results=results)

    def deliver(self, job: str) -> None:
        """The artefacts that were asked for."""
        arrays = {name: np.zeros((1, 3), np.float32) for name in self.pulled[job] if "." not in name}
        files = {name: b"png" for name in self.pulled[job] if "." in name}
        self.events.append(ResultArrived(job, arrays, files))

    def preview(self, job: str, step: int, topology: str = "t0", vertices: int = 4) -> bool:
        """Spends credit; False where there is none."""
        if not self.credit.get(job):
            return False
        self.credit[job] -= 1
        self.events.append(surface(job, step, topology, vertices))
        return True


def surface(job: str, step: int, topology: str = "t0", vertices: int = 4) -> PreviewArrived:
    faces = np.array([[0, 1, 2]], np.int32)
    return PreviewArrived(job, step, topology, np.full((vertices, 3), step, np.float32), faces, np.zeros((vertices, 3), np.uint8))


class FakeScene:
    """Objects with versions, and preview objects. Stands for reader, previews and versions at once."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.objects: dict[str, list[Version]] = {"uid-1": [Version("Drawn", current=True)]}
        self.shown: dict[str, dict] = {}
        self.busy = ""
        self.apply_s = 0.001
        self.results: dict[str, Asset] = {}
        self.records: dict[str, JobRecord] = {}

    # PreviewHost

    def show(self, record, surface=None) -> None:
        self.shown[record.job] = {"step": None, "rebuilt": 0, "moved": 0}

    def update(self, job, vertices, faces, colours, same_topology) -> bool:
        self.clock.wait(self.apply_s)
        if job not in self.shown:
            return False
        self.shown[job]["step"] = int(vertices[0, 0])
        self.shown[job]["moved" if same_topology else "rebuilt"] += 1
        return True

    def remove(self, job) -> None:
        self.shown.pop(job, None)

    def jobs(self):
        return tuple(self.shown)

    def blocked(self) -> str:
        return self.busy

    # VersionHost

    def accept(self, record, asset) -> Accepted:
        uid = record.target if record.target in self.objects else f"new-{record.job[:6]}"
        versions = [replace(version, current=False) for version in self.objects.get(uid, [])]
        self.objects[uid] = [*versions, Version(record.prompt, record.prompt, job=record.job, current=True)]
        self.results[uid] = asset
        self.records[uid] = record
        return Accepted(record.name, uid)

    def revert(self, uid, index) -> None:
        self.objects[uid] = [replace(version, current=i == index) for i, version in enumerate(self.objects[uid])]

    def versions(self, uid):
        return tuple(self.objects.get(uid, ()))

    def knows(self, uid) -> bool:
        return uid in self.objects

    def uids(self):
        return tuple(self.objects)


class FakeRecords:
    """A folder that is a dictionary."""

    def __init__(self) -> None:
        self.files: dict[str, JobRecord] = {}
        self.full = False

    def all(self):
        return tuple(self.files.values())

    def save(self, record) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.files[record.job] = record

    def remove(self, job) -> None:
        self.files.pop(job, None)


SKETCH = Sketch(
    "Stem",
    {"vertices": np.zeros((3, 3), np.float32), "faces": np.array([[0, 1, 2]], np.int32)},
    tuple(2.0 * value for value in IDENTITY),
    target="uid-1",
    sources=("uid-1",),
)
FROM_PROMPT = Sketch("Mug", {}, IDENTITY)


@dataclass
class World:
    """Everything of one Blender: `restart` makes another Blender process on the same folder and server."""

    clock: FakeClock = field(default_factory=FakeClock)
    server: FakeServer = field(default_factory=FakeServer)
    records: FakeRecords = field(default_factory=FakeRecords)

    def __post_init__(self) -> None:
        self.scene = FakeScene(self.clock)
        self._ports(TOKEN)

    def _ports(self, token: str) -> None:
        self.server.token = token
        self.session = Session(
            Ports(self.server, reader=None, previews=self.scene, versions=self.scene, records=self.records, clock=self.clock, token=token)
        )

    def connect(self) -> None:
        connect(self.session)
        self.tick()

    def tick(self, times: int = 2, after_s: float = 0.05) -> None:
        for _ in range(times):
            self.clock.wait(after_s)
            self.session.tick()

    def submit(self, prompt: str = "a red flower", sketch: Sketch = SKETCH, **settings: object) -> str:
        job = submit(self.session, sketch, Settings(prompt=prompt, **settings), "/home/anna/flower.blend")
        self.tick()
        return job

    def finished(self, **settings: object) -> str:
        """A job whose result is here."""
        job = self.submit(**settings)
        self.server.run(job)
        self.server.done(job)
        self.tick()
        self.server.deliver(job)
        self.tick()
        return job

    def row(self, job: str):
        return self.session.rows[job]

    def restart(self, token: str = "b" * 64) -> None:
        """Blender is closed without a word and opened again; the scene is as it was."""
        self.server.events.clear()
        self.server.credit.clear()
        self.server.link = Link.OFF
        self._ports(token)
