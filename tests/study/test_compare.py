"""A whole comparison: budgets, tables, figures, stopping."""

import csv
import io

import numpy as np
import pytest
import torch
from PIL import Image

from backend.errors import UserError
from backend.priors.resolve import resolve_prior
from backend.study.bed_prior import BedPrior
from backend.study.beds import bed
from backend.study.budget import Budget, read_budget
from backend.study.compare import Request, compare, plan
from backend.study.images import PictureRun
from backend.study.table import COLUMNS, csv_text, markdown_text
from backend.study.write import write_all
from tests.priors.tiny import write_tiny_folder


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return resolve_prior(str(write_tiny_folder(tmp_path_factory.mktemp("prior"))))


def _compared(methods=("sds", "vsd", "cfd"), beds=("modes",), budget="steps:5", stop=lambda: False, **more):
    request = Request(methods=methods, beds=beds, budget=read_budget(budget), **{"particles": 40, **more})
    return compare(request, plan(request), stop=stop)


def _rows(outcomes, *without):
    read = list(csv.DictReader(io.StringIO(csv_text(outcomes))))
    return [{name: value for name, value in row.items() if name not in without} for row in read]


def test_three_methods_leave_a_table_and_a_picture_whose_panels_differ(tmp_path):
    outcomes = _compared(budget="steps:40")
    files = write_all(outcomes, tmp_path, 0)
    assert [path.name for path in files] == ["table.csv", "table.md", "modes.png"]
    rows = _rows(outcomes)
    assert [row["title"] for row in rows] == ["target", "start", "SDS", "VSD", "CFD"]
    distances = [float(row["energy_distance"]) for row in rows]
    assert distances[0] < min(distances[1:]) and len(set(distances)) == 5
    assert all(row["steps"] == "40" and float(row["seconds_per_step"]) > 0 for row in rows[2:])
    assert [row["rows_per_step"] for row in rows[2:]] == ["1.00", "2.00", "1.00"]
    assert "guidance 1" in (tmp_path / "table.md").read_text()

    picture = np.asarray(Image.open(tmp_path / "modes.png").convert("RGB")).astype(int)
    assert picture.shape[1] == 1200
    panels = [picture[:, 240 * k : 240 * (k + 1)] for k in range(5)]
    orange = [int(((panel[..., 0] > 150) & (panel[..., 2] < 60)).sum()) for panel in panels]
    assert orange[0] == 0 and min(orange[1:]) > 300  # the target alone, then points
    assert all(np.abs(a - b).mean() > 1 for k, a in enumerate(panels) for b in panels[k + 1 :])


def test_equal_row_budgets_are_equal():
    """As many rows as were given, and less than one step's more."""
    rows = {row["title"]: row for row in _rows(_compared(("sds", "vsd", "esd", "ism", "pfd"), budget="rows:70"))[2:]}
    for row in rows.values():
        assert 70 <= float(row["rows"]) < 70 + float(row["rows_per_step"]) + 1, row
    assert [rows[title]["steps"] for title in ("SDS", "VSD", "ESD", "PFD")] == ["70", "35", "24", "3"]


@pytest.mark.parametrize("beds", [("modes",), ("gaussian",)])
def test_the_same_seed_gives_the_same_table(beds):
    """To the last figure written, and the points to the last bit; only the clock differs."""
    first, again, other = (_compared(beds=beds, seed=seed) for seed in (4, 4, 5))
    assert _rows(first, "seconds_per_step") == _rows(again, "seconds_per_step") != _rows(other, "seconds_per_step")
    assert all(torch.equal(a.points, b.points) for a, b in zip(first, again, strict=True))


def test_every_method_meets_the_same_noise():
    """With lambda 0 ESD is SDS in the family, draw for draw, though other methods ran in between."""
    outcomes = _compared(("sds", "pfd", "esd"), beds=("gaussian",), given={"esd": {"lambda": 0.0}, "pfd": {"steps": 2}})
    points = {outcome.title: outcome.points for outcome in outcomes}
    assert torch.allclose(points["SDS"], points["ESD"], atol=1e-9)


def test_stopping_keeps_what_is_there():
    left = 9

    def stop():
        nonlocal left
        left -= 1
        return left < 0

    outcomes = _compared(budget="steps:5", stop=stop)
    rows = _rows(outcomes)
    assert [row["remark"] for row in rows] == ["", "", "", "stopped at step 2 of 5", "not begun"]
    assert rows[3]["energy_distance"] and rows[3]["steps"] == "2" and not rows[4]["energy_distance"]
    assert "stopped at step 2 of 5" in markdown_text(outcomes)


def test_settings_and_those_that_cannot_be_met(prior):
    outcomes = _compared(given={"sds": {"guidance": 3.0, "perp_neg": True}, "vsd": {"weighting": "uniform"}})
    rows = {row["title"]: row for row in _rows(outcomes)}
    assert "needs views" in rows["SDS"]["remark"] and not rows["SDS"]["steps"]
    assert rows["VSD"]["settings"] == '{"guidance": 1.0, "weighting": "uniform"}'
    for given in ({"sdss": {}}, {"sds": {"guidence": 1.0}}):
        with pytest.raises(UserError, match="Did you mean"):
            _compared(given=given)


def test_numbers_that_are_not_finite_end_a_run_and_are_told(monkeypatch):
    whole = BedPrior.predict_noise
    monkeypatch.setattr(BedPrior, "predict_noise", lambda *args: whole(*args) / 0.0)
    outcome = _compared(("sds",))[-1]
    assert "finite" in outcome.reason and outcome.fit is None and _rows([outcome])[0]["energy_distance"] == ""


def test_pictures_of_every_method(prior, tmp_path):
    """A prior of pictures, LoRA critic included; DDS without a picture to edit is listed with the reason."""
    methods = ("sds", "bridge", "vsd", "dds", "sdi", "cfd")
    outcomes = _compared(methods, beds=(), prior=prior, prompt="red mug", pictures=2, budget="steps:10", given={"sdi": {"stride": 400}})
    ran = {outcome.title: outcome for outcome in outcomes}
    assert "--source-prompt" in ran["DDS"].reason and ran["DDS"].pictures is None
    shown = [outcome.pictures for outcome in outcomes if outcome.pictures is not None]
    assert len(shown) == 6 and all(picture.shape == (2, 3, 16, 16) for picture in shown)
    assert not any(torch.equal(a, b) for k, a in enumerate(shown) for b in shown[k + 1 :])
    edited = _compared(("dds",), beds=(), prior=prior, prompt="red mug", pictures=2, source_prompt="blue mug")
    assert edited[-1].steps == 5 and edited[-1].pictures is not None
    assert [path.name for path in write_all(outcomes, tmp_path, 0)] == ["table.csv", "table.md", "pictures.png"]


def test_bridge_begins_with_sds(prior):
    """The first fifth of the steps is SDS, draw for draw; the next is not."""
    bridge, sds = (PictureRun(prior, name, {}, "red mug", count=2, seed=0) for name in ("bridge", "sds"))
    for _ in range(2):
        bridge.step(10), sds.step(10)
    assert torch.equal(bridge.latents, sds.latents)
    bridge.step(10), sds.step(10)
    assert not torch.equal(bridge.latents, sds.latents)
    assert bridge.mean_rows() == 2.0 and bridge.rows == 6.0


@pytest.mark.parametrize(
    ("text", "told"),
    [("row:10", "rows"), ("steps", "whole number"), ("steps:0", "whole number"), ("rows:1.5", "whole number"), ("full:3", "full")],
)
def test_budgets_that_cannot_be_read(text, told):
    with pytest.raises(UserError, match=told):
        read_budget(text)


def test_budgets():
    assert read_budget(" rows:70 ") == Budget("rows", 70)
    assert Budget("rows", 70).steps(32.0, 600) == 3 and Budget("steps", 9).steps(32.0, 600) == 9 and Budget("full").steps(32.0, 600) == 600
    assert Budget("rows", 70).allows(500, 69.5, 3) and not Budget("rows", 70).allows(0, 70.0, 3)
    assert Budget("full").allows(599, 1e9, 600) and not Budget("full").allows(600, 0.0, 600)


def test_columns_are_those_of_the_rows():
    assert all(len(line) == len(COLUMNS) for line in csv.reader(io.StringIO(csv_text(_compared(("sds",))))))


def test_a_bed_is_the_same_whenever_it_is_made():
    assert bed("gaussian", 3).prior.fingerprint() == bed("gaussian", 3).prior.fingerprint() != bed("gaussian", 4).prior.fingerprint()
