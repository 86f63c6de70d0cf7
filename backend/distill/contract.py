"""What a distillation gradient is: a pure function of prior, latents, noise level, draws, conditions, pose, parameters and state.

Sign (gradients.md 1.6): G is (prediction toward the target) minus (prediction of where we are) in eps space; descent is
theta <- theta - lr (dz/dtheta)^T G. Guidance (1.3): eps_u + g (eps_y - eps_u), everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import msgspec
from torch import Tensor

from backend.priors.contract import Condition, Prior

Role = Literal["target", "null", "source", "negative"]
"""What a text condition stands for: the artist's prompt, the empty prompt, a description of where we are, what to avoid."""


class Draw(NamedTuple):
    """One random tensor a method needs. The caller makes it, from a generator of this name, so methods stay pure and runs replay."""

    name: str
    kind: Literal["normal", "uniform"] = "normal"
    shape: Literal["latent", "view"] = "latent"  # [B,C,H,W] like the latents, or [B]


@dataclass(frozen=True)
class Pose:
    """Where the views were taken from; None fields mean "no camera"."""

    azimuth_deg: Tensor | None = None  # [B]
    elevation_deg: Tensor | None = None  # [B]
    camera_to_world: Tensor | None = None  # [B, 4, 4]


class Critic(Protocol):
    """The learned score of the current renders (VSD, ESD, weighted JSD). The all-zero pose means "no camera"."""

    def predict(self, z_t: Tensor, t: Tensor, condition: Condition, pose: Pose | None) -> Tensor:
        """eps_q [B,C,H,W], no graph."""
        ...

    def train_step(self, latents: Tensor, condition: Condition, pose: Pose | None) -> Mapping[str, Tensor]:
        """One optimiser step on detached latents with the critic's own generator; returns losses as device scalars."""
        ...

    def rows(self) -> int:
        """Denoiser rows per latent of one `predict` call."""
        ...

    def state(self) -> dict[str, Any]: ...

    def load_state(self, state: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class MethodState:
    """What a method may know about the run it is in."""

    step: int = 0  # within the stage
    steps: int = 1  # of the stage
    critic: Critic | None = None
    reference: Tensor | None = None  # [B,C,H,W] frozen latents (DDS, editing)
    noise: Tensor | None = None  # [B,C,H,W] the object's own noise (CFD)


class Distilled(NamedTuple):
    """`gradient` plays the role of dL/dz: [B,C,H,W], float32, no graph. Diagnostics are device scalars by name."""

    gradient: Tensor
    diagnostics: dict[str, Tensor]


class Method(Protocol):
    """One score-distillation gradient. It does not sample, log, schedule, clip, encode or step."""

    name: ClassVar[str]
    title: ClassVar[str]  # for people: "Score distillation sampling (SDS)"
    source: ClassVar[str]  # paper and equation
    parameters: ClassVar[type[msgspec.Struct]]
    reduction: ClassVar[Literal["sum", "mean"]]  # over the elements of one latent; always the mean over views
    first_stage: ClassVar[str]  # method that must have run before ("sds" for Bridge), "" for none
    uses_guidance: ClassVar[bool]  # classifier-free guidance on null/target (Perp-Neg applies)

    def roles(self, parameters: Any) -> tuple[Role, ...]:
        """Conditions the method reads, in the order in which it batches them."""
        ...

    def draws(self, parameters: Any) -> tuple[Draw, ...]: ...

    def rows(self, parameters: Any, t: int) -> int:
        """Denoiser rows per view at noise level t (an index); asserted by the run and by tests."""
        ...

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,  # [B,C,H,W] scaled latents, float32; the method detaches
        t: Tensor,  # [B] int64 on the host, so that nothing has to be read back from the device
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],  # by role, one row per view (or one for all)
        pose: Pose | None,
        parameters: Any,
        state: MethodState,
    ) -> Distilled: ...


def broadcast(values: Tensor, like: Tensor) -> Tensor:
    """[B] coefficients as [B,1,1,1] on the device and in the dtype of `like`."""
    return values.to(device=like.device, dtype=like.dtype).view(-1, *([1] * (like.dim() - 1)))


def add_noise(prior: Prior, latents: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """x_t = alpha_t z + sigma_t e, in the dtype of the latents (gradients.md 1.1)."""
    alpha, sigma = prior.coefficients(t)
    return broadcast(alpha, latents) * latents + broadcast(sigma, latents) * noise


def latent_loss(latents: Tensor, gradient: Tensor, reduction: str) -> Tensor:
    """Scalar whose derivative by `latents` is G / B (sum) or G / numel (mean) (gradients.md 1.5)."""
    target = (latents - gradient).detach()
    error = 0.5 * (latents - target).square()
    return error.sum() / latents.shape[0] if reduction == "sum" else error.mean()
