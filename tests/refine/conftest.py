"""A tiny random prior and small sketches, for whole runs in seconds."""

import numpy as np
import pytest
import torch
import trimesh

from backend.assets.mesh import TriangleMesh
from backend.priors.card import PriorCard, write_card
from backend.priors.resolve import resolve_prior
from backend.refine import export
from protocol.job import Budget, RefineJob, Shading, Stage, Timesteps
from tests.priors.tiny import WORDS, write_tiny_folder


@pytest.fixture(autouse=True)
def small_sheets(monkeypatch):
    """Contact sheets of 32 px a picture: at their full size they would cost more than the steps of a small run."""
    monkeypatch.setattr(export, "SHEET_PX", 32)


@pytest.fixture(scope="session")
def tiny_prior(tmp_path_factory):
    folder = write_tiny_folder(tmp_path_factory.mktemp("prior"))
    write_card(folder, PriorCard(name="tiny", vocabulary=("a", *WORDS), target_suffix=", red", source_descriptors=", side, front"))
    return resolve_prior(str(folder), torch.device("cpu"))


@pytest.fixture
def ball():
    """A coloured ball away from the origin: red below, blue above."""
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.3)
    vertices = (mesh.vertices + np.array([2.0, -1.0, 5.0])).astype(np.float32)
    above = (mesh.vertices[:, 2] > 0)[:, None]
    colours = np.where(above, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]]).astype(np.float32)
    return TriangleMesh(vertices, np.asarray(mesh.faces, dtype=np.int64), colours=colours)


@pytest.fixture
def small_job():
    """Twenty steps over two stages, 32 cells, a small texture."""
    window = Timesteps(high=(0.9, 0.5))
    return RefineJob(
        prompt="a red mug",
        stages=(
            Stage(
                name="shape",
                optimise="both",
                steps=12,
                timesteps=window,
                shading=Shading(albedo=0.25),
                regularisers={"laplacian": (0.3, 0.1), "normal": (0.3, 0.3), "sign": (0.1, 0.02)},
            ),
            Stage(name="bridge", method="bridge", steps=8, timesteps=window, bank=8),
        ),
        grid=32,
        warm_start=False,
        preview_every=0,
        checkpoint_every=0,
        budget=Budget(faces=2000, texture_px=64),
    )
