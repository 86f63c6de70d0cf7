"""Commands into a run under way, taken between steps; safe to call from another thread or a signal handler."""

import queue
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.job import JournalEntry, Steer


@dataclass(frozen=True)
class Command:
    """A steer command on its way into the run. `tag`: what `Control.steer` was given, 0 for one `replayed` from the journal."""

    steer: Steer
    tag: int = 0
    replayed: bool = False


class Control:
    """Pause, cancel and steer one run, and the journal of what steered it.

    A pause makes the run write a checkpoint and return, so that its worker is free; resuming is running the job again from that
    checkpoint. A journal given at the start is replayed at its steps: job and journal together are the run.
    """

    def __init__(self, journal: Iterable[JournalEntry] = ()) -> None:
        self._steers: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._given_back: list[Command] = []
        self._replay = sorted(journal, key=lambda entry: entry.step)
        self.stop = ""  # "", "pause", "finish", "leave" or "discard"
        self.previews = True  # whether anybody looks at them

    @property
    def pending(self) -> tuple[JournalEntry, ...]:
        """What of the journal has not been replayed yet."""
        return tuple(self._replay)

    @property
    def abandons(self) -> bool:
        """Whether the run is to end as soon as possible, with no asset."""
        return self.stop in ("leave", "discard")

    def pause(self) -> None:
        self.stop = self.stop or "pause"

    def finish_now(self) -> None:
        """Stop optimising and export what exists."""
        self.stop = self.stop if self.abandons else "finish"

    def leave(self) -> None:
        """As a pause, and an export under way is given up as well: the process has to go."""
        self.stop = "discard" if self.stop == "discard" else "leave"

    def cancel(self) -> None:
        """Stop and discard."""
        self.stop = "discard"

    def steer(self, command: Steer, tag: int = 0) -> None:
        """Before the next step. `tag` comes back in the event that tells so."""
        self._steers.put(Command(command, tag))

    def go_on(self, taken: Sequence[JournalEntry], pending: Sequence[JournalEntry]) -> None:
        """Go on from a checkpoint that has `taken` some of the journal, and was still to replay what is `pending`: nothing counts twice."""
        rest = _without(self._replay, taken)
        self._replay = sorted([*rest, *_without(pending, rest)], key=lambda entry: entry.step)

    def commands(self, step: int) -> list[Command]:
        """Everything that takes effect before `step`: replayed entries first, then what came in since."""
        taken = []
        while self._replay and self._replay[0].step <= step:
            taken.append(Command(self._replay.pop(0).command, replayed=True))
        return taken + self.waiting()

    def waiting(self) -> list[Command]:
        """What came in and has not been taken; it is taken by this."""
        taken, self._given_back = self._given_back, []
        while True:
            try:
                taken.append(self._steers.get_nowait())
            except queue.Empty:
                return taken

    def give_back(self, commands: list[Command]) -> None:
        """These were not taken after all; they come before all others."""
        self._given_back = commands


def _without(entries: Iterable[JournalEntry], gone: Iterable[JournalEntry]) -> list[JournalEntry]:
    """The entries less those that are gone, one for one."""
    left, kept = list(gone), []
    for entry in entries:
        if entry in left:
            left.remove(entry)
        else:
            kept.append(entry)
    return kept
