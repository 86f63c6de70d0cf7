"""What every `Critic` promises, asked of a reference with one weight for each camera word: eps_q = a z_t, fitted by its own optimiser."""

import copy

import torch

from backend.distill.contract import Critic, Pose, add_noise
from backend.priors.mixture import GaussianMixturePrior


class OneWeightCritic:
    """The least critic there is: a weight for views with a camera, another for those without.

    The best weight for latents of variance s^2 is sigma / (alpha^2 s^2 + sigma^2), here at t = 500.
    """

    def __init__(self, prior):
        self.prior, self.rows = prior, 0
        self.weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        self.optimiser = torch.optim.SGD([self.weights], lr=0.2)

    def _weight(self, pose):
        return self.weights[0 if pose is None else 1]

    def predict(self, z_t, t, condition, poses):
        self.rows += len(poses) * len(z_t)
        return [(self._weight(pose) * z_t).detach() for pose in poses]

    def train_step(self, latents, condition, pose, generator):
        noise = torch.randn(latents.shape, generator=generator, dtype=latents.dtype)
        z_t = add_noise(self.prior, latents.detach(), torch.full((len(latents),), 500), noise)
        loss = (self._weight(pose) * z_t - noise).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"critic": loss.detach()}

    def state(self):
        return {"weights": self.weights.detach().clone()}

    def load_state(self, state):
        with torch.no_grad():
            self.weights.copy_(state["weights"])


def check_critic(critic: Critic, latents, condition, pose, *, learns=True, steps=30, fixed=(), atol=1e-6) -> None:
    """Run by the test of every critic.

    latents [B,C,H,W] are what it is fitted to; condition is that of role "critic", one row; pose has B views. `learns`: its losses fall
    over `steps`; False for critics that are exact after one. `fixed`: tensors that training must leave alone, such as the prior's weights.
    atol: of one call for several poses against a call for each.
    """
    batch = len(latents)
    t = torch.linspace(0, 999, batch).round().long()
    generator = torch.Generator().manual_seed(0)
    before = [value.detach().clone() for value in (latents, *fixed)]
    random_state = torch.random.get_rng_state()

    # Training: its numbers come from the generator alone; latents and prior are left alone; rows count predictions only.
    latents.requires_grad_()
    counted = critic.rows
    history = [critic.train_step(latents, condition, pose, generator) for _ in range(steps)]
    critic.train_step(latents, condition, None, generator)  # without a camera
    assert critic.rows == counted
    assert latents.grad is None, "training the critic reached the latents"
    latents.requires_grad_(False)
    for old, new in zip(before, (latents, *fixed), strict=True):
        assert torch.equal(old, new) and new.grad is None, "training the critic changed what is not its own"
    for losses in history:
        for name, value in losses.items():
            assert value.dim() == 0 and not value.requires_grad and value.isfinite(), name
    if learns:
        total = [float(sum(losses.values())) for losses in history]
        third = steps // 3
        assert sum(total[-third:]) < sum(total[:third])

    # Prediction: one answer a pose, counted, without a graph, repeatable, in the dtype of z_t.
    z_t = (0.7 * latents + 0.3).requires_grad_()
    several = critic.predict(z_t, t, condition, [None, pose])
    assert critic.rows == counted + 2 * batch
    for poses, expected in (([None], several[:1]), ([pose], several[1:]), ([pose, None], several[::-1])):
        again = critic.predict(z_t, t, condition, poses)
        for one, other in zip(again, expected, strict=True):
            torch.testing.assert_close(one, other, atol=atol, rtol=0)
    assert critic.rows == counted + 6 * batch
    for one in several:
        assert one.shape == z_t.shape and one.dtype == z_t.dtype and one.isfinite().all()
        assert not one.requires_grad and one.grad_fn is None
    for one, other in zip(several, critic.predict(z_t, t, condition, [None, pose]), strict=True):
        assert torch.equal(one, other)

    # What it learned from is not looked at again: latents that move in place do not move it.
    given = latents.clone()
    critic.train_step(given, condition, pose, generator)
    learned = critic.predict(z_t, t, condition, [None, pose])
    given += 1.0
    for one, other in zip(critic.predict(z_t, t, condition, [None, pose]), learned, strict=True):
        assert torch.equal(one, other)

    # The state is a copy, and with that of the generator it is all that training depends on: resuming repeats the run bit for bit.
    held = critic.state()
    kept, numbers = copy.deepcopy(held), generator.get_state()

    def go_on():
        out = [critic.train_step(0.9 * latents, condition, p, generator) for p in (pose, None, pose)]
        return out, critic.predict(z_t, t, condition, [None, pose])

    ahead = go_on()
    _same(held, kept)
    critic.load_state(held)
    for one, other in zip(critic.predict(z_t, t, condition, [None, pose]), learned, strict=True):
        assert torch.equal(one, other)
    generator.set_state(numbers)
    _same(ahead, go_on())
    _same(held, kept)  # nor does a critic that was loaded write into what it was loaded from
    assert torch.equal(random_state, torch.random.get_rng_state()), "the critic drew numbers from the global generator"


def _same(one, other):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            _same(one[key], other[key])
    elif isinstance(one, list | tuple):
        for left, right in zip(one, other, strict=True):
            _same(left, right)
    else:
        assert one == other


def test_reference_critic_keeps_the_contract_and_finds_the_gaussian_score():
    prior = GaussianMixturePrior(torch.zeros(1, 4, dtype=torch.float64), torch.eye(4, dtype=torch.float64)[None] * 0.25)
    latents = prior.sample(2000, "", generator=torch.Generator().manual_seed(1))
    critic, condition, pose = OneWeightCritic(prior), prior.embed([""]), Pose(azimuth_deg=torch.zeros(len(latents)))
    check_critic(critic, latents, condition, pose)
    generator = torch.Generator().manual_seed(2)
    for _ in range(60):
        critic.train_step(latents, condition, pose, generator)
    alpha, sigma = (float(value) for value in prior.coefficients(torch.tensor([500])))
    assert abs(float(critic.weights[1].detach()) - sigma / (alpha**2 * 0.25 + sigma**2)) < 0.02
    assert abs(float(critic.weights[0].detach())) < abs(float(critic.weights[1].detach()))  # it had few lessons without a camera
