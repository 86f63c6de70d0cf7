"""A tiny random prior, a small sketch in the domain, a job of seconds; one worker for all tests that leave it as it was."""

import numpy as np
import pytest
import trimesh

from backend.priors.card import PriorCard, write_card
from protocol.job import Budget, RefineJob, Shading, Stage, Timesteps
from tests.priors.tiny import WORDS, write_tiny_folder
from tests.serve_worker.broker import Broker


@pytest.fixture(scope="session")
def prior_folder(tmp_path_factory):
    folder = write_tiny_folder(tmp_path_factory.mktemp("served") / "tiny")
    write_card(folder, PriorCard(name="tiny", vocabulary=("a", *WORDS), target_suffix=", red", source_descriptors=", side, front"))
    return folder


@pytest.fixture(scope="session")
def shared():
    broker = Broker()
    broker.wait_idle()
    yield broker
    broker.close()


@pytest.fixture
def broker():
    broker = Broker()
    yield broker
    broker.close()


@pytest.fixture
def broker_without_worker():
    broker = Broker(start=False)
    yield broker
    broker.close()


@pytest.fixture
def ball():
    """The arrays of a ball of longest side 1.6, red below and blue above."""
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.8)
    above = (mesh.vertices[:, 2] > 0)[:, None]
    return {
        "vertices": mesh.vertices.astype(np.float32),
        "faces": mesh.faces.astype(np.int32),
        "colours": np.where(above, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]]).astype(np.float32),
    }


@pytest.fixture
def job(prior_folder):
    """Sixteen steps over two stages on a grid of 32 cells, a small asset; a checkpoint every third step."""
    window = Timesteps(high=(0.9, 0.5))
    return RefineJob(
        prompt="a red mug",
        prior=str(prior_folder),
        stages=(
            Stage(name="shape", optimise="both", steps=8, timesteps=window, shading=Shading(albedo=0.25)),
            Stage(name="bridge", method="bridge", steps=8, timesteps=window, bank=8),
        ),
        grid=32,
        warm_start=False,
        preview_every=2,
        checkpoint_every=3,
        budget=Budget(faces=300, texture_px=64),
    )
