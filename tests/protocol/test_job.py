"""Jobs from outside: every mistake is one sentence, and a job survives the way through JSON."""

import pytest

from protocol.errors import UserError
from protocol.job import RefineJob, Stage, decode_job, encode_job, job_from


def test_round_trip():
    job = RefineJob(prompt="a red flower", seed=7, stages=(Stage(name="colour", steps=3, parameters={"guidance": 15.0}),))
    assert decode_job(encode_job(job)) == job


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"prompt": "x", "sed": 1}, "Did you mean 'seed'?"),
        ({"prompt": "x", "stages": [{"name": "a", "step": 3}]}, "Did you mean 'steps'?"),
        ({"prompt": "x", "stages": [{"name": "a", "timesteps": {"hig": [1, 0]}}]}, "Did you mean 'high'?"),
        ({"prompt": 1}, "'prompt'"),
        ({"prompt": "x", "slack": 3}, "'slack'"),
        ({"prompt": "x", "seed": -1}, "'seed'"),
        ({"prompt": "x", "mode": "sculpt"}, "'mode'"),
        ({}, "prompt"),
    ],
)
def test_mistakes_name_the_field(data, told):
    with pytest.raises(UserError) as error:
        job_from(data)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", [b"{", b"[1]", b"\xff\xfe"])
def test_not_json(text):
    with pytest.raises(UserError, match="JSON"):
        decode_job(text)


def test_protocol_needs_no_engine():
    """The package that runs inside Blender must import without torch."""
    import subprocess
    import sys

    code = "import sys; sys.modules['torch'] = None; import protocol.job, protocol.strict, protocol.errors"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
