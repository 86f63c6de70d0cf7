# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel knows of the connection and of each job; only the session's tick writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocol.events import Link
from protocol.messages import ENDED

if TYPE_CHECKING:
    from protocol.messages import Fault, JobState, Remark

    from ..ports import Asset, JobRecord


@dataclass
class LinkView:
    """Where the connection stands. `retry_at` and `since` in seconds of the session's clock; `retry_at` 0 where nothing is retried."""

    link: Link = Link.OFF
    kind: str = ""
    sentence: str = ""
    hint: str = ""
    retry_at: float = 0.0
    since: float = 0.0


@dataclass
class Row:
    """One job. `uploaded` and `pulled` are (bytes, of all); `heard_at` is when the server last spoke of it, in seconds of the clock.

    `preview`: its preview object is in the scene and wants to be fed. `here`: it belongs to the open file. `object_name`: what it was
    accepted into. `faults`: what went wrong since its state last changed. `wish`: the verb asked of the server and not yet carried out.
    `adopting`: of an older token, and the server has not spoken of it yet. `unknown`: the server said that it does not know the job.
    `asked_prompt`: steered to, and not yet what the run follows. `held`: the client keeps hearing of it, over lost links too. `sending`:
    the client has its arrays until the server has them.
    """

    record: JobRecord | None = None
    state: JobState | None = None
    uploaded: tuple[int, int] | None = None
    pulled: tuple[int, int] | None = None
    asset: Asset | None = None
    remarks: list[Remark] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    heard_at: float = 0.0
    preview: bool = False
    accepted: bool = False
    dismissed: bool = False
    here: bool = False
    object_name: str = ""
    wish: str = ""
    asked_prompt: str = ""
    adopting: bool = False
    pulling: bool = False
    unknown: bool = False
    held: bool = False
    sending: bool = False

    @property
    def phase(self) -> str:
        """The server's word for the state; "" before it spoke."""
        return self.state.state if self.state else ""

    @property
    def ended(self) -> bool:
        """The server said that nothing more will happen by itself."""
        return self.phase in ENDED

    @property
    def refused(self) -> bool:
        """It was sent, and never taken."""
        return self.state is None and bool(self.faults)

    @property
    def cut_short(self) -> bool:
        """The server waits for the rest of a sketch that nobody has any more."""
        return self.phase == "uploading" and not self.sending

    @property
    def name(self) -> str:
        """How the artist calls it: the object's name, else the label that the server keeps; "" where neither is known."""
        return (self.record.name if self.record else "") or (self.state.label if self.state else "")
