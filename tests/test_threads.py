"""Threads of the engine do not spin for long while they wait, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest

ASK = "import backend, os; print(os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(("given", "found"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")])
def test_waiting_threads_sleep_soon_by_default(given, found):
    environment = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", ASK], env={**environment, **given}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found
