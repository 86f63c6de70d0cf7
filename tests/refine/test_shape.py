"""What keeps strokes whole: the bounds on the shape, and the guard after it moved."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from backend.assets.mesh import TriangleMesh
from backend.assets.read import read_mesh
from backend.geometry.dmtet import DMTet
from backend.refine.guard import complaint, settle_shape
from backend.refine.inputs import Inputs
from backend.refine.prepare import growth_bound, prepare, shape_bound
from backend.render.rasterizer import choose_rasterizer
from backend.render.silhouette import largest_hole
from protocol.job import RefineJob

MUG = Path(__file__).parents[2] / "examples" / "sketches" / "mug.glb"


@pytest.fixture
def dumbbell():
    """Two balls joined by a rod of a third of their radius."""
    parts = [trimesh.creation.icosphere(2, 0.3), trimesh.creation.icosphere(2, 0.3), trimesh.creation.cylinder(0.1, 1.0, sections=16)]
    parts[0].apply_translation([0, 0, 0.5])
    parts[1].apply_translation([0, 0, -0.5])
    mesh = trimesh.util.concatenate(parts)
    return TriangleMesh(np.asarray(mesh.vertices, dtype=np.float32), np.asarray(mesh.faces, dtype=np.int64))


@pytest.fixture
def subject(dumbbell):
    return prepare(RefineJob(prompt="a mug", grid=32), Inputs(sketch=dumbbell), torch.device("cpu"))


def _push(subject, delta):
    """Every grid value moved as far as `delta` asks, against the bounds."""
    with torch.no_grad():
        subject.surface.parameters()["sdf"].fill_(delta)


def test_no_push_however_hard_severs_a_stroke(subject):
    """Shrinking with all force: the bound alone keeps the rod, and recall at what it grants."""
    _push(subject, 1.0)
    now = subject.meter.measure(subject.still())
    assert not now.severed and not now.parted
    assert now.recall >= 0.95
    assert now.moved > 0.3


def test_without_bounds_the_same_push_severs_it(subject):
    """Shows that the test above can fail."""
    free = DMTet(subject.surface.grid, subject.surface.rest_sdf)
    with torch.no_grad():
        free.parameters()["sdf"].fill_(0.18)
    now = subject.meter.measure(free.extract())
    assert now.severed or now.parted
    assert "strokes" in complaint(now, subject.at_start)


def test_growing_goes_farther_than_shrinking(subject):
    h = subject.h
    shrink = shape_bound(subject.sketch, subject.surface.grid, 0.25)
    grow = growth_bound(shrink, h, 0.25)
    assert bool((shrink <= subject.sketch.radius / 2 + 1e-6).all())
    assert float(grow.min()) >= 2.5 * h - 1e-6
    _push(subject, -10.0)
    assert torch.allclose(subject.surface.delta(), -grow, atol=1e-4)
    _push(subject, 10.0)
    assert torch.allclose(subject.surface.delta(), shrink, atol=1e-4)


def test_a_handle_stays_open_however_hard_the_shape_is_pushed_to_grow():
    """The example mug: Euler characteristic 0 and a way to look through the handle, at the start and at the bounds of growth."""
    mug = prepare(RefineJob(prompt="a mug"), Inputs(sketch=read_mesh(MUG)), torch.device("cpu"))
    rasterizer = choose_rasterizer("auto", "cpu")
    for push in (0.0, -10.0):
        _push(mug, push)
        mesh = mug.still()
        assert len(mesh.vertices) - len(mesh.faces) // 2 == 0
        assert largest_hole(mesh, rasterizer) > 0
    mug.surface.growth = mug.surface.growth * 3
    _push(mug, -10.0)
    assert largest_hole(mug.still(), rasterizer) == 0  # so much would close it


def test_the_guard_takes_a_breaking_change_back_and_says_so(subject):
    subject.surface.bound = subject.surface.growth = None
    _push(subject, 0.18)
    (note,) = settle_shape(subject)
    assert "reduced" in note or "taken back" in note
    assert complaint(subject.meter.measure(subject.still()), subject.at_start) == ""


def test_the_guard_leaves_a_sound_change_alone(subject):
    _push(subject, -0.02)
    before = subject.still().vertices
    assert settle_shape(subject) == []
    assert torch.equal(subject.still().vertices, before)


def test_slack_loosens_and_tightens_without_a_jump(subject):
    _push(subject, -0.05)
    before = subject.still().vertices
    subject.set_slack(0.0)
    assert torch.allclose(subject.still().vertices, before, atol=1e-5)
    _push(subject, -10.0)
    tight = subject.surface.field().detach() - subject.sketch.sdf
    assert float(tight.min()) >= -max(0.05, float(shape_bound(subject.sketch, subject.surface.grid, 0.0).max())) - 1e-3
