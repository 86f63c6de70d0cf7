"""One job on a server: sent, waited for, fetched."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from backend.assets.atomic import write_bytes
from backend.errors import Cancelled, NumericalError, ResourceError, SketchBridgeError, UserError
from backend.geometry.normalise import fit_domain
from backend.refine.inputs import Inputs
from backend.refine.read_inputs import read_inputs
from protocol.client import Client
from protocol.events import Faulted, JobChanged, Link, LinkChanged, ResultArrived, Uploading
from protocol.job import RefineJob
from protocol.liveness import Silence
from protocol.messages import ENDED, Fault, JobState

PUMP_S = 0.05
CONNECT_S = 30.0
GONE_S = 120.0
"""Long enough for a server to be started again, and for the client's tries, which come up to 37 s apart."""
ERRORS = {error.code: error for error in (UserError, ResourceError, NumericalError, Cancelled)}


@dataclass
class Submitted:
    """A job on a server. It goes on there whether anybody waits or not; `token` owns it."""

    client: Client
    job: str
    token: str
    state: JobState | None = None
    faults: list[Fault] = field(default_factory=list)
    _result: ResultArrived | None = None
    _signs: int = 0
    _uploaded: int = -1

    def poll(self) -> JobState | None:
        """The newest word of the server; None while there is none. Errors: what the server refused."""
        for event in self.client.pump(PUMP_S):
            self._signs += not isinstance(event, LinkChanged) or event.link is Link.READY
            if isinstance(event, JobChanged) and event.state.job == self.job:
                self.state = event.state
            elif isinstance(event, Faulted) and event.job in ("", self.job):
                raise error_of(event.fault)
            elif isinstance(event, LinkChanged) and event.link is Link.REFUSED:
                raise ResourceError(event.sentence, event.hint)
            elif isinstance(event, ResultArrived) and event.job == self.job:
                self._result = event
            elif isinstance(event, Uploading) and event.job == self.job:
                self._uploaded = max(self._uploaded, event.sent)
        return self.state

    def wait(self, out: Path | str | None = None, tell: Callable[[JobState], None] = lambda state: None) -> JobState:
        """Until the job has ended; its files are then fetched into `out`. A link that is lost for a short while makes no difference.

        Errors: the job's own, by kind; Cancelled; ResourceError for a server that is gone for long: `wait` may then be called again.
        """
        patience, told = _gone(), None
        while True:
            if self.state is not None and self.state is not told:
                told = self.state
                tell(told)
            if self.state is not None and self.state.state in ENDED:
                break
            self.poll()
            patience.spend(self._signs)
        if self.state.state == "cancelled":
            raise Cancelled("The job was cancelled on the server.")
        if self.state.state == "failed":
            raise error_of(self.state.fault) if self.state.fault is not None else ResourceError(self.state.reason)
        if out is not None:
            self._fetch(Path(out))
        return self.state

    def cancel(self) -> None:
        """Stop it and keep nothing; `wait` then says so."""
        self.client.cancel(self.job, "discard")

    def close(self) -> None:
        """End the connection; the job goes on."""
        self.client.close()

    def _fetch(self, out: Path) -> None:
        assert self.state is not None
        names = tuple(artefact.name for artefact in self.state.results if not artefact.dtype)
        self.client.pull(self.job, names)
        patience = _gone()
        while self._result is None:
            self.poll()
            patience.spend(self._signs)
        for name, data in self._result.files.items():
            write_bytes(out / Path(name).name, data)

    def _hand_over(self) -> None:
        """Until the server has the job and its files."""
        error = ResourceError("The server does not answer.", "Start it with `sketchbridge serve`, or check the address.")
        patience = _Patience(CONNECT_S, error)
        while self.state is None or self.state.state == "uploading":
            self.poll()
            patience.spend(self._uploaded)


@dataclass
class _Patience:
    """Ends with `error` once a count has not moved for `most_s`. Time in which nobody listened hardly counts."""

    most_s: float
    error: ResourceError
    _count: int = -1
    _silence: Silence = field(default_factory=Silence)

    def spend(self, count: int) -> None:
        """Wait for a moment."""
        self._silence.look(time.monotonic())
        if count != self._count:
            self._count = count
            self._silence.broken()
        elif self._silence.seconds > self.most_s:
            raise self.error
        time.sleep(PUMP_S / 5)


def _gone() -> _Patience:
    """For a server that has the job."""
    hint = "Start it again with `sketchbridge serve`, where its jobs go on, and wait again."
    return _Patience(GONE_S, ResourceError(f"The server has not been heard for {GONE_S:.0f} seconds.", hint))


def send(job: RefineJob, address: str, token: str = "", label: str = "") -> Submitted:
    """Submit a job with the files that it names, until the server has them. `token`: the secret of 32 to 128 characters that owns the
    job; a new one by default.

    Errors: as `read_inputs`; UserError for mode texture, whose files a server gives back as arrays alone; what the server refuses;
    ResourceError for a server that does not answer.
    """
    if job.mode == "texture":
        raise UserError("Mode 'texture' gives the file back as it came, which a server never sees.", "Use refine or batch.")
    inputs = read_inputs(job)
    arrays = _arrays(job, inputs)
    token = token or secrets.token_hex(32)
    client = Client(address, token, "sketchbridge api")
    sent = Submitted(client, secrets.token_hex(16), token)
    try:
        client.connect()
        client.submit(sent.job, msgspec.structs.replace(job, sketch="", keep="", placement=()), arrays, label)
        sent._hand_over()
    except BaseException:
        client.close()
        raise
    return sent


def error_of(fault: Fault) -> SketchBridgeError:
    """The server's fault as an error of its kind."""
    return ERRORS.get(fault.code, ResourceError)(fault.sentence, fault.hint)


def _arrays(job: RefineJob, inputs: Inputs) -> dict[str, np.ndarray]:
    """What a server takes: a sketch in the domain, or a picture."""
    if inputs.picture is not None:
        return {"picture": inputs.picture}
    if inputs.sketch is None:
        return {}
    sketch = inputs.sketch
    matrix = np.reshape(job.placement, (4, 4)) if job.placement else fit_domain(sketch.vertices).to_domain
    placed = sketch.vertices @ matrix[:3, :3].T + matrix[:3, 3]
    arrays = {"vertices": placed.astype(np.float32), "faces": sketch.faces.astype(np.int32)}
    if sketch.colours is not None:
        arrays["colours"] = sketch.colours.astype(np.float32)
    if inputs.keep is not None:
        arrays["keep"] = inputs.keep.astype(np.float32)
    return arrays
