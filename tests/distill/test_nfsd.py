"""Noise-free score distillation (arXiv 2310.17590): its identities, and its branch sample by sample."""

import pytest
import torch

from backend.distill.contract import MethodState
from backend.distill.methods import METHODS
from backend.distill.parameters import CSDParameters, NFSDParameters, SDSParameters
from backend.priors.counting import CountingPrior

from .conftest import scene
from .one_step import eps, gradient_of, some_latents, weight

WEAK, STRONG = [0, 20, 150, 199], [200, 450, 700, 999]


@pytest.mark.parametrize(("negative_at", "levels"), [("strong", WEAK), ("weak", STRONG)])
def test_c3_nfsd_without_the_negative_equals_sds_plus_the_noise(negative_at, levels):
    prior = scene()
    z, t, noise, _ = some_latents(prior, levels)
    nfsd = gradient_of(NFSDParameters(guidance=7.5, negative_at=negative_at), prior, z, t, noise)
    sds = gradient_of(SDSParameters(guidance=7.5), prior, z, t, noise)
    torch.testing.assert_close(nfsd, sds + weight(prior, t) * noise, atol=1e-10, rtol=0)


@pytest.mark.parametrize(("negative_at", "levels"), [("strong", STRONG), ("weak", WEAK)])
def test_c4_nfsd_with_the_negative_equals_csd_of_w2_one(negative_at, levels):
    prior = scene()
    z, t, noise, _ = some_latents(prior, levels)
    nfsd = gradient_of(NFSDParameters(guidance=7.5, negative_at=negative_at), prior, z, t, noise)
    csd = gradient_of(CSDParameters(w1=7.5, w2=1.0), prior, z, t, noise)
    torch.testing.assert_close(nfsd, csd, atol=1e-10, rtol=0)


@pytest.mark.parametrize("negative_at", ["strong", "weak"])
def test_nfsd_branches_sample_by_sample_in_one_call(negative_at):
    prior, parameters = scene(), NFSDParameters(guidance=3.0, negative_at=negative_at, weighting="uniform")
    levels = [900, 199, 10, 200]
    z, t, noise, x_t = some_latents(prior, levels)
    subtracts = torch.tensor([(level >= 200) == (negative_at == "strong") for level in levels]).view(-1, 1, 1, 1)
    null, target, negative = (eps(prior, x_t, t, label) for label in ("", "target", "negative"))
    counted = CountingPrior(prior)
    gradient = gradient_of(parameters, counted, z, t, noise)
    torch.testing.assert_close(gradient, 3.0 * (target - null) + null - subtracts * negative, atol=1e-10, rtol=0)
    assert (counted.calls, counted.rows) == (1, 2 + 2 + 3 + 3)
    assert sum(METHODS["nfsd"].rows(parameters, level) for level in levels) == counted.rows


def test_each_sample_reads_the_negative_text_of_its_own_view():
    prior, nfsd, parameters = scene(), METHODS["nfsd"], NFSDParameters()
    z, t, noise, _ = some_latents(prior, [100, 300, 50, 800])
    views = {"target": ["target"] * 4, "null": [""] * 4, "negative": ["target", "negative", "target", "source"]}
    conditions = {role: prior.embed(labels) for role, labels in views.items()}
    together = nfsd.gradient(prior, z, t, {"noise": noise}, conditions, None, parameters, MethodState()).gradient
    for row in (1, 3):
        texts = {role: labels[row] for role, labels in views.items()}
        alone = gradient_of(parameters, prior, z[row : row + 1], t[row : row + 1], noise[row : row + 1], texts)
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-10, rtol=0)


@pytest.mark.parametrize("levels", [WEAK, STRONG])
def test_nfsd_is_noise_free_given_x_t(levels):
    # Another pair (z, e) with the same x_t gives the same G; SDS tells them apart.
    prior = scene()
    z, t, noise, _ = some_latents(prior, levels)
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(t))
    other, other_noise = z + 0.5 * sigma / alpha, noise - 0.5
    one, two = (gradient_of(NFSDParameters(), prior, a, t, b) for a, b in ((z, noise), (other, other_noise)))
    torch.testing.assert_close(one, two, atol=1e-10, rtol=1e-10)
    sds = [gradient_of(SDSParameters(weighting="uniform"), prior, a, t, b) for a, b in ((z, noise), (other, other_noise))]
    torch.testing.assert_close(sds[1] - sds[0], torch.full_like(z, 0.5), atol=1e-8, rtol=0)


def test_the_boundary_is_a_setting():
    rows = METHODS["nfsd"].rows
    assert [rows(NFSDParameters(), level) for level in (0, 199, 200, 999)] == [2, 2, 3, 3]
    assert [rows(NFSDParameters(negative_at="weak"), level) for level in (0, 199, 200, 999)] == [3, 3, 2, 2]
    assert [rows(NFSDParameters(below=500), level) for level in (499, 500)] == [2, 3]
    assert [rows(NFSDParameters(perp_neg=True), level) for level in (0, 999)] == [4, 5]
