"""Commands into a run under way, taken between steps; safe to call from another thread or a signal handler."""

import queue

from protocol.job import JournalEntry, Steer


class Control:
    """Pause, cancel and steer one run, and the journal of what steered it.

    A pause makes the run write a checkpoint and return, so that its worker is free; resuming is running the job again from that
    checkpoint. A journal given at the start is replayed at its steps: job and journal together are the run.
    """

    def __init__(self, journal: tuple[JournalEntry, ...] = ()) -> None:
        self._steers: queue.SimpleQueue[Steer] = queue.SimpleQueue()
        self._replay: list[JournalEntry] = []
        self.replay(journal)
        self.stop = ""  # "", "pause", "finish" or "discard"

    @property
    def pending(self) -> tuple[JournalEntry, ...]:
        """What of the journal has not been replayed yet."""
        return tuple(self._replay)

    def replay(self, entries: tuple[JournalEntry, ...]) -> None:
        """Replay these as well, at their steps."""
        self._replay = sorted([*self._replay, *entries], key=lambda entry: entry.step)

    def pause(self) -> None:
        self.stop = self.stop or "pause"

    def finish_now(self) -> None:
        """Stop optimising and export what exists."""
        self.stop = "finish"

    def cancel(self) -> None:
        """Stop and discard."""
        self.stop = "discard"

    def steer(self, command: Steer) -> None:
        self._steers.put(command)

    def commands(self, step: int) -> list[Steer]:
        """Everything that takes effect before `step`: replayed entries first, then what came in since."""
        taken = []
        while self._replay and self._replay[0].step <= step:
            taken.append(self._replay.pop(0).command)
        while True:
            try:
                taken.append(self._steers.get_nowait())
            except queue.Empty:
                return taken
