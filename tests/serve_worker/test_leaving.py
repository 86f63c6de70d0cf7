"""Workers that end: because they are told to, because nobody is left to tell them anything, or killed."""

import random
import signal
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from backend.serve.orders import Ended, Held, Moved, Quit, Turn, Turned
from protocol.job import Steer
from tests.serve_worker.broker import result, stored

WIDER, NARROWER = Steer(slack=0.9), Steer(slack=0.1)


@pytest.mark.long
def test_told_to_leave_once_and_killed_twice_it_still_makes_the_same_asset(broker, shared, job, ball, tmp_path):
    """Steered in two attempts; each attempt is given the journal of what was heard before it, as the broker does it."""
    name, journal, moments, folder = "d" * 32, [], random.Random(3), tmp_path / "killed"

    def begin(attempt, steer):
        if attempt > 1:
            broker.start()
        run = stored(job, folder, {} if attempt > 1 else ball, journal=tuple(journal), resume=attempt > 1)
        broker.order_when_there(run, name, attempt)
        if steer is not None:
            broker.wait_for(Held, name, attempt)
            broker.order(Turn(seq=attempt, command=steer), name, attempt)
            journal.append(broker.wait_for(Turned, name, attempt, lambda turned: turned.seq == attempt).body.entry)

    begin(1, WIDER)
    broker.order(Quit())
    paused = broker.finish(name, outcome="paused")
    assert paused.step >= journal[0].step and broker.all(Held, name)[-1].body.step == paused.step
    assert broker.wait_gone(5.0) == 0

    begin(2, NARROWER)
    for _ in range(moments.randrange(4)):
        broker.hear(0.5)
    _kill(broker)

    begin(3, None)
    broker.wait_for(Moved, name, 3, lambda moved: moved.phase == "export")
    _kill(broker)

    begin(4, None)
    ended = broker.finish(name, 4)
    assert broker.all(Turned, name, 4) == []  # the last checkpoint is that of the last step
    broker.process.send_signal(signal.SIGTERM)  # with nothing to do
    assert broker.wait_gone(5.0) == 0

    shared.order(stored(job, tmp_path / "whole", ball, journal=tuple(journal)), name, 1)
    whole = shared.finish(name)
    one, two = result(folder, ended), result(tmp_path / "whole", whole)
    assert all(np.array_equal(one[array], two[array]) for array in ("vertices", "faces", "loop_uv"))
    picture = [(tmp_path / each / "result" / "base_colour.png").read_bytes() for each in ("killed", "whole")]
    assert picture[0] == picture[1]
    assert ended.step == whole.step == 16


def test_without_a_connection_it_goes(broker):
    broker.wait_idle()
    broker.router.close(0)
    assert broker.process.wait(10.0) == 0


def test_without_the_process_that_started_it_it_writes_a_checkpoint_and_goes(broker_without_worker, job, ball, tmp_path):
    """The port may live on in another process; the parent's end is enough."""
    broker, name = broker_without_worker, "e" * 32
    starter = f"import subprocess, time; print(subprocess.Popen({broker.command!r}).pid, flush=True); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", starter], cwd=broker.root, env=broker.environment, stdout=subprocess.PIPE, text=True)
    with parent:
        parent.stdout.readline()
        # Long enough to be still under way when the parent's end is noticed.
        job = msgspec.structs.replace(job, stages=(msgspec.structs.replace(job.stages[0], steps=1000),))
        broker.order_when_there(stored(job, tmp_path, ball), name, 1)
        broker.wait_for(Held, name)
        parent.kill()
    ended = broker.finish(name, outcome="paused")
    assert broker.all(Held, name)[-1].body.step == ended.step and (tmp_path / "checkpoint.pt").is_file()
    assert not (tmp_path / "result").exists()
    broker.wait_silence()


def _kill(broker):
    broker.process.kill()
    broker.process.wait()
    while broker.router.poll(0):
        broker.hear(0)
    assert not any(isinstance(word.body, Ended) and word.body.outcome != "paused" for word in broker.words)
