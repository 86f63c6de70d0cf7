"""What the client core tells its owner: plain values, handed out by `Client.pump`."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from protocol.messages import Fault, JobState, Remark, Status, Welcome


class Link(Enum):
    """Where the connection stands."""

    OFF = "off"
    CONNECTING = "connecting"
    HANDSHAKING = "handshaking"
    READY = "ready"
    LOST = "lost"  # retried after a delay
    REFUSED = "refused"  # not retried: the user must change something


@dataclass(frozen=True)
class LinkChanged:
    """`kind` for LOST and REFUSED: "nothing_listening", "not_our_server", "version", "unreachable", "silent", "server_left",
    "address" or "internal"; `sentence` and `hint` for the artist; `retry_in_s` for LOST."""

    link: Link
    kind: str = ""
    sentence: str = ""
    hint: str = ""
    retry_in_s: float = 0.0
    welcome: Welcome | None = None  # READY only


@dataclass(frozen=True)
class StatusChanged:
    """The server's devices and queue, as of the last sign of life."""

    status: Status


@dataclass(frozen=True)
class JobChanged:
    """The server's newest word on a job."""

    state: JobState


@dataclass(frozen=True)
class JobsListed:
    """All jobs of this client that the server knows; others it has forgotten."""

    jobs: tuple[JobState, ...]


@dataclass(frozen=True)
class Uploading:
    """Bytes of a submission that the server has, of all."""

    job: str
    sent: int
    total: int


@dataclass(frozen=True)
class PreviewArrived:
    """Checked arrays: finite, in range. `same_topology`: as the preview before it, so only positions and colours are new."""

    job: str
    step: int
    topology: str
    vertices: np.ndarray  # [V,3] float32, domain
    faces: np.ndarray  # [F,3] int32
    colours: np.ndarray  # [V,3] uint8, sRGB
    same_topology: bool = False


@dataclass(frozen=True)
class RemarkArrived:
    job: str
    remark: Remark


@dataclass(frozen=True)
class Pulling:
    """Bytes of the wanted artefacts that have arrived, of all."""

    job: str
    received: int
    total: int


@dataclass(frozen=True)
class ResultArrived:
    """Every artefact asked for, checked against its digest: arrays (finite, indices in range) and files as bytes."""

    job: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Faulted:
    """One thing went wrong; the connection stands. `job` is empty where it concerns none."""

    job: str
    fault: Fault


Event = (
    LinkChanged | StatusChanged | JobChanged | JobsListed | Uploading | PreviewArrived | RemarkArrived | Pulling | ResultArrived | Faulted
)
