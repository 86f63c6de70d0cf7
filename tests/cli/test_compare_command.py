"""`sketchbridge compare` from the outside."""

import csv
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from backend.cli.main import app


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--methods", "sdss"], "Did you mean 'sds'"),
        (["--beds", "circle"], "Did you mean 'circles'"),
        (["--budget", "row:100"], "Did you mean 'rows'"),
        (["--budget", "rows"], "whole number of rows"),
        (["--set", "sds.guidence=3"], "Did you mean 'guidance'"),
        (["--set", "guidance=3"], "METHOD.PARAMETER=VALUE"),
        (["--set", "sds.guidance=-3"], "guidance"),
        (["--beds", "none"], "nothing to compare on"),
        (["--beds", "none", "--prior", "starter", "--prompt", " "], "prompt is empty"),
        (["--prior", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, arguments, told):
    result = CliRunner().invoke(app, ["compare", "--out", str(tmp_path / "out"), *arguments])
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("sketchbridge: ")
    assert told in result.stderr
    assert not list((tmp_path / "out").glob("table.*"))


def test_estimate_first_then_files(tmp_path):
    command = ["compare", "--methods", "sds,cfd", "--beds", "circles", "--budget", "rows:3", "--particles", "20", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "2 runs, about" in result.stderr.splitlines()[0]
    assert {path.name for path in tmp_path.iterdir()} == {"table.csv", "table.md", "circles.png"}


def test_ctrl_c_leaves_a_table(tmp_path):
    """In a process of its own, interrupted once the runs have begun."""
    command = [sys.executable, "-m", "backend.cli.main", "compare", "--methods", "sds,vsd", "--beds", "modes", "--budget", "steps:1000000"]
    with subprocess.Popen([*command, "--out", str(tmp_path)], stderr=subprocess.PIPE, text=True) as process:
        assert "2 runs, about" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=120)[1]
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    with (tmp_path / "table.csv").open() as file:
        rows = {row["title"]: row for row in csv.DictReader(file)}
    assert rows["SDS"]["remark"].startswith(("stopped at step", "not begun")) and rows["VSD"]["remark"] == "not begun"
    assert (tmp_path / "modes.png").is_file()
