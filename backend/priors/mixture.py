"""A prior whose density is known: a Gaussian mixture with labels for prompts, exact scores, densities, samples and flows.

Data are d numbers laid out as latents (C, H, W), C*H*W = d; the encoder is the identity. With
p_t(x|y) = sum_k pi_k N(x; alpha mu_k, C_k), C_k = alpha^2 S_k + sigma^2 I, k over the components of label y, r_k the
responsibilities:

    eps = sigma sum_k r_k C_k^-1 (x - alpha mu_k)             x0h = sum_k r_k (mu_k + alpha S_k C_k^-1 (x - alpha mu_k))
"""

import hashlib
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from backend.errors import UserError
from backend.priors.card import PriorCard
from backend.priors.closed_form import ClosedFormPrior
from backend.priors.contract import Condition
from backend.priors.nodes import CLEAN
from protocol.strict import nearest


class GaussianMixturePrior(ClosedFormPrior):
    """Exact oracle behind the door of a denoiser, so that a method cannot tell it from a network.

    Args:
        means: [K, d].
        covariances: [K, d, d], symmetric, positive semi-definite (zero makes a point mass).
        labels: prompt -> the components it means. "" is the mixture over all unless given.
        weights: [K], any positive scale; equal by default.
        latent_shape: (C, H, W) with C*H*W = d; (d, 1, 1) by default.
        parametrisation: what the oracle "network" puts out; predictions are converted as a network's would be.
        abar: [T] cumulative products; Stable Diffusion's by default.
    """

    def __init__(
        self,
        means: Tensor,
        covariances: Tensor,
        labels: Mapping[str, Sequence[int]] | None = None,
        *,
        weights: Tensor | None = None,
        latent_shape: tuple[int, int, int] | None = None,
        parametrisation: str = "epsilon",
        abar: Tensor | None = None,
        card: PriorCard | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        count, d = means.shape
        shape = latent_shape or (d, 1, 1)
        if covariances.shape != (count, d, d) or math.prod(shape) != d:
            raise ValueError(f"means {tuple(means.shape)}, covariances {tuple(covariances.shape)} and latent shape {shape} do not agree")
        groups = {"": range(count), **(labels or {})}
        card = card or PriorCard(name="mixture", vocabulary=tuple(filter(None, groups)), target_suffix="", source_descriptors="")
        super().__init__(shape, shape[1], card, parametrisation=parametrisation, abar=abar, device=device)
        self.labels = tuple(groups)
        self._members = [tuple(members) for members in groups.values()]
        self.means = means.double().to(self.device)
        # In the eigenbasis C_k stays diagonal at every noise level, so nothing is factored or inverted during a run.
        variances, basis = torch.linalg.eigh(covariances.double())
        self.variances = variances.clamp_min(0.0).to(self.device)  # [K, d]
        self.basis = basis.to(self.device)  # [K, d, d], columns are eigenvectors
        log_weights = (torch.ones(count) if weights is None else weights).double().log()
        table = torch.full((len(groups), count), -math.inf, dtype=torch.float64)
        for row, members in enumerate(groups.values()):
            chosen = torch.tensor(list(members))
            table[row, chosen] = log_weights[chosen].log_softmax(0)
        self.log_weights = table.to(self.device)  # [labels, K], -inf outside the label

    def network(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """The output of this parametrisation, [B,C,H,W] float64: noise, velocity or clean latent, each from its own expression."""
        alpha, sigma = (value.view(-1, 1, 1) for value in self.coefficients(t))  # [B, 1, 1]
        responsibility, along = self._posterior(z_t, t, condition)  # [B, K], [B, K, d]
        variance = alpha**2 * self.variances + sigma**2  # [B, K, d], the diagonal of C_k
        whitened = along / variance  # C_k^-1 (x - alpha mu_k)
        if self.parametrisation == "epsilon":
            per_component = self._from_eigenbasis(sigma * whitened)
        else:
            per_component = self.means + self._from_eigenbasis(alpha * self.variances * whitened)
            if self.parametrisation == "v_prediction":  # alpha eps - sigma x0h
                per_component = alpha * self._from_eigenbasis(sigma * whitened) - sigma * per_component
        return (responsibility.unsqueeze(-1) * per_component).sum(1).view(-1, *self.latent_shape)

    def sample(self, count: int, prompt: str = "", *, generator: torch.Generator) -> Tensor:
        """Clean latents [count,C,H,W] float64 of that label; `generator` is a host generator."""
        share = self.log_weights[self.labels.index(prompt)].exp().cpu()
        component = torch.multinomial(share, count, replacement=True, generator=generator).to(self.device)
        unit = torch.randn(count, self.means.shape[1], dtype=torch.float64, generator=generator).to(self.device)
        scaled = unit * self.variances[component].sqrt()
        return (self.means[component] + torch.einsum("nij,nj->ni", self.basis[component], scaled)).view(count, *self.latent_shape)

    def flow(self, x: Tensor, start: int, end: int, prompt: str = "") -> Tensor:
        """Where the probability-flow ODE of a label with one component takes x [B,C,H,W] from one noise level to another, float64.

        Levels as in `nodes`, CLEAN included, in either order; from CLEAN no variance may be 0. Along each eigenvector, with
        D = alpha^2 s^2 + sigma^2, x_end = alpha_end mu + sqrt(D_end / D_start) (x - alpha_start mu).

        Errors: UserError for a label with several components, whose flow has no closed form.
        """
        members = self._members[self.labels.index(prompt)]
        if len(members) != 1:
            raise UserError(
                f"The flow of the label '{prompt}' has no closed form: it should be one Gaussian, but it is {len(members)}.",
                "Choose a label with one component.",
            )
        mean, variances, basis = (of[members[0]] for of in (self.means, self.variances, self.basis))
        before, after = (1.0 if level == CLEAN else float(self.abar_host[level]) for level in (start, end))
        along = (x.double().flatten(1) - math.sqrt(before) * mean) @ basis
        stretched = along * ((after * variances + 1.0 - after) / (before * variances + 1.0 - before)).sqrt()
        return (math.sqrt(after) * mean + stretched @ basis.mT).view_as(x)

    def encode(self, rgb: Tensor) -> Tensor:
        """The identity: pictures are latents here."""
        return rgb

    def decode(self, latents: Tensor) -> Tensor:
        return latents.detach().clamp(0.0, 1.0)

    def embed(self, prompts: Sequence[str]) -> Condition:
        """Labels [B, 1] int64. UserError for a prompt that is not a label, naming the nearest."""
        for prompt in prompts:
            if prompt not in self.labels:
                raise UserError(f"This mixture has no label '{prompt}'.", nearest(prompt, [label for label in self.labels if label]))
        index = torch.tensor([[self.labels.index(prompt)] for prompt in prompts], dtype=torch.int64)
        return Condition(index.to(self.device))

    def unknown_words(self, prompt: str) -> list[str]:
        return [] if prompt in self.labels else [prompt]

    def fingerprint(self) -> str:
        digest = hashlib.sha256(repr((self.labels, self.latent_shape, self.parametrisation)).encode())
        for tensor in (self.means, self.variances, self.basis, self.log_weights, self.abar):
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _joint(self, z_t: Tensor, t: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """log(pi_k N_k(x)) [B, K], and x - alpha mu_k in the eigenbasis of component k [B, K, d]."""
        alpha, sigma = (value.view(-1, 1, 1) for value in self.coefficients(t))
        offset = z_t.double().flatten(1).unsqueeze(1) - alpha * self.means
        along = torch.einsum("bki,kij->bkj", offset, self.basis)
        variance = alpha**2 * self.variances + sigma**2
        log_density = -0.5 * (along.square() / variance + variance.log() + math.log(2 * math.pi)).sum(-1)
        return self.log_weights.index_select(0, condition.text[:, 0]) + log_density, along

    def _posterior(self, z_t: Tensor, t: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        joint, along = self._joint(z_t, t, condition)
        return joint.softmax(dim=1), along

    def _from_eigenbasis(self, values: Tensor) -> Tensor:
        return torch.einsum("bkj,kij->bki", values, self.basis)
