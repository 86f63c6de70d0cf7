# SPDX-License-Identifier: GPL-3.0-or-later
"""What `core` needs from the outside: Blender's data (`host`), the server (`link`), the clock and the user's folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np

    from protocol.events import Event
    from protocol.job import RefineJob, Steer

Matrix = tuple[float, ...]
"""Row-major 4x4."""
Surface = tuple["np.ndarray", "np.ndarray", "np.ndarray"]
"""Vertices [V,3] float32 in the domain, faces [F,3] int32, display colours [V,3] uint8."""


@dataclass(frozen=True)
class Sketch:
    """What the artist drew, ready to send.

    `arrays` are named as in `protocol.messages.Submit` and lie in the domain (longest side 1.6, centred at the origin, +Z up);
    `to_world` is the matrix from there back to the scene, float64. `target` is the uid of the object whose mesh the result replaces, or ""
    for a new object, with `reason` why (one line; "" where the user expects it). `sources` are the uids of all objects read.
    """

    name: str
    arrays: dict[str, np.ndarray]
    to_world: Matrix
    target: str = ""
    reason: str = ""
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobRecord:
    """What this machine must remember of a job to bring its result home after Blender was closed. JSON in the user's folder."""

    job: str
    token: str
    name: str
    mode: str
    prompt: str
    to_world: Matrix
    target: str = ""
    sources: tuple[str, ...] = ()
    settings: str = ""  # the RefineJob as JSON
    file: str = ""  # of the .blend it was started from
    submitted_at: float = 0.0
    server: str = ""  # the address it was sent to


@dataclass(frozen=True)
class Asset:
    """A finished result: the artefacts of `protocol.messages.Artefact`, domain coordinates."""

    arrays: dict[str, np.ndarray]
    files: dict[str, bytes]


@dataclass(frozen=True)
class Accepted:
    """What accepting did: the object's name, what could not be carried over, and how far kept vertices moved (share of the diagonal)."""

    object_name: str
    uid: str
    not_carried: tuple[str, ...] = ()
    kept_moved: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Version:
    """One state of an object's mesh. `mesh` is the name of the datablock that holds it; version 0 is what the artist drew."""

    label: str
    prompt: str = ""
    method: str = ""
    seed: int = 0
    made_at: float = 0.0
    job: str = ""
    warning: str = ""
    current: bool = False
    pinned: bool = False


class SketchReader(Protocol):
    """From the selection to arrays. Errors: `protocol.errors.UserError` with a hint that names a button or a menu."""

    def read(self, mode: Literal["sketch", "texture"], keep_group: str) -> Sketch: ...
    def at_cursor(self, name: str, size: float) -> Sketch: ...


class PreviewHost(Protocol):
    """One preview object per job, owned by the extension, excluded from render."""

    def show(self, record: JobRecord, surface: Surface | None = None) -> None:
        """Make the preview object, empty where no surface is given, and hide the sources while it lives."""

    def update(self, job: str, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray, same_topology: bool) -> bool:
        """Put the newest surface into the preview; False if the object is gone (undo took it): the stream is then closed."""

    def remove(self, job: str) -> None:
        """Take the preview away and show the sources again. Nothing happens where it is gone already."""

    def jobs(self) -> tuple[str, ...]:
        """Jobs that have a preview object in this file."""

    def blocked(self) -> str:
        """Why nothing may be applied at this moment ("" = it may): a render, a modal transform, an editing mode."""


class VersionHost(Protocol):
    """Results into the scene and back. Every call is made inside an undoable operator."""

    def accept(self, record: JobRecord, asset: Asset) -> Accepted: ...
    def revert(self, uid: str, index: int) -> None: ...
    def pin(self, uid: str, index: int, pinned: bool) -> None:
        """Keep a version from being dropped when there are many, or let it go again."""

    def versions(self, uid: str) -> tuple[Version, ...]: ...
    def knows(self, uid: str) -> bool: ...
    def uids(self) -> tuple[str, ...]: ...


class Server(Protocol):
    """The client core: `protocol.client.Client`. No call blocks; what happens is told by `pump`."""

    def connect(self) -> None: ...
    def close(self) -> None: ...
    def submit(self, job: str, description: RefineJob, arrays: dict[str, np.ndarray], label: str = "") -> None: ...
    def steer(self, job: str, command: Steer) -> None: ...
    def pause(self, job: str) -> None: ...
    def resume(self, job: str) -> None: ...
    def cancel(self, job: str, how: Literal["discard", "finish"]) -> None: ...
    def forget(self, job: str) -> None: ...
    def attach(self, job: str, last_seq: int = 0, token: str = "") -> None: ...
    def list_jobs(self) -> None: ...
    def grant(self, job: str, previews: int = 1, max_vertices: int = 5_000) -> None: ...
    def pull(self, job: str, names: tuple[str, ...]) -> None: ...
    def release_memory(self) -> None: ...
    def pump(self, deadline_s: float) -> list[Event]: ...


class Clock(Protocol):
    def now(self) -> float:
        """Seconds, monotonic."""

    def wall(self) -> float:
        """Seconds since 1970."""


class Records(Protocol):
    """The user's folder: one small file per job."""

    def all(self) -> tuple[JobRecord, ...]: ...
    def save(self, record: JobRecord) -> None: ...
    def remove(self, job: str) -> None: ...


@dataclass
class Ports:
    """Everything a use case is handed."""

    server: Server
    reader: SketchReader
    previews: PreviewHost
    versions: VersionHost
    records: Records
    clock: Clock
    notes: list[str] = field(default_factory=list)
    """Sentences for the panel about what happened to no job in particular, newest last."""
    token: str = ""
    """This process's secret; jobs submitted by it belong to it."""
