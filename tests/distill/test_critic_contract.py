"""What every `Critic` promises, asked of a reference with one weight: eps_q = a z_t, fitted by its own optimiser."""

import torch

from backend.distill.contract import Pose, add_noise
from backend.priors.contract import Condition
from backend.priors.mixture import GaussianMixturePrior


class OneWeightCritic:
    """The least critic there is; the optimal weight for latents of variance s^2 is sigma / (alpha^2 s^2 + sigma^2), here at t = 500."""

    def __init__(self, prior):
        self.prior = prior
        self.weight = torch.zeros((), dtype=torch.float64, requires_grad=True)
        self.optimiser = torch.optim.SGD([self.weight], lr=0.2)
        self.generator = torch.Generator().manual_seed(0)

    def predict(self, z_t, t, condition, pose):
        return (self.weight * z_t).detach()

    def train_step(self, latents, condition, pose):
        noise = torch.randn(latents.shape, generator=self.generator, dtype=latents.dtype)
        z_t = add_noise(self.prior, latents.detach(), torch.full((len(latents),), 500), noise)
        loss = (self.weight * z_t - noise).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"critic": loss.detach()}

    def rows(self):
        return 1

    def state(self):
        return {"weight": self.weight.detach().clone(), "generator": self.generator.get_state()}

    def load_state(self, state):
        with torch.no_grad():
            self.weight.copy_(state["weight"])
        self.generator.set_state(state["generator"])


def check_critic(critic, latents, condition):
    """Run by the test of every critic."""
    t, pose = torch.full((len(latents),), 500), Pose(azimuth_deg=torch.zeros(len(latents)))
    before = latents.clone()
    first = critic.predict(latents, t, condition, pose)
    assert first.shape == latents.shape and not first.requires_grad
    assert torch.equal(first, critic.predict(latents, t, condition, pose))
    assert critic.rows() >= 1
    losses = [float(critic.train_step(latents, condition, pose)["critic"]) for _ in range(30)]
    assert sum(losses[-5:]) < sum(losses[:5])
    assert torch.equal(latents, before) and latents.grad is None
    held = critic.state()
    ahead = [critic.train_step(latents, condition, None) for _ in range(3)][-1]["critic"]
    critic.load_state(held)
    assert torch.equal(ahead, [critic.train_step(latents, condition, None) for _ in range(3)][-1]["critic"])


def test_reference_critic_keeps_the_contract_and_finds_the_gaussian_score():
    prior = GaussianMixturePrior(torch.zeros(1, 4, dtype=torch.float64), torch.eye(4, dtype=torch.float64)[None] * 0.25)
    latents = prior.sample(4000, "", generator=torch.Generator().manual_seed(1))
    critic = OneWeightCritic(prior)
    check_critic(critic, latents, Condition(text=torch.zeros(1, 1, dtype=torch.int64)))
    for _ in range(60):
        critic.train_step(latents, None, None)
    alpha, sigma = (float(value) for value in prior.coefficients(torch.tensor([500])))
    assert abs(float(critic.weight.detach()) - sigma / (alpha**2 * 0.25 + sigma**2)) < 0.02
