"""Tiny folders, written once per run."""

import pytest
import torch

from backend.priors.diffusers_prior import DiffusersPrior
from backend.priors.mixture import GaussianMixturePrior

from .tiny import write_tiny_folder

torch.set_num_threads(1)  # the tensors are tiny: more threads only wait for each other


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """An eps-model with an AutoencoderKL."""
    return write_tiny_folder(tmp_path_factory.mktemp("eps"))


@pytest.fixture(scope="session")
def prior(folder):
    return DiffusersPrior.load(folder)


@pytest.fixture(scope="session")
def velocity_folder(tmp_path_factory):
    """A v-model with an AutoencoderTiny and the scheduler settings that the other one does not have."""
    options = {"timestep_spacing": "trailing", "set_alpha_to_one": True}
    return write_tiny_folder(tmp_path_factory.mktemp("v"), prediction="v_prediction", tiny_autoencoder=True, **options)


@pytest.fixture
def mixture():
    """Three random Gaussians in four dimensions: labels a, b and, of two components, c."""
    generator = torch.Generator().manual_seed(3)
    root = torch.randn(3, 4, 4, generator=generator, dtype=torch.float64)
    means = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    covariances = root @ root.mT + 0.1 * torch.eye(4, dtype=torch.float64)

    def build(parametrisation="epsilon"):
        return GaussianMixturePrior(
            means,
            covariances,
            {"a": [0], "b": [1], "c": [1, 2]},
            weights=torch.tensor([0.5, 0.3, 0.2]),
            latent_shape=(1, 2, 2),
            parametrisation=parametrisation,
        )

    return build
