# SPDX-License-Identifier: GPL-3.0-or-later
"""A server without a wire: it keeps the state of each job and tells it as events, when the test lets it."""

import struct
import zlib
from typing import Any

import msgspec
import numpy as np

from protocol.events import Event, JobChanged, Link, LinkChanged, PreviewArrived, ResultArrived
from protocol.messages import Artefact, Choice, Device, JobState, MethodCard, Parameter, PriorInfo, Status, Welcome

WELCOME = Welcome(
    version=(1, 0),
    server="SketchBridge 0.1.0",
    modes=tuple(Choice(name=name, title=name.title()) for name in ("sketch", "prompt", "texture")),
    presets=(Choice(name="quick", title="Quick"), Choice(name="default", title="Default")),
    methods=(
        MethodCard(
            name="sds",
            title="SDS",
            description="Score distillation",
            parameters=(
                Parameter(name="guidance", type="float", default=7.5, title="Guidance", description="How literal", minimum=1, maximum=100),
                Parameter(name="rescale", type="bool", default=True, title="Rescale"),
                Parameter(name="weighting", type="choice", default="uniform", choices=("uniform", "alphas")),
            ),
        ),
        MethodCard(
            name="bridge",
            title="Bridge",
            parameters=(
                Parameter(name="guidance", type="float", default=20.0, title="Guidance", minimum=1, maximum=100),
                Parameter(name="rows", type="int", default=2, minimum=1, maximum=8),
            ),
        ),
        MethodCard(
            name="pfd",
            title="PFD",
            parameters=(
                Parameter(name="guidance", type="float", default=7.5, title="Guidance", minimum=1, maximum=10),
                Parameter(name="inversion_guidance", type="text", default="", title="Inversion guidance"),
                Parameter(name="interval", type="text", default="[0, 100, 25, 1500]", title="Interval"),
                Parameter(name="weighting", type="choice", default="sds", choices=("sds", "uniform")),
            ),
        ),
    ),
    priors=(PriorInfo(name="starter", title="Starter", nouns=("mug", "flower"), colours=("red", "blue"), patterns=("striped",)),),
    status=Status(devices=(Device(name="cpu0", title="CPU", state="idle", memory_free=2**30, memory_total=2**31),)),
)

TETRAHEDRON = np.array([[0, 0, 0.8], [0.7, 0, -0.4], [-0.4, 0.6, -0.4], [-0.4, -0.6, -0.4]], dtype=np.float32)
FACES = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]], dtype=np.int32)


def png(colour: tuple[int, int, int]) -> bytes:
    """A PNG of 8 x 8 pixels of one colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = (b"\0" + bytes(colour) * 8) * 8
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class ScriptedServer:
    """The `Server` port. `states`: what it would say of each job; `told`: what it was asked, newest last."""

    def __init__(self, welcome: Welcome = WELCOME) -> None:
        self.welcome = welcome
        self.events: list[Event] = []
        self.states: dict[str, JobState] = {}
        self.submitted: dict[str, Any] = {}
        self.credit: dict[str, int] = {}
        self.open = False

    def connect(self) -> None:
        self.open = True
        self.events.append(LinkChanged(Link.READY, welcome=self.welcome))

    def close(self) -> None:
        self.open = False
        self.events.clear()

    def submit(self, job: str, description: Any, arrays: dict[str, np.ndarray], label: str = "") -> None:
        self.submitted[job] = (description, {name: array.copy() for name, array in arrays.items()})
        self.states[job] = JobState(job=job, state="queued", mode=description.mode, prompt=description.prompt, label=label, steps=100)
        self._tell(job)

    def steer(self, job: str, command: Any) -> None:
        self._tell(job, prompt=command.prompt)

    def pause(self, job: str) -> None:
        self._tell(job, state="paused")

    def resume(self, job: str) -> None:
        self._tell(job, state="running")

    def cancel(self, job: str, how: str) -> None:
        if how == "finish":
            self.finish(job)
        else:
            self._tell(job, state="cancelled")

    def forget(self, job: str) -> None:
        self.states.pop(job, None)

    def attach(self, job: str, last_seq: int = 0, token: str = "") -> None:
        if job in self.states:
            self._tell(job)

    def list_jobs(self) -> None:
        pass

    def grant(self, job: str, previews: int = 1, max_vertices: int = 5_000) -> None:
        self.credit[job] = previews

    def pull(self, job: str, names: tuple[str, ...]) -> None:
        self.deliver(job)

    def release_memory(self) -> None:
        self.welcome = msgspec.structs.replace(self.welcome, status=Status())

    def pump(self, deadline_s: float) -> list[Event]:
        events, self.events = self.events, []
        return events

    # What the test plays

    def _tell(self, job: str, **changes: Any) -> None:
        self.states[job] = msgspec.structs.replace(self.states[job], **changes)
        self.events.append(JobChanged(self.states[job]))

    def run(self, job: str, step: int) -> None:
        """The job is at work."""
        self._tell(job, state="running", phase="shape", step=step, fraction=step / 100, eta_s=60.0, device="cpu0")

    def fail(self, job: str, fault: Any) -> None:
        self._tell(job, state="failed", fault=fault)

    def preview(self, job: str, size: float, step: int = 0) -> None:
        """The surface as it stands: a tetrahedron of this size."""
        colours = np.full((4, 3), 200, dtype=np.uint8)
        self.credit[job] = 0
        self.events.append(PreviewArrived(job, step, "t1", TETRAHEDRON * size, FACES, colours))

    def finish(self, job: str) -> None:
        """Done; the results can be pulled."""
        digest = "0" * 64
        results = tuple(Artefact(name=name, bytes=1, digest=digest) for name in ("vertices", "faces", "loop_uv", "base_colour.png"))
        self._tell(job, state="done", step=100, fraction=1.0, results=results)

    def deliver(self, job: str) -> None:
        """Everything that was asked for."""
        texture = self.states[job].mode == "texture"
        uv = np.random.default_rng(0).random((12, 2), dtype=np.float32)
        arrays = {} if texture else {"vertices": TETRAHEDRON, "faces": FACES, "loop_uv": uv}
        self.events.append(ResultArrived(job, arrays, {"base_colour.png": png((200, 30, 30))}))
