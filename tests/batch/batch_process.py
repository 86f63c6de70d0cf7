"""A batch as a process of its own, with its events, that can be killed."""

import json
import os
import signal
import subprocess
import sys
import time

PATIENCE_S = 120.0


class Process:
    """A batch under way; `events` as they come."""

    def __init__(self, jobs, out, workers=2, real=False, rerun=""):
        options = json.dumps([str(jobs), str(out), workers, real, str(rerun)])
        command = [sys.executable, "-m", "tests.batch.start_batch", options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.events = []

    def wait_for(self, wanted, patience_s=PATIENCE_S):
        until = time.monotonic() + patience_s
        while time.monotonic() < until and (line := self.process.stdout.readline()):
            self.events.append(json.loads(line))
            if wanted(self.events[-1]):
                return self.events[-1]
        raise AssertionError(f"not heard; the last were {self.events[-3:]}")

    def wait_step(self, step, patience_s=PATIENCE_S):
        return self.wait_for(lambda event: any(each["step"] >= step for each in event.get("running", ())), patience_s)

    def wait_all(self, step, workers=2, patience_s=PATIENCE_S):
        """Every worker has a job that came this far, whichever started first."""
        return self.wait_for(lambda event: sum(each["step"] >= step for each in event.get("running", ())) == workers, patience_s)

    def listen(self, seconds):
        """Go on hearing for so long; whether the batch still runs then."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and (line := self.process.stdout.readline()):
            self.events.append(json.loads(line))
        return self.process.poll() is None

    def workers(self):
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(line) for line in listed.stdout.split()]

    def kill_all(self):
        """Everything at once, as a machine that goes off."""
        workers = self.workers()
        os.killpg(self.process.pid, signal.SIGKILL)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        self.finish()

    def finish(self, patience_s=PATIENCE_S):
        rest, _ = self.process.communicate(timeout=patience_s)
        self.events += [json.loads(line) for line in rest.splitlines() if line.endswith("}")]
        return self.process.returncode

    def began(self):
        return [event["id"] for event in self.events if event["event"] == "job" and event["state"] == "preparing"]
