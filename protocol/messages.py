"""Every message of the wire, one struct each. Kinds below 64 go from client to server, the others back.

A message is a list of frames: kind (one byte, the keys of `KINDS`), header (`Header`), body (the struct of the kind), then the raw
arrays that the body's `arrays` describe, in that order. Header and body are msgpack maps; unknown keys are passed over, so that
a minor version can add some. Arrays are little-endian in C order.
"""

from typing import Annotated, Literal

import msgspec

from protocol.job import Steer
from protocol.version import FACES, FRAME_BYTES, PREVIEW_VERTICES, PROMPT_CHARACTERS, UPLOAD_BYTES

Name = Annotated[str, msgspec.Meta(max_length=128)]
Sentence = Annotated[str, msgspec.Meta(max_length=4096)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
JobId = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{32})?\Z")]
"""32 hexadecimal digits, made at random by the client; empty where a message concerns no job."""
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""SHA-256 of the raw bytes."""
Version = tuple[Count, Count]

State = Literal["uploading", "queued", "preparing", "running", "paused", "finishing", "done", "failed", "cancelled"]
ENDED = ("done", "failed", "cancelled")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """`id` grows by one per sender and connection; `parent` is the id answered, 0 for none.

    `seq`: of a command, its number within the job, from 1 without gaps, the same when it is sent again; of a recorded event of the
    server, its number within the job. 0 for everything that is not counted (progress, previews, questions).
    """

    v: Version
    id: Count
    parent: Count = 0
    job: JobId = ""
    seq: Count = 0
    sent_at: float = 0.0


class ArraySpec(msgspec.Struct, frozen=True, kw_only=True):
    """One array: its name, element type and shape, and the SHA-256 of its bytes where it travels in chunks."""

    name: Name
    dtype: Literal["float32", "int32", "uint8"]
    shape: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1, max_length=3)]
    digest: str = ""


# Client to server


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """First message of a connection. `token`: the client's secret; it owns the jobs submitted with it. Answer: Welcome or Fault."""

    low: Version
    high: Version
    client: Name
    token: Annotated[str, msgspec.Meta(min_length=32, max_length=128)]


class Ping(msgspec.Struct, frozen=True, kw_only=True):
    """Answer: Pong."""


class Submit(msgspec.Struct, frozen=True, kw_only=True):
    """Run a job. `job` is a `RefineJob` as a map, every key checked; `inputs` describe its arrays, which travel in Chunks.

    Inputs of mode "sketch": vertices [V,3] float32 in the domain, faces [F,3] int32, and where they exist colours [V,3] float32
    (linear, NaN unknown) and keep [V] float32 (1 = must not move). Of mode "texture": vertices, corner_vertex [L] int32,
    polygon_start [P] int32, and where it exists uv [L,2] float32. Of mode "image", where it starts from one: picture [H,W,3] uint8
    (sRGB, row 0 at the top). The modes "prompt" and "illusion" take none.
    Sending the same again answers with the present state; another content under the same id is a fault.
    Answer: Need while arrays are missing, else JobState.
    """

    job: msgspec.Raw
    inputs: tuple[ArraySpec, ...] = ()
    label: Name = ""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an array, in order; one raw frame. Answer: Got. At most `Limits.window` may be unanswered."""

    digest: Digest
    offset: Count
    total: Annotated[int, msgspec.Meta(ge=0, le=UPLOAD_BYTES)]


class SteerJob(msgspec.Struct, frozen=True, kw_only=True):
    """Change the prompt or the freedom of a run under way. A command: numbered. Answer: JobState."""

    command: Steer


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Write a checkpoint and free the worker. A command. Answer: JobState."""


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """Queue a paused (or a failed, retryable) job again. A command. Answer: JobState."""


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """Stop: "discard" keeps nothing, "finish" exports what exists. A command. Answer: JobState with the state it found."""

    how: Literal["discard", "finish"] = "discard"


class Forget(msgspec.Struct, frozen=True, kw_only=True):
    """Remove an ended job and its files. A command. Answer: Jobs."""


class Attach(msgspec.Struct, frozen=True, kw_only=True):
    """After a lost link: what was recorded after `last_seq`, then the present JobState (with the seq 0); this message is the parent of all.

    `token`: the one that the job was submitted with, where that was another than this connection's; the job then belongs to this one
    (a Blender that was closed and opened again).
    """

    last_seq: Count = 0
    token: Annotated[str, msgspec.Meta(max_length=128)] = ""


class ListJobs(msgspec.Struct, frozen=True, kw_only=True):
    """Answer: Jobs, those of this client's token only."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Credit for so many previews of a job (it replaces what was left), decimated to `max_vertices`. Only the newest waits."""

    previews: Annotated[int, msgspec.Meta(ge=0, le=16)] = 1
    max_vertices: Annotated[int, msgspec.Meta(ge=100, le=PREVIEW_VERTICES)] = 5_000


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an artefact of a finished job. Answer: Piece."""

    name: Name
    offset: Count
    count: Annotated[int, msgspec.Meta(ge=1, le=FRAME_BYTES)] = FRAME_BYTES


class ReleaseMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Idle workers give their weights back, so that rendering can have the device. Answer: Pong."""


# Server to client


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of a method, enough to draw it: `type` is "float", "int", "bool", "choice" or "text"."""

    name: Name
    type: Literal["float", "int", "bool", "choice", "text"]
    default: float | int | bool | str
    title: Name = ""
    description: Sentence = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Name, ...] = ()


class MethodCard(msgspec.Struct, frozen=True, kw_only=True):
    """A gradient that this server offers."""

    name: Name
    title: Name
    description: Sentence = ""
    parameters: tuple[Parameter, ...] = ()


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A named value with words for a person: a preset, a mode."""

    name: Name
    title: Name
    description: Sentence = ""


class PriorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A diffusion model that this server offers. An empty `vocabulary` means an open one."""

    name: Name
    title: Name = ""
    licence: Name = ""
    nouns: tuple[Name, ...] = ()
    colours: tuple[Name, ...] = ()
    patterns: tuple[Name, ...] = ()
    vocabulary: tuple[Name, ...] = ()
    example_prompts: tuple[Sentence, ...] = ()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What this server takes; anything larger is refused from its header. `window`: chunks and pieces under way at once."""

    frame_bytes: Count = FRAME_BYTES
    upload_bytes: Count = UPLOAD_BYTES
    faces: Count = FACES
    texture_px: Count = 8192
    preview_vertices: Count = PREVIEW_VERTICES
    prompt_characters: Count = PROMPT_CHARACTERS
    jobs: Count = 1000
    window: Count = 2


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's device. `job` is set only if it is the asking client's own. Memory in bytes, 0 where unknown."""

    name: Name
    title: Name = ""
    state: Literal["starting", "idle", "busy", "lost"] = "starting"
    memory_free: Count = 0
    memory_total: Count = 0
    job: JobId = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the server is: its devices, and the jobs of all clients that wait or run."""

    devices: tuple[Device, ...] = ()
    queued: Count = 0
    running: Count = 0


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen version and everything a user interface is built from."""

    version: Version
    server: Name
    modes: tuple[Choice, ...]
    presets: tuple[Choice, ...]
    methods: tuple[MethodCard, ...]
    priors: tuple[PriorInfo, ...]
    limits: Limits = Limits()
    status: Status = Status()


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """A sign of life."""

    status: Status = Status()


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: a stable code, one sentence, and a hint that starts with a verb. `trace` is for a report only.

    Codes: those of `protocol.errors`, and "version", "hello", "unsupported", "malformed", "too_large", "unknown_job", "other_content",
    "gap", "digest", "state", "worker_lost", "busy", "address", "internal".
    """

    code: Name
    sentence: Sentence
    hint: Sentence = ""
    retryable: bool = False
    trace: Annotated[str, msgspec.Meta(max_length=65536)] = ""


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a finished job left, to be pulled. `dtype` and `shape` for arrays; empty for files (PNG, GLB, JSON).

    Mode "sketch" and "prompt": vertices [V,3] float32 in the domain, faces [F,3] int32 (closed seams), loop_uv [F*3,2] float32 (origin
    bottom-left), base_colour.png (sRGB), normal.png. Mode "texture": base_colour.png, and loop_uv [L,2] only if a map was made.
    Modes "image" and "illusion": as "sketch", of the upright plane that shows the picture, or all pictures of the illusion, without
    normal.png; and picture.png, or base.png, rotator.png and overlay_0.png to overlay_3.png.
    All: asset.glb (texture: asset.obj), sheet.png, report.json.
    """

    name: Name
    bytes: Count
    digest: Digest
    dtype: Literal["", "float32", "int32", "uint8"] = ""
    shape: tuple[Count, ...] = ()


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about a job. Recorded (header.seq > 0) when `state` changes or a command is taken; else plain progress.

    `place`: jobs before it in the queue; `fraction` 0..1, 1 only when the results can be pulled; `eta_s` and `rate` (steps per second)
    None while unknown. `last_seq`: newest recorded event; `last_command`: newest command taken. Times in seconds since 1970.
    """

    job: JobId
    state: State
    label: Name = ""
    mode: Name = ""
    prompt: Sentence = ""
    reason: Sentence = ""
    place: Count = 0
    phase: Name = ""
    step: Count = 0
    steps: Count = 0
    fraction: float = 0.0
    eta_s: float | None = None
    rate: float | None = None
    losses: dict[str, float] = {}
    attempt: Count = 1
    last_seq: Count = 0
    last_command: Count = 0
    submitted_at: float = 0.0
    changed_at: float = 0.0
    device: Name = ""
    results: tuple[Artefact, ...] = ()
    fault: Fault | None = None


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """The server has the first `offset` bytes of this array."""

    digest: Digest
    offset: Count


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """Arrays that a submitted job still lacks."""

    missing: tuple[Missing, ...]


class Got(msgspec.Struct, frozen=True, kw_only=True):
    """The server now has this many bytes of the array."""

    digest: Digest
    offset: Count
    total: Count


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The surface as it stands: vertices [V,3] float32 in the domain, colours [V,3] uint8 (sRGB), and faces [F,3] int32.

    `faces` is left out where `topology` is what this connection was sent last for this job.
    """

    step: Count
    topology: Name
    arrays: tuple[ArraySpec, ...]


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence about the run for the artist. Recorded."""

    text: Sentence
    level: Literal["note", "warning"] = "note"


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of an artefact from `offset`; one raw frame."""

    name: Name
    offset: Count
    total: Count


class Jobs(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs of this client, newest first."""

    jobs: tuple[JobState, ...]


class Bye(msgspec.Struct, frozen=True, kw_only=True):
    """The server is going down; every job can be resumed."""

    reason: Sentence = ""


KINDS: dict[int, type[msgspec.Struct]] = {
    1: Hello,
    2: Ping,
    3: Submit,
    4: Chunk,
    5: SteerJob,
    6: Pause,
    7: Resume,
    8: Cancel,
    9: Forget,
    10: Attach,
    11: ListJobs,
    12: Grant,
    13: Pull,
    14: ReleaseMemory,
    64: Welcome,
    65: Pong,
    66: Fault,
    67: JobState,
    68: Need,
    69: Got,
    70: Preview,
    71: Remark,
    72: Piece,
    73: Jobs,
    74: Bye,
}
FROM_CLIENT = {kind: struct for kind, struct in KINDS.items() if kind < 64}
FROM_SERVER = {kind: struct for kind, struct in KINDS.items() if kind >= 64}
COMMANDS = (SteerJob, Pause, Resume, Cancel, Forget)
WITH_BYTES = (Chunk, Piece)
"""Kinds that carry exactly one raw frame; others carry the frames that their `arrays` describe, or none."""
