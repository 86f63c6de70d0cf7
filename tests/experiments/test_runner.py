"""Cells: estimate, resume after a kill, what is run again and what is not, failures."""

import signal
import subprocess
import sys
import time

import pytest

from backend.errors import ResourceError
from backend.experiments.journal import FILE, key_of, read_lines
from backend.experiments.report import csv_text, failures_text, markdown_text
from backend.experiments.runner import plan_cells, run_cells
from tests.experiments.counting import Counting, context_in, ran

WEIGHTS = ("weights",)


def _run(experiment, folder, weights=WEIGHTS, **more):
    context = context_in(folder)
    return run_cells(experiment, context, plan_cells(experiment, context, weights), **more)


def _squares(results):
    return [result.values.get("square") for result in results]


def test_a_killed_process_goes_on_where_it_was(tmp_path):
    command = [sys.executable, "-m", "tests.experiments.counting", str(tmp_path), "4", "0.5"]
    with subprocess.Popen(command) as process:
        deadline = time.monotonic() + 120
        while len(ran(tmp_path)) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert ran(tmp_path) == [0, 1, 2]
    assert len(read_lines(tmp_path)) == 2  # the third had begun and was not done
    results = _run(Counting(4), tmp_path)
    assert ran(tmp_path) == [0, 1, 2, 2, 3]
    assert _squares(results) == [0, 1, 4, 9]


@pytest.mark.parametrize("cut", [1, 40, 100])
def test_a_half_written_line_is_one_cell_more_to_run(tmp_path, cut):
    _run(Counting(3), tmp_path)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-cut])
    before = len(ran(tmp_path))
    assert _squares(_run(Counting(3), tmp_path)) == [0, 1, 4]
    # Without its line feed alone, the last line is whole.
    assert ran(tmp_path)[before:] == ([] if cut == 1 else [2])
    assert _squares(_run(Counting(4), tmp_path)) == [0, 1, 4, 9]
    assert ran(tmp_path)[-1] == 3 and ran(tmp_path).count(2) == (1 if cut == 1 else 2)


def test_only_a_changed_cell_is_run_again(tmp_path):
    _run(Counting(3), tmp_path)
    assert _squares(_run(Counting(3, factors={1: 7}), tmp_path)) == [0, 7, 4]
    assert ran(tmp_path) == [0, 1, 2, 1]
    assert _squares(_run(Counting(3), tmp_path)) == [0, 1, 4]  # the first numbers are still there
    assert ran(tmp_path) == [0, 1, 2, 1]


def test_other_weights_are_another_experiment(tmp_path):
    _run(Counting(2), tmp_path)
    _run(Counting(2), tmp_path, ("other weights",))
    assert ran(tmp_path) == [0, 1, 0, 1]
    cell = Counting(1).cells(None)[0]
    keys = {key_of(name, cell, weights) for name in ("a", "b") for weights in (("x",), ("y",), ("x", "y"))}
    assert len(keys) == 6


def test_a_failing_cell_is_told_and_the_rest_goes_on(tmp_path):
    results = _run(Counting(4, bad=1, foreign=2), tmp_path)
    assert [result.failure for result in results] == ["", "The number is bad. Choose another.", "ZeroDivisionError: division by zero", ""]
    assert _squares(results) == [0, None, None, 9]
    assert failures_text(results).splitlines()[0] == "- cell 1: The number is bad. Choose another."
    assert _squares(_run(Counting(4), tmp_path)) == [0, 1, 4, 9]  # and it is tried again
    assert ran(tmp_path) == [0, 1, 2, 3, 1, 2]


def test_estimate_and_progress_count_what_is_left(tmp_path):
    heard = []
    _run(Counting(3), tmp_path, listen=heard.append)
    assert {progress.total_s for progress in heard} == {60.0}
    assert [progress.done_s for progress in heard] == sorted(progress.done_s for progress in heard)
    assert heard[-1].done_s == 60.0
    planned = plan_cells(Counting(4), context_in(tmp_path), WEIGHTS)
    assert [entry.seconds for entry in planned] == [0.0, 0.0, 0.0, 40.0]


def test_stopping_is_after_the_present_cell(tmp_path):
    results = _run(Counting(5), tmp_path, stop=lambda: len(ran(tmp_path)) >= 2)
    assert _squares(results) == [0, 1]
    # What was done before still counts when the stop comes at once.
    assert _squares(_run(Counting(5), tmp_path, stop=lambda: True)) == [0, 1]


def test_results_read_again_are_those_just_made(tmp_path):
    first = _run(Counting(2), tmp_path)
    assert [result.values for result in _run(Counting(2), tmp_path)] == [result.values for result in first]
    assert first[0].values["pair"] == [1, 2]
    table = Counting(2).tables(first)[0]
    assert csv_text(table) == "cell,square,remark\ncell 0,0,\ncell 1,1,\n"
    assert "| cell 1 | 1 |  |" in markdown_text(table)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / FILE).mkdir()
    with pytest.raises((ResourceError, IsADirectoryError)):
        _run(Counting(1), tmp_path)
