"""VSD (arXiv 2305.16213) against critics that know: it is SDS for one particle, and the target for many."""

import math

import pytest
import torch

from backend.distill.contract import MethodState, Pose
from backend.distill.methods import METHODS
from backend.distill.oracle_critics import DiracCritic, GaussianCritic, KDECritic
from backend.distill.parameters import BridgeParameters, SDSParameters, VSDParameters
from backend.distill.schedules import Schedule, draw_timesteps

from .conftest import gaussians, scene

VSD, SDS, BRIDGE = METHODS["vsd"], METHODS["sds"], METHODS["bridge"]


def texts(prior, **labels):
    return {role: prior.embed([label]) for role, label in labels.items()}


def inputs(batch=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z, noise = (torch.randn(batch, 2, 2, 2, dtype=torch.float64, generator=generator) for _ in range(2))
    return z, torch.tensor([10, 300, 700, 980])[:batch], noise


def fitted(critic, particles):
    critic.train_step(particles, None, None, torch.Generator())
    return critic


@pytest.mark.parametrize("guidance", [1.0, 7.5])
@pytest.mark.parametrize("weighting", ["sds", "uniform"])
def test_v1_vsd_with_a_dirac_critic_is_sds(guidance, weighting):
    # One particle: q(x_t) = N(alpha z, sigma^2), its score is the noise itself.
    prior, (z, t, noise) = scene(), inputs()
    conditions = texts(prior, null="", target="target", critic="source")
    state = MethodState(critic=fitted(DiracCritic(prior), z))
    vsd = VSD.gradient(prior, z, t, {"noise": noise}, conditions, None, VSDParameters(guidance=guidance, weighting=weighting), state)
    sds = SDS.gradient(
        prior, z, t, {"noise": noise}, conditions, None, SDSParameters(guidance=guidance, weighting=weighting), MethodState()
    )
    torch.testing.assert_close(vsd.gradient, sds.gradient, atol=1e-10, rtol=1e-10)
    for name, value in vsd.diagnostics.items():
        torch.testing.assert_close(value, sds.diagnostics[name])


class PriorAsCritic:
    """A critic that has learned a label of the prior, and notes whom it was asked about."""

    def __init__(self, prior):
        self.prior, self.rows, self.asked = prior, 0, []

    def predict(self, z_t, t, condition, poses):
        self.asked.append(list(poses))
        return [self.prior.predict_noise(z_t, t, condition.expand(len(z_t))) for _ in poses]


def test_vsd_with_a_critic_that_learned_a_text_is_bridge():
    # The Bridge paper's reading of VSD: a source text instead of a critic.
    prior, (z, t, noise) = scene(), inputs()
    critic, pose = PriorAsCritic(prior), Pose(azimuth_deg=torch.zeros(4))
    vsd = VSD.gradient(
        prior,
        z,
        t,
        {"noise": noise},
        texts(prior, target="target", critic="source"),
        pose,
        VSDParameters(guidance=1.0),
        MethodState(critic=critic),
    )
    bridge = BRIDGE.gradient(
        prior,
        z,
        t,
        {"noise": noise},
        texts(prior, target="target", source="source"),
        pose,
        BridgeParameters(k=1.0, weighting="sds"),
        MethodState(),
    )
    torch.testing.assert_close(vsd.gradient, bridge.gradient, atol=1e-12, rtol=1e-12)
    assert critic.asked == [[pose]]  # once, with the camera


def test_nothing_pulls_where_the_renders_are_as_the_prior_says():
    prior = gaussians([[0.4, -1.0]], [[0.3, 0.8]], {})
    critic = GaussianCritic(prior)
    critic.fit_moments(prior.means[0], torch.diag(torch.tensor([0.3, 0.8], dtype=torch.float64)))
    z = prior.sample(5, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(1))
    conditions = texts(prior, target="", critic="")
    t = torch.tensor([0, 100, 400, 800, 999])
    out = VSD.gradient(prior, z, t, {"noise": noise}, conditions, None, VSDParameters(guidance=1.0), MethodState(critic=critic))
    torch.testing.assert_close(out.gradient, torch.zeros_like(z), atol=1e-13, rtol=0)


def test_a_missing_critic_is_said():
    prior, (z, t, noise) = scene(), inputs()
    with pytest.raises(ValueError, match="needs a critic"):
        VSD.gradient(prior, z, t, {"noise": noise}, texts(prior, target="", critic=""), None, VSDParameters(guidance=1.0), MethodState())


# Recovery of a distribution by particles.

SHARES = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
BANDWIDTH = 0.25


def four_modes():
    return gaussians([[2.0, 2.0], [-2.0, 2.0], [-2.0, -2.0], [2.0, -2.0]], [[0.16, 0.16]] * 4, {}, weights=SHARES)


def circles():
    """Radius 1 (mass .4) and 2.5 (mass .6), std .2, as 20 and 50 Gaussians: close enough to leave no ripple."""
    means, weights = [], []
    for radius, count, mass in ((1.0, 20, 0.4), (2.5, 50, 0.6)):
        angle = torch.arange(count, dtype=torch.float64) * 2 * math.pi / count
        means += torch.stack([radius * angle.cos(), radius * angle.sin()], 1).tolist()
        weights += [mass / count] * count
    return gaussians(means, [[0.04, 0.04]] * 70, {}, weights=torch.tensor(weights, dtype=torch.float64))


def descend(method, prior, z, steps, rate, bandwidth, seed=0):
    """Samples of what the particles stand for after plain descent, t ~ U{20..980}, w = sigma^2."""
    generator = torch.Generator().manual_seed(seed)
    critic, conditions = KDECritic(prior, bandwidth), texts(prior, target="", critic="")
    parameters = VSDParameters(guidance=1.0) if method is VSD else SDSParameters(guidance=1.0)
    for step in range(steps):
        t = draw_timesteps(Schedule(), step, steps, len(z), prior.timesteps, generator)
        noise, unit = (torch.randn(z.shape, dtype=z.dtype, generator=generator) for _ in range(2))
        critic.train_step(z, conditions["critic"], None, generator)
        at = critic.samples(z, unit) if method is VSD else z
        z = z - rate * method.gradient(prior, at, t, {"noise": noise}, conditions, None, parameters, MethodState(critic=critic)).gradient
    return z if method is SDS else critic.samples(z, torch.randn(z.shape, dtype=z.dtype, generator=generator))


def start(count, spread, centre=(0.0, 0.0), seed=7):
    unit = torch.randn(count, 2, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.tensor(centre, dtype=torch.float64).view(1, 2, 1, 1) + spread * unit


def energy_distance(samples, prior, count=3000):
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| between the samples and a fresh sample of the target."""
    x, y = samples.flatten(1), prior.sample(count, generator=torch.Generator().manual_seed(99)).flatten(1)
    return float(2 * torch.cdist(x, y).mean() - torch.cdist(x, x).mean() - torch.cdist(y, y).mean())


def modes(samples, prior):
    """Fraction of the samples in each mode, and their mean spread inside the modes."""
    nearest = torch.cdist(samples.flatten(1), prior.means).argmin(1)
    fractions = torch.bincount(nearest, minlength=4).double() / len(samples)
    residual = samples.flatten(1) - torch.stack([samples.flatten(1)[nearest == k].mean(0) for k in range(4)]).nan_to_num()[nearest]
    return fractions, float(residual.square().mean().sqrt())


def test_vsd_with_the_exact_critic_recovers_every_mode_and_sds_does_not():
    prior, z = four_modes(), start(100, 1.5)
    vsd, sds = (descend(method, prior, z, 300, 1.0, BANDWIDTH) for method in (VSD, SDS))
    fractions, _ = modes(vsd, prior)
    assert (fractions - SHARES).abs().max() < 0.08, fractions
    assert (modes(sds, prior)[0] - SHARES).abs().max() > 0.08
    assert energy_distance(vsd, prior) < 0.02
    assert energy_distance(vsd, prior) < 0.05 * energy_distance(sds, prior)


@pytest.mark.long
def test_vsd_recovers_the_four_modes_at_full_size():
    # Reference runs (docs/methods.md, "Four modes"): fractions .39 .29 .20 .11, spread .398 and energy distance .0020; SDS: 1.093.
    prior, z = four_modes(), start(200, 1.5)
    vsd, sds = (descend(method, prior, z, 4000, 0.1, BANDWIDTH) for method in (VSD, SDS))
    fractions, spread = modes(vsd, prior)
    assert (fractions - SHARES).abs().max() < 0.03, fractions
    assert spread == pytest.approx(0.4, rel=0.1)
    assert energy_distance(vsd, prior) < 0.01
    assert energy_distance(sds, prior) > 0.8


@pytest.mark.long
def test_vsd_recovers_the_circles_at_full_size():
    # Measured there: inner fraction .40, radial error .164, energy distance .0013; SDS: 1.00, .708, .808.
    prior, z = circles(), start(240, 0.7, (0.8, 0.0))
    vsd, sds = (descend(method, prior, z, 4000, 0.1, 0.12) for method in (VSD, SDS))
    inner, error = [], []
    for samples in (vsd, sds):
        radius = samples.flatten(1).norm(dim=1)
        inner.append(float((radius < 1.75).double().mean()))
        error.append(float(torch.minimum((radius - 1).abs(), (radius - 2.5).abs()).mean()))
    assert inner[0] == pytest.approx(0.4, abs=0.04) and inner[1] > 0.98
    assert error[0] == pytest.approx(0.163, rel=0.15) and error[1] > 0.5
    assert energy_distance(vsd, prior) < 0.01
    assert energy_distance(sds, prior) > 0.6
