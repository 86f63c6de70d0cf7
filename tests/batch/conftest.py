import json
import sys

import pytest

from backend.batch.board import Silent
from backend.batch.engines import LocalEngine
from backend.batch.plan import plan_of
from backend.batch.run import run_plan
from backend.serve.workers import Deadlines

IDLE = (sys.executable, "-m", "tests.batch.idle_worker")
QUICK = Deadlines(start=20.0, silence=1.5, cancel=0.5, leave=5.0, retry=(0.05, 0.5))


class Recorder(Silent):
    """Keeps all it is told."""

    def __init__(self, stop_at=None):
        self.notes, self.states, self.boards = [], [], []

    def note(self, sentence):
        self.notes.append(sentence)

    def job(self, job, state, told):
        self.states.append((job, state, dict(told)))

    def show(self, board):
        self.boards.append(board)

    def began(self):
        """Jobs in the order in which they were begun."""
        return [job for job, state, _ in self.states if state == "preparing"]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def planned(tmp_path):
    """The plan of jobs without a mesh."""

    def plan(*jobs, **defaults):
        path = tmp_path / "jobs.jsonl"
        path.write_text("".join(json.dumps({"mode": "prompt", "checkpoint_every": 10, **defaults, **job}) + "\n" for job in jobs))
        return plan_of(path).plan

    return plan


@pytest.fixture
def run(out):
    """Runs a plan with workers that compute nothing; the outcome and what a watcher was told."""

    def run(plan, workers=1, devices=("cpu",), **options):
        watch = Recorder()
        outcome = run_plan(plan, out, LocalEngine(devices, workers, IDLE, QUICK), watch, **options)
        return outcome, watch

    return run
