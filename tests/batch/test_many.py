"""Thousands of jobs: what scheduling one costs, and that memory does not grow with what was done."""

import pytest

from backend.batch.plan import standings
from benchmarks.batch import batch_of


def test_hundreds_of_jobs_cost_little_each(tmp_path):
    measured = batch_of(200, 2, tmp_path)
    assert set(standings(measured.plan, tmp_path / "out").values()) == {"done"}
    assert measured.per_job_ms < 150.0  # 3 times what a loaded machine needs


@pytest.mark.long
def test_five_thousand_jobs(tmp_path):
    measured = batch_of(5000, 2, tmp_path)
    assert len(measured.outcome.done) == 5000
    assert measured.grown_mib < 16.0, "from the first tenth to the end"
    assert measured.per_job_ms < 60.0
