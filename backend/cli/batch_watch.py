"""A batch's progress for a person at a terminal, for a log, or for a program reading lines."""

import json
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from backend.batch.board import Board
from backend.batch.run import Outcome

SHOWN_NOTES = 6
SHOWN_RUNNING = 16
LOG_EVERY_S = 30.0


class LiveTable:
    """Counts, rate and end of the whole, what runs on which worker, and the last sentences; redrawn in place."""

    previews = False

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self._notes: deque[str] = deque(maxlen=SHOWN_NOTES)
        self._live = Live(console=self.console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def note(self, sentence: str) -> None:
        if self._live.is_started:
            self._notes.append(sentence)
        else:
            self.console.print(sentence, highlight=False, markup=False, soft_wrap=True, style="yellow")

    def job(self, job: str, state: str, told: Mapping[str, object]) -> None: ...

    def preview(self, job: str, step: int, arrays: Mapping[str, np.ndarray]) -> None: ...

    def show(self, board: Board) -> None:
        self._live.update(self._drawn(board), refresh=True)

    def finish(self, outcome: Outcome) -> None:
        _sum_up(self.console, outcome)

    def _drawn(self, board: Board) -> RenderableType:
        table = Table(box=None, pad_edge=False)
        for name, right in (("job", False), ("worker", False), ("phase", False), ("step", True), ("steps/s", True), ("left", True)):
            table.add_column(name, justify="right" if right else "left", no_wrap=True, style="" if name == "job" else "dim")
        table.add_column("", ratio=1)
        for each in board.running[:SHOWN_RUNNING]:
            table.add_row(
                Text(each.id, overflow="ellipsis"),
                each.worker,
                each.phase,
                f"{each.step}/{each.steps}" if each.steps else "",
                f"{each.rate:.1f}" if each.rate else "",
                "" if each.eta_s is None else length(each.eta_s),
                ProgressBar(1.0, each.fraction, width=20),
            )
        return Group(Text(headline(board)), table, *(Text(note, style="yellow") for note in self._notes))


class Lines:
    """For a log: sentences as they come, and how things stand now and then."""

    previews = False

    def __init__(self) -> None:
        self.console = Console(stderr=True, soft_wrap=True)
        self._shown_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def note(self, sentence: str) -> None:
        self._print(sentence)

    def job(self, job: str, state: str, told: Mapping[str, object]) -> None:
        if state == "done":
            self._print(f"'{job}' is done.")

    def preview(self, job: str, step: int, arrays: Mapping[str, np.ndarray]) -> None: ...

    def show(self, board: Board) -> None:
        if time.monotonic() - self._shown_at >= LOG_EVERY_S:
            self._shown_at = time.monotonic()
            self._print(headline(board))

    def finish(self, outcome: Outcome) -> None:
        _sum_up(self.console, outcome)

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False)


class JsonEvents:
    """One JSON object a line on stdout, with an `event` field: note, job, progress, end."""

    previews = False

    def __init__(self) -> None:
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def note(self, sentence: str) -> None:
        self._print("note", {"text": sentence})

    def job(self, job: str, state: str, told: Mapping[str, object]) -> None:
        self._print("job", {"id": job, "state": state, **told})

    def preview(self, job: str, step: int, arrays: Mapping[str, np.ndarray]) -> None: ...

    def show(self, board: Board) -> None:
        running = [vars(each) for each in board.running]
        told = {"done": board.done, "failed": len(board.failed), "waiting": board.waiting, "running": running}
        if (line := json.dumps(told)) != self._last:
            self._last = line
            rates = {"elapsed_s": round(board.elapsed_s, 1), "per_hour": board.per_hour, "eta_s": board.eta_s}
            self._print("progress", {"total": board.total, **told, "workers": dict(board.workers), **rates})

    def finish(self, outcome: Outcome) -> None:
        told = {"done": len(outcome.done), "failed": outcome.failed, "left": len(outcome.left), "stopped": outcome.stopped}
        self._print("end", {**told, "out": str(outcome.out)})

    def _print(self, event: str, fields: Mapping[str, object]) -> None:
        print(json.dumps({"event": event, **fields}), flush=True)


def headline(board: Board) -> str:
    """Everything about the whole in one line."""
    parts = [f"{board.done}/{board.total} done"]
    parts += [f"{len(board.failed)} failed"] if board.failed else []
    parts += [f"{len(board.running)} running", f"{board.waiting} waiting", f"{length(board.elapsed_s)} passed"]
    parts += [f"{board.per_hour:,.0f} an hour"] if board.per_hour else []
    parts += [f"about {length(board.eta_s)} left"] if board.eta_s is not None and board.done < board.total else []
    starting = board.workers.get("starting", 0) + board.workers.get("lost", 0)
    parts += [f"{starting} worker{'s' if starting > 1 else ''} starting"] if starting else []
    return " · ".join(parts)


def length(seconds: float) -> str:
    """A length of time as a clock shows it: 45 s, 3:20, 5:07:12."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _sum_up(console: Console, outcome: Outcome) -> None:
    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    for job, sentence in outcome.failed.items():
        say(f"failed: {job}: {sentence}")
    parts = [f"{len(outcome.done)} done"]
    parts += [f"{len(outcome.failed)} failed"] if outcome.failed else []
    parts += [f"{len(outcome.left)} left; run the same command again to go on"] if outcome.left else []
    say(f"{', '.join(parts)}. Results are in '{outcome.out}'.")
