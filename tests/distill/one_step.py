"""One gradient of a method on a mixture, with everything it takes given by hand, and the mixture's own predictions to compare it with."""

import torch

from backend.distill.contract import MethodState, add_noise
from backend.distill.methods import METHODS
from backend.distill.parameters import PARAMETERS

NAMES = {kind: name for name, kind in PARAMETERS.items()}
TEXTS = {"target": "target", "null": "", "source": "source", "negative": "negative"}


def gradient_of(parameters, prior, z, t, noise, texts=TEXTS, **state):
    """G [B,C,H,W] of the method that these settings belong to; texts: role -> label."""
    method = METHODS[NAMES[type(parameters)]]
    conditions = {role: prior.embed([texts[role]]) for role in method.roles(parameters)}
    draws = {draw.name: noise for draw in method.draws(parameters)}
    return method.gradient(prior, z, t, draws, conditions, None, parameters, MethodState(**state)).gradient


def eps(prior, x_t, t, label):
    """The mixture's prediction for one label."""
    return prior.predict_noise(x_t, t, prior.embed([label]).expand(len(x_t)))


def some_latents(prior, levels, seed=0):
    """z, t, e and the x_t that they make, one sample per level."""
    generator = torch.Generator().manual_seed(seed)
    z, noise = (torch.randn(len(levels), *prior.latent_shape, dtype=torch.float64, generator=generator) for _ in range(2))
    t = torch.tensor(levels)
    return z, t, noise, add_noise(prior, z, t, noise)


def coefficients(prior, level):
    """alpha, sigma as numbers."""
    return (float(value) for value in prior.coefficients(torch.tensor([level])))


def weight(prior, t):
    """sigma^2 [B,1,1,1], the weighting "sds"."""
    return prior.coefficients(t)[1].square().view(-1, 1, 1, 1)
