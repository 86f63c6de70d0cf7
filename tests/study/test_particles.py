"""Methods on the test beds: what they are told, what they leave."""

import pytest
import torch

from backend.distill.contract import MethodState
from backend.distill.methods import METHODS
from backend.distill.oracle_critics import KDECritic
from backend.distill.parameters import PARAMETERS
from backend.errors import UserError
from backend.priors.contract import Condition
from backend.study.bed_prior import BedPrior
from backend.study.beds import bed
from backend.study.entries import ON_BEDS, PRESENT, VARIANTS, chosen
from backend.study.exact_jsd import kernel_log_density
from backend.study.metrics import fit, gaussian_fit
from backend.study.particles import BedRun


def _run(name, method, steps, *, given=None, particles=100, seed=0, title=None):
    entries = chosen(name, [method], {method: given or {}}, variants=title is not None)
    entry = next(entry for entry in entries if title in (None, entry.title))
    run = BedRun(bed(name, seed), entry, particles=particles, seed=seed)
    for _ in range(steps):
        run.step(steps)
    return run


def _fit(run, sample=1000):
    return fit(run.cloud.points(sample), run.bed.target(sample, 0), run.bed)


def test_every_method_has_an_entry():
    assert [entry.method for entry in ON_BEDS] == list(PARAMETERS) and set(PARAMETERS) == set(METHODS)


EVERYWHERE = [pytest.param(name, entry, id=f"{entry.title} on {name}") for entry in (*ON_BEDS, *VARIANTS) for name in entry.beds]


@pytest.mark.parametrize(("name", "entry"), EVERYWHERE)
def test_every_entry_moves_and_declares_its_rows(name, entry):
    """`mean_rows`, from which a budget is shared out, is what the denoiser and the critic are asked, in the mean."""
    run = BedRun(bed(name), entry, particles=24, seed=0)
    before = run.cloud.points(24).clone()
    for _ in range(2):
        run.step(2)
    assert run.is_finite() and not torch.equal(run.cloud.points(24), before)
    if not entry.falling:
        assert run.rows / 2 == pytest.approx(run.mean_rows(), rel=0.05)


def test_sds_leaves_at_least_one_mode_with_under_two_percent():
    """SDS drops modes (docs/methods.md, "Four modes")."""
    found = _fit(_run("modes", "sds", 200))
    assert min(found.fractions) < 0.02 and found.fractions[0] > 0.6


def test_vsd_with_the_exact_marginal_critic_reaches_every_mode():
    """A reference run (docs/methods.md, "Four modes"): fractions .39 .29 .20 .11, standard deviation .398."""
    run = _run("modes", "vsd", 0)
    run.cloud.rate = 1.0
    for _ in range(250):
        run.step(250)
    found = _fit(run)
    assert found.fractions == pytest.approx((0.4, 0.3, 0.2, 0.1), abs=0.08)
    assert found.within == pytest.approx(0.4, rel=0.2) and found.distance < 0.03


def test_vsd_equals_esd_with_lambda_one_and_sds_equals_lambda_zero_on_the_family():
    """Among particles VSD's critic is the marginal one, in the family it is one point's."""
    vsd, esd = _run("modes", "vsd", 5), _run("modes", "esd", 5)
    assert torch.allclose(vsd.cloud.points(100), esd.cloud.points(100), atol=1e-12)
    sds, zero = _run("gaussian", "sds", 5), _run("gaussian", "esd", 5, given={"lambda": 0.0})
    assert torch.allclose(sds.cloud.points(100), zero.cloud.points(100), atol=1e-9)


def test_esd_on_the_gaussian_keeps_more_spread_with_more_lambda():
    """The trace ratio grows with lambda, below .01 at 0, near 1 at 1 (here from nearby, in larger steps)."""
    ratios = []
    for value in (0.0, 0.8, 1.0):
        entry = chosen("gaussian", ["esd"], {"esd": {"lambda": value}})[0]
        run = BedRun(bed("gaussian"), entry, particles=64, seed=0)
        run.cloud.rate = 0.1
        with torch.no_grad():
            run.cloud.mean.copy_(run.bed.prior.means[0])
        for _ in range(200):
            run.step(200)
        mean, covariance = run.cloud.moments
        ratios.append(gaussian_fit(mean, covariance, run.bed).trace_ratio)
    assert ratios == sorted(ratios)
    assert ratios[0] < 0.01 and ratios[2] == pytest.approx(1.0, abs=0.08)


def test_the_text_of_the_present_is_the_oracle_and_the_others_are_the_mixture():
    on = bed("modes")
    generator = torch.Generator().manual_seed(0)
    oracle = KDECritic(on.prior, 0.25)
    oracle.train_step(on.start(30, 0).view(-1, 2, 1, 1), on.prior.embed([""]), None, generator)
    prior = BedPrior(on.prior, oracle)
    x, t = torch.randn(6, 2, 1, 1, dtype=torch.float64, generator=generator), torch.tensor([20, 200, 500, 700, 900, 979])
    mixed = prior.predict_noise(x, t, prior.embed([PRESENT, "target", PRESENT, "", "source", PRESENT]))
    own = torch.tensor([0, 2, 5])
    assert torch.equal(mixed[own], oracle.predict(x[own], t[own], prior.embed([PRESENT]), [None])[0])
    rest = torch.tensor([1, 3, 4])
    assert torch.equal(mixed[rest], on.prior.predict_noise(x[rest], t[rest], on.prior.embed(["target", "", "source"])))
    assert torch.equal(prior.predict_noise(x, t, Condition(torch.tensor([[prior.index]]))), oracle.predict(x, t, None, [None])[0])


def test_kernel_log_density_has_the_critics_score():
    """grad log q_t = -eps_q / sigma."""
    on = bed("circles")
    critic = KDECritic(on.prior, on.kernel)
    generator = torch.Generator().manual_seed(0)
    critic.train_step(on.start(20, 0).view(-1, 2, 1, 1), on.prior.embed([""]), None, generator)
    t = torch.tensor([30, 300, 900])
    x = torch.randn(3, 2, 1, 1, dtype=torch.float64, generator=generator, requires_grad=True)
    (score,) = torch.autograd.grad(kernel_log_density(critic, x, t).sum(), x)
    _, sigma = on.prior.coefficients(t)
    noise = critic.predict(x.detach(), t, on.prior.embed([""]), [None])[0]
    assert torch.allclose(-score * sigma.view(-1, 1, 1, 1), noise, atol=1e-10)


def test_dds_starts_from_its_reference():
    """The start of each particle is what it edits: with the target's own text as the source nothing pulls."""
    run = _run("modes", "dds", 0)
    latents, start = run.cloud.seen(0)
    assert torch.equal(latents, start)
    conditions = {**run.conditions, "source": run.conditions["target"]}
    t = torch.full((100,), 300)
    draws = {"noise": torch.ones_like(latents)}
    distilled = run.method.gradient(run.prior, latents, t, draws, conditions, None, run.parameters, MethodState(reference=start))
    assert distilled.gradient.abs().max() == 0.0


def test_cfd_keeps_the_noise_of_a_particle():
    run = _run("modes", "cfd", 1)
    first = run.objects["object noise"].clone()
    run.step(3)
    assert torch.equal(run.objects["object noise"], first)


def test_perp_neg_is_refused_for_want_of_views():
    with pytest.raises(UserError, match="views"):
        _run("modes", "sds", 0, given={"perp_neg": True})
