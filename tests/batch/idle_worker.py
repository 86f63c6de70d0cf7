"""A batch's worker that computes nothing, in a process of its own; what it leaves looks like a run's.

Besides the words of `tests.serve.fake_worker`: "hungry" runs out of memory while a step has more than two views, "starving" always,
"flaky" fails once in an unforeseen way, "slippery" every time.
"""

import sys
from pathlib import Path

import msgspec
import zmq

from backend.batch.attempts import MEMORY
from backend.serve.orders import Ended
from protocol.job import Stage
from protocol.messages import Artefact, Fault
from tests.serve import fake_worker

fake_worker.STEP_S = 0.001


class IdleWorker(fake_worker.FakeWorker):
    def begin(self):
        if not (Path(self.run.folder) / "checkpoint.pt").exists():
            self.run = msgspec.structs.replace(self.run, resume=False)
        super().begin()
        self.first = self.done

    def step(self):
        if self.done == 5 and self.first == 0:
            if "flaky" in self.prompt and self.attempt == 1:
                return self.fail(Fault(code="internal", sentence="It slipped.", hint="Try again.", retryable=True))
            if "slippery" in self.prompt:
                return self.fail(Fault(code="internal", sentence="It slips.", hint="Try again.", retryable=True))
            views = self.run.job.stages[0].views if self.run.job.stages else 4
            if "starving" in self.prompt or ("hungry" in self.prompt and views > 2):
                fewer = msgspec.structs.replace(self.run.job, stages=(Stage(name="colour", views=max(1, views // 2)),))
                fault = Fault(code=MEMORY, sentence="There is not enough memory.", hint="Ask for less.", retryable=True)
                return self.fail(fault, fewer if views > 1 else None)
        return super().step()

    def fail(self, fault, resolved=None):
        self.say(Ended(outcome="failed", step=self.done, steps=self.steps, fault=fault, resolved=resolved))
        self.run, self.job, self.attempt = None, "", 0

    def finish(self, outcome):
        report = {
            "outcome": outcome,
            "job": msgspec.to_builtins(self.run.job),
            "resolved": msgspec.to_builtins(self.run.job),
            "ran": [["colour", "sds", self.steps]],
            "steps": self.done,
            "seconds": {"colour": 0.001 * self.steps},
            "worker": self.device,
            "attempt": self.attempt,
            "first": self.first,
        }
        data = msgspec.json.encode(report)
        (self.folder / "report.json").write_bytes(data)
        (self.folder / "checkpoint.pt").unlink(missing_ok=True)
        self.end(outcome, (Artefact(name="report.json", bytes=len(data), digest="0" * 64),))


if __name__ == "__main__":
    IdleWorker(*sys.argv[1:]).live()
    zmq.Context.instance().destroy(500)
