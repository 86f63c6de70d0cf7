"""Threads of the engine sleep while they wait, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest

ASK = "import backend, os; print(os.environ['OMP_WAIT_POLICY'])"


@pytest.mark.parametrize(("given", "found"), [({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")])
def test_waiting_threads_sleep_by_default(given, found):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", ASK], env={**environment, **given}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found
