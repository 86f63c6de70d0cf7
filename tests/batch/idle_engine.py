"""What an actor of a Ray cluster runs in tests: jobs that compute nothing, or real ones, far from the batch's own files."""

import os
import sys
import tempfile
import time

from backend.errors import ResourceError
from tests.batch.idle_worker import IdleWorker
from tests.serve import fake_worker

FAR = "SKETCHBRIDGE_TEST_FAR"
"""Environment variable: nothing under this path may be touched by an actor. Its folder `node` is the machine's own."""


class IdleEngine:
    """`IdleWorker` without its socket. Its title is its process id."""

    broken = False
    carried = None

    def __init__(self, device):
        self.device, self.title = device, str(os.getpid())

    def memory(self):
        return 0, 1

    def run(self, assignment, tell):
        return _Run(self.device, assignment, tell).go()


class _Run(IdleWorker):
    def __init__(self, device, assignment, tell):
        self.device, self.assignment, self.tell, self.ended = device, assignment, tell, None
        self.job, self.attempt, self.run = assignment.job, assignment.attempt, assignment.run

    def say(self, body, arrays=None):
        if isinstance(body, fake_worker.Ended):
            self.ended = body
        else:
            self.tell(self.assignment, body, arrays)

    def go(self):
        self.begin()
        while self.ended is None:
            time.sleep(fake_worker.STEP_S)
            self.show = self.assignment.max_vertices
            if self.assignment.control.stop:
                self.checkpoint()
                self.end("paused")
            else:
                self.step()
        return self.ended


def idle_far_away(device):
    _move_away()
    return IdleEngine(device)


def real_far_away(device):
    from backend.batch.node_engine import NodeEngine

    class Named(NodeEngine):
        title = str(os.getpid())

    _move_away()
    return Named(device)


def unusable(device):
    raise ResourceError("There is no such device here.")


def _move_away():
    """To another working directory; and what lies in the batch's folders cannot be touched by its path."""
    os.chdir(tempfile.mkdtemp(prefix="node-"))
    far = os.environ[FAR]
    own = os.path.join(far, "node")

    def hook(event, arguments):
        if event == "open" or event.startswith(("os.", "shutil.")):
            for each in arguments:
                if isinstance(each, str | os.PathLike) and os.fspath(each).startswith(far) and not os.fspath(each).startswith(own):
                    raise PermissionError(f"{event} of '{each}', which lies on another machine")

    sys.addaudithook(hook)
