"""What a client knows of one of its jobs: the newest word, the place in its record, commands on their way, previews."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from protocol.events import PreviewArrived
from protocol.framing import BadMessage
from protocol.messages import ENDED, Grant
from protocol.received import check_indices, check_preview

if TYPE_CHECKING:
    import msgspec

    from protocol.framing import Message
    from protocol.messages import JobState


@dataclass
class Previews:
    """The stream of one job: credit, and the faces that later previews leave out."""

    credit: int = 0
    max_vertices: int = 5_000
    wanted: bool = False
    untold: bool = False  # the server does not know of the credit yet
    _topology: str | None = None  # of the faces that this connection was sent last
    _faces: np.ndarray | None = None
    _shown: tuple[str, np.ndarray] | None = None  # topology and faces of the newest event

    def want(self, previews: int, max_vertices: int) -> None:
        self.credit, self.max_vertices, self.wanted, self.untold = previews, max_vertices, previews > 0, True

    def grant(self) -> Grant:
        """The credit, to be sent now."""
        self.untold = False
        return Grant(previews=self.credit, max_vertices=self.max_vertices)

    def restart(self) -> None:
        """A new connection knows no credit, and is sent the faces again."""
        self.untold = self.credit > 0
        self._topology = None
        self._faces = None

    def take(self, job: str, message: Message) -> PreviewArrived:
        """The checked preview, complete with its faces. Errors: BadMessage."""
        self.credit = max(self.credit - 1, 0)
        check_preview(message)
        vertices, colours, topology = message.arrays["vertices"], message.arrays["colours"], message.body.topology
        faces = message.arrays.get("faces")
        if faces is None:
            if self._faces is None or topology != self._topology:
                raise BadMessage(f"A preview leaves out its faces, but those of the topology '{topology[:40]}' were not sent before.")
            faces = self._faces
        check_indices(faces, len(vertices), "A preview")
        same = self._shown is not None and self._shown[0] == topology and np.array_equal(self._shown[1], faces)
        self._topology, self._faces = topology, faces
        self._shown = (topology, faces)
        return PreviewArrived(job, message.body.step, topology, vertices, faces, colours, same)


@dataclass
class Command:
    """`seq` and `request` are 0 until it is sent."""

    body: msgspec.Struct
    seq: int = 0
    request: int = 0
    renumbered: bool = False


@dataclass
class HeldJob:
    """One command is under way at a time: the next one's number follows from the server's word on the one before."""

    job: str
    last_seq: int = 0
    token: str = ""
    state: JobState | None = None
    accepted: bool = False  # the server has said that it knows the job
    last_command: int = 0
    commands: deque[Command] = field(default_factory=deque)
    attach: int = 0  # id of the Attach that waits for its answer
    attached_from: int = -1  # the gap for which it was sent
    previews: Previews = field(default_factory=Previews)

    @property
    def ended(self) -> bool:
        return self.state is not None and self.state.state in ENDED

    def restart(self) -> None:
        """A new connection."""
        self.attach = 0
        self.attached_from = -1
        self.previews.restart()
        for command in self.commands:
            command.request = 0

    def next_command(self) -> Command | None:
        """The command to send now, with its number: one that was sent before a lost link keeps it."""
        if not self.commands or self.commands[0].request:
            return None
        command = self.commands[0]
        if not command.seq:
            if not self.accepted or self.attach:
                return None
            command.seq = self.last_command + 1
        return command

    def known(self, state: JobState, parent: int) -> None:
        """The server's word: which commands it has taken."""
        self.accepted = True
        self.last_command = max(self.last_command, state.last_command)
        first = self.commands[0] if self.commands else None
        if first and ((first.request and first.request == parent) or 0 < first.seq <= state.last_command):
            self.commands.popleft()

    def follows(self, seq: int, parent: int) -> bool | None:
        """Whether a recorded event is the next one; None for one that was seen already. An answer to Attach may leave some out."""
        if seq <= self.last_seq:
            return None
        return seq == self.last_seq + 1 or (parent != 0 and parent == self.attach)
