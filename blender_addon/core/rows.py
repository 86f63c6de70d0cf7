# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel knows of the connection and of each job; only the session's tick writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocol.events import Link

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

    `preview`: its preview object is in the scene and wants to be fed. `here`: it belongs to the open file. `wish`: the verb asked of the
    server and not yet answered. `adopting`: attached by this session, the server's answer is awaited.
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
    wish: str = ""
    adopting: bool = False
    pulling: bool = False
