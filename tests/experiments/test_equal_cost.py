"""What methods get beside SDS, and what a cell is done again for."""

import shutil
from types import SimpleNamespace

import msgspec
import pytest

from backend.experiments import shape_runs
from backend.experiments.contract import Plan
from backend.experiments.journal import key_of
from backend.experiments.object_runs import fair
from backend.experiments.registry import experiment
from backend.priors.card import read_card
from backend.priors.counting import CountingPrior
from backend.priors.resolve import STARTER, resolve_prior
from backend.refine.estimate import rows_of
from backend.refine.resolve import resolve
from protocol.job import RefineJob

FROM_A_PROMPT = RefineJob(prompt="a red mug", mode="prompt")
SKETCHED = RefineJob(prompt="a red mug", sketch="mug")


@pytest.fixture(scope="module")
def context(tiny_folder):
    return SimpleNamespace(prior=resolve_prior(str(tiny_folder)))


def _given(job, method, context, equal="", **more):
    """Stages and rows of a method."""
    given = fair(msgspec.structs.replace(job, method=method, **more), context, equal)
    stages = resolve(given, context.prior.card).stages
    return stages, sum(rows_of(stage, CountingPrior(context.prior)) for stage in stages)


@pytest.mark.parametrize("job", [FROM_A_PROMPT, SKETCHED])
@pytest.mark.parametrize("steps", [-1, 97])
def test_cheap_methods_have_the_steps_of_sds_in_every_part(context, job, steps):
    """Bridge, with as many rows as SDS, too: what it has at the end, the others have as colours."""
    plain, rows = _given(job, "sds", context, steps=steps)
    assert sum(stage.steps for stage in plain) == (97 if steps > 0 else 680 if job is FROM_A_PROMPT else 580)
    for method, dearer in (("vsd", 1.5), ("esd", 2), ("bridge", 1)):
        stages, own = _given(job, method, context, steps=steps)
        assert own == dearer * rows
        if method == "bridge":
            *first, colours, bridge = stages
            assert bridge.name == "bridge"
            stages = (*first, msgspec.structs.replace(colours, steps=colours.steps + bridge.steps))
        alike = [(stage.name, stage.steps, stage.views, stage.colour_rate) for stage in plain]
        assert [(stage.name, stage.steps, stage.views, stage.colour_rate) for stage in stages] == alike


def test_costly_methods_have_the_rows_of_sds(context):
    _, rows = _given(FROM_A_PROMPT, "sds", context)
    for method, equal in (("sdi", ""), ("vsd", "rows"), ("esd", "rows")):
        stages, own = _given(FROM_A_PROMPT, method, context, equal)
        assert sum(stage.steps for stage in stages) < 680 and own == pytest.approx(rows, rel=0.05)
    assert sum(stage.steps for stage in _given(FROM_A_PROMPT, "sdi", context, "steps")[0]) == 680


def test_sketches_are_moved_as_long_by_sds_as_by_bridge(context):
    shapes = {}
    for method in ("sds", "bridge"):
        stages, rows = _given(SKETCHED, method, context, "rows")
        shapes[method] = ([stage for stage in stages if stage.optimise == "both"], rows)
    assert shapes["sds"] == shapes["bridge"] and shapes["sds"][0][0].steps == 150


NAMES = ("table2", "janus", "sketch-to-real", "illusion", "slack", "descents", "starts")


def _keys(name):
    """Of the cells that drive a job, or all that say so little of it."""
    cells = [cell for cell in experiment(name).cells(Plan(read_card(STARTER), "quick")) if cell.spec.get("form") != "particles"]
    assert cells and all("version" in cell.spec for cell in cells)
    return {key_of(name, cell, ()) for cell in cells}


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_is_run_again_when_its_preset_has_changed(name, monkeypatch):
    before = _keys(name)
    assert _keys(name) == before
    preset = "backend.refine.image_presets._motif" if name == "illusion" else "backend.refine.presets.at_rates_of"
    module, function = preset.rsplit(".", 1)
    old = getattr(__import__(module, fromlist=[function]), function)
    monkeypatch.setattr(preset, lambda *given: msgspec.structs.replace(old(*given), close_ups=0.125))
    assert not _keys(name) & before


@pytest.mark.parametrize("name", ["sketch-to-real", "slack", "descents"])
def test_a_cell_is_run_again_when_its_sketch_has_changed(name, monkeypatch, tmp_path):
    before = _keys(name)
    copies = shutil.copytree(shape_runs.SKETCHES, tmp_path / "sketches")
    monkeypatch.setattr(shape_runs, "SKETCHES", copies)
    assert _keys(name) == before
    for path in copies.glob("*.glb"):
        path.write_bytes(path.read_bytes() + b" ")
    assert not _keys(name) & before


def test_particles_have_a_version_too():
    assert all("version" in cell.spec for cell in experiment("janus").cells(Plan(read_card(STARTER))))
