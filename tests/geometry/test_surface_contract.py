"""What every `Surface` promises, asked of each implementation."""

import numpy as np
import pytest
import torch
import trimesh

from backend.geometry.dmtet import DMTet
from backend.geometry.fixed_mesh import FixedMesh
from backend.geometry.kuhn import KuhnGrid


def _dmtet():
    grid = KuhnGrid(12, torch.device("cpu"))
    return DMTet(grid, grid.positions.norm(dim=-1) - 0.6)


def _fixed():
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.6)
    return FixedMesh(torch.tensor(ball.vertices, dtype=torch.float32), torch.tensor(np.asarray(ball.faces)))


def _empty():
    grid = KuhnGrid(8, torch.device("cpu"))
    return DMTet(grid, torch.ones(grid.vertex_count))


@pytest.fixture(params=[_dmtet, _fixed, _empty], ids=["dmtet", "fixed", "empty"])
def make(request):
    return request.param


def test_mesh_is_well_formed_and_faces_look_outward(make):
    mesh = make().extract()
    assert mesh.vertices.ndim == 2 and mesh.vertices.shape[1] == 3
    assert mesh.faces.dtype == torch.int64
    assert mesh.edges is not None and bool((mesh.edges.ends[:, 0] < mesh.edges.ends[:, 1]).all())
    if len(mesh.faces):
        assert int(mesh.faces.max()) < len(mesh.vertices)
        a, b, c = mesh.vertices.detach()[mesh.faces].unbind(1)
        assert float((a * torch.linalg.cross(b, c)).sum()) > 0


def test_every_parameter_is_a_leaf_that_the_mesh_depends_on(make):
    surface = make()
    mesh = surface.extract()
    leaves = surface.parameters()
    assert all(leaf.is_leaf and leaf.requires_grad for leaf in leaves.values())
    if leaves and len(mesh.vertices):
        mesh.vertices.square().sum().backward()
        assert all(leaf.grad is not None and bool(leaf.grad.abs().sum() > 0) for leaf in leaves.values())


def test_regularisers_are_finite_scalars(make):
    surface = make()
    for term in surface.regularisers(surface.extract()).values():
        assert term.shape == () and bool(torch.isfinite(term))


def test_state_brings_back_the_same_mesh_in_the_same_leaves(make):
    surface = make()
    before, held = surface.extract(), surface.state()
    leaves = surface.parameters()
    with torch.no_grad():
        for leaf in leaves.values():
            leaf.add_(0.05)
    surface.constrain()
    surface.load_state(held)
    assert torch.equal(surface.extract().vertices, before.vertices)
    assert all(surface.parameters()[name] is leaf for name, leaf in leaves.items())
