"""Critics that need no training: exact scores of particles, for test beds.

They keep the `Critic` protocol. `train_step` takes the particles as they are now and draws nothing; `predict` counts rows as if a
network had been asked; the text is ignored. All compute in float64 and answer in the dtype of z_t.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from backend.distill.contract import Critic, Pose
from backend.priors.contract import Condition, Prior


class _OracleCritic:
    """What the oracles share: rows are counted, all poses get one answer, the state is what was fitted."""

    def __init__(self, prior: Prior) -> None:
        self.prior = prior  # for its noise schedule alone
        self.rows = 0
        self._fitted: dict[str, Tensor] = {}

    def predict(self, z_t: Tensor, t: Tensor, condition: Condition, poses: Sequence[Pose | None]) -> list[Tensor]:
        if not self._fitted:
            raise ValueError(f"{type(self).__name__} knows no particles yet: train_step gives it some")
        self.rows += len(poses) * z_t.shape[0]
        with torch.no_grad():
            alpha, sigma = (value.double().view(-1, 1) for value in self.prior.coefficients(t))
            noise = self._noise(z_t.double().flatten(1), alpha, sigma)
        return [noise.to(z_t.dtype).view_as(z_t)] * len(poses)

    def train_step(self, latents: Tensor, condition: Condition, pose: Pose | None, generator: torch.Generator) -> Mapping[str, Tensor]:
        self._fit(latents.detach().double().flatten(1))
        return {}

    def state(self) -> dict[str, Any]:
        return {name: value.clone() for name, value in self._fitted.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._fitted = {name: value.to(self.prior.device, copy=True) for name, value in state.items()}

    def _fit(self, particles: Tensor) -> None:  # [N, d] float64
        self._fitted = {"particles": particles.clone()}

    def _noise(self, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:  # [B, d], [B, 1], [B, 1] -> [B, d], all float64
        raise NotImplementedError


class DiracCritic(_OracleCritic):
    """Each row is its own distribution, one particle: e_q = (x_t - alpha z_i) / sigma, the noise that leads from z_i to x_t.

    Row i of `predict` is judged by row i of the latents of the last `train_step`. With a `bandwidth` h the particle is N(z_i, h^2 I) and
    e_q = sigma (x_t - alpha z_i) / (alpha^2 h^2 + sigma^2): what one component of `KDECritic` says alone.
    """

    def __init__(self, prior: Prior, bandwidth: float = 0.0) -> None:
        super().__init__(prior)
        self.bandwidth = bandwidth

    def _noise(self, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        particles = self._fitted["particles"]
        if len(x_t) != len(particles):
            raise ValueError(f"a critic of {len(particles)} single particles was asked about {len(x_t)} latents; expected as many")
        return sigma * (x_t - alpha * particles) / (alpha**2 * self.bandwidth**2 + sigma**2)


class GaussianCritic(_OracleCritic):
    """All rows are of one Gaussian N(m, S): e_q = sigma C^-1 (x_t - alpha m), C = alpha^2 S + sigma^2 I.

    m and S are the moments of the latents of the last `train_step` (S divided by their number), or what `fit_moments` was given.
    """

    def fit_moments(self, mean: Tensor, covariance: Tensor) -> None:
        """mean [d], covariance [d, d], symmetric, positive semi-definite: for a distribution known better than its particles tell."""
        # In the eigenbasis C is diagonal at every noise level.
        variances, basis = torch.linalg.eigh(covariance.double())
        self._fitted = {"mean": mean.double().clone(), "variances": variances.clamp_min(0.0), "basis": basis}

    def _fit(self, particles: Tensor) -> None:
        mean = particles.mean(0)
        centred = particles - mean
        self.fit_moments(mean, centred.mT @ centred / len(particles))

    def _noise(self, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        mean, variances, basis = (self._fitted[name] for name in ("mean", "variances", "basis"))
        along = (x_t - alpha * mean) @ basis
        return (sigma * along / (alpha**2 * variances + sigma**2)) @ basis.mT


class KDECritic(_OracleCritic):
    """All rows are of one kernel density estimate q = 1/N sum_j N(z_j, h^2 I), z_j the latents of the last `train_step`.

        e_q = sigma (x_t - alpha sum_j r_j z_j) / v,   r = softmax_j(-|x_t - alpha z_j|^2 / (2 v)),   v = alpha^2 h^2 + sigma^2

    The score is that of q, not of its bare centres: a method must be asked about samples of q, and its gradient there moves the centres,

        critic.train_step(z, ...);  samples = critic.samples(z, unit);  G = gradient(..., samples, ...);  z <- z - rate G

    with `unit` ~ N(0, I) drawn anew each step. In the mean over `unit` and the noise this descends KL(q_t || p_t) in the centres exactly.
    The result of a run is q: measure `samples`, whose spread inside a mode is the target's, and not the centres, which are narrower by h.
    """

    def __init__(self, prior: Prior, bandwidth: float) -> None:
        super().__init__(prior)
        self.bandwidth = bandwidth

    def samples(self, particles: Tensor, unit: Tensor) -> Tensor:
        """z_i + h xi_i: one sample of q per centre, in the dtype of `particles`; unit [B,C,H,W] standard normal."""
        return particles + self.bandwidth * unit

    def _noise(self, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        particles = self._fitted["particles"]  # [N, d]
        variance = alpha**2 * self.bandwidth**2 + sigma**2  # [B, 1]
        # -|x - alpha z_j|^2 / (2 variance) up to what is equal for all j; a product of matrices instead of [B, N, d] differences.
        logits = (alpha * (x_t @ particles.mT) - 0.5 * alpha**2 * particles.square().sum(1)) / variance  # [B, N]
        return sigma * (x_t - alpha * (logits.softmax(1) @ particles)) / variance


class MixedCritic:
    """One critic for predictions with a camera, another for those without, as ESD asks for them. Both are fitted to the same latents.

    The 2D Gaussian of ESD's Fig. 3 is `MixedCritic(DiracCritic(prior), GaussianCritic(prior))`: given the camera a render is one point.
    For particles it is `MixedCritic(DiracCritic(prior, h), KDECritic(prior, h))`, asked about the samples of its KDE: any `Pose` then means
    "this particle alone", and None means "all of them", so VSD without a pose and ESD at lambda = 1 both find the target. With a
    KDE for both, lambda has no effect.
    """

    def __init__(self, with_camera: Critic, without_camera: Critic) -> None:
        self.with_camera, self.without_camera = with_camera, without_camera
        self.rows = 0

    def predict(self, z_t: Tensor, t: Tensor, condition: Condition, poses: Sequence[Pose | None]) -> list[Tensor]:
        self.rows += len(poses) * z_t.shape[0]
        return [(self.without_camera if pose is None else self.with_camera).predict(z_t, t, condition, [pose])[0] for pose in poses]

    def train_step(self, latents: Tensor, condition: Condition, pose: Pose | None, generator: torch.Generator) -> Mapping[str, Tensor]:
        return {
            **self.with_camera.train_step(latents, condition, pose, generator),
            **self.without_camera.train_step(latents, condition, None, generator),
        }

    def state(self) -> dict[str, Any]:
        return {"with_camera": self.with_camera.state(), "without_camera": self.without_camera.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.with_camera.load_state(state["with_camera"])
        self.without_camera.load_state(state["without_camera"])
