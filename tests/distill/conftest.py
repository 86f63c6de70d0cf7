"""Densities whose scores are known, as priors."""

import pytest
import torch

from backend.priors.card import PriorCard
from backend.priors.mixture import GaussianMixturePrior

torch.set_num_threads(1)  # the tensors are tiny: more threads only wait for each other


def gaussians(means, variances, labels, *, weights=None, card=None, parametrisation="epsilon", shape=None):
    """A mixture of axis-aligned Gaussians: means and variances as nested lists [K, d]."""
    return GaussianMixturePrior(
        torch.tensor(means, dtype=torch.float64),
        torch.diag_embed(torch.tensor(variances, dtype=torch.float64)),
        labels,
        weights=weights,
        latent_shape=shape,
        card=card,
        parametrisation=parametrisation,
    )


def scene(parametrisation="epsilon"):
    """Prompts of a run as labels of a mixture in 2 x 2 x 2 latents: target, null, source and negative all differ."""
    generator = torch.Generator().manual_seed(5)
    root = torch.randn(4, 8, 8, generator=generator, dtype=torch.float64)
    return GaussianMixturePrior(
        2 * torch.randn(4, 8, generator=generator, dtype=torch.float64),
        root @ root.mT / 8 + 0.05 * torch.eye(8, dtype=torch.float64),
        {"target": [0], "source": [1, 2], "negative": [3]},
        latent_shape=(2, 2, 2),
        parametrisation=parametrisation,
        card=PriorCard(name="scene"),
    )


@pytest.fixture
def prior():
    return scene()
