"""What a distillation gradient is: a pure function of prior, latents, noise level, draws, conditions, pose, parameters and state.

Sign: G is (prediction toward the target) minus (prediction of where we are) in eps space; descent is
theta <- theta - lr (dz/dtheta)^T G. Guidance: eps_u + g (eps_y - eps_u), everywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import msgspec
import torch
from torch import Tensor

from backend.priors.contract import Condition, Prior

Role = Literal["target", "null", "source", "negative", "critic", "away"]
"""What a text condition stands for.

target: the artist's prompt. null: the empty prompt. source: a description of where we are. negative: what to avoid. critic: the prompt
without view words, for a critic that knows the camera. away: two rows per view, (n1, n2) of the first view, then of the second, ...:
the views that Perp-Neg turns away from; the target is then the mixture that belongs to it.
"""


class Draw(NamedTuple):
    """One random tensor a method needs. The caller makes it, from a generator of this name, so methods stay pure and runs replay.

    `of` "object": one noise for the whole run, fixed to the object and seen from the step's views, white in each of them. From step to
    step it drifts, eb <- sqrt(1 - drift) eb + sqrt(drift) N(0, I).
    """

    name: str
    kind: Literal["normal", "uniform"] = "normal"
    shape: Literal["latent", "view"] = "latent"  # [B,C,H,W] like the latents, or [B]
    of: Literal["step", "object"] = "step"
    drift: float = 0.0


@dataclass(frozen=True)
class Pose:
    """Where the views were taken from; None fields mean "no camera"."""

    azimuth_deg: Tensor | None = None  # [B]
    elevation_deg: Tensor | None = None  # [B]
    camera_to_world: Tensor | None = None  # [B, 4, 4]


class Critic(Protocol):
    """The learned score of the current renders (VSD, ESD, weighted JSD). The all-zero pose means "no camera"."""

    rows: int
    """Denoiser rows of all `predict` calls so far, a host integer; training is not in it."""

    def predict(self, z_t: Tensor, t: Tensor, condition: Condition, poses: Sequence[Pose | None]) -> list[Tensor]:
        """eps_q [B,C,H,W] for each of the poses (None: no camera), no graph, from one call of len(poses) * B rows."""
        ...

    def train_step(self, latents: Tensor, condition: Condition, pose: Pose | None, generator: torch.Generator) -> Mapping[str, Tensor]:
        """One optimiser step on detached latents, with numbers from a host generator of its own; losses as device scalars by name."""
        ...

    def state(self) -> dict[str, Any]: ...

    def load_state(self, state: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class MethodState:
    """What a method may know about the run it is in."""

    step: int = 0  # within the stage
    steps: int = 1  # of the stage
    critic: Critic | None = None
    reference: Tensor | None = None  # [B,C,H,W] latents of what was given, from the same views (DDS)
    away_weights: Tensor | None = None  # [B,2] Perp-Neg weights of the "away" condition's rows


class Distilled(NamedTuple):
    """`gradient` plays the role of dL/dz: [B,C,H,W], float32, no graph. Diagnostics are device scalars by name.

    `clean`: the clean latents that this gradient pulls toward, where it has such (x0h), for a loss on pictures.
    """

    gradient: Tensor
    diagnostics: dict[str, Tensor]
    clean: Tensor | None = None


class Method(Protocol):
    """One score-distillation gradient. It does not sample, log, schedule, clip, encode or step."""

    name: ClassVar[str]
    title: ClassVar[str]  # for people: "Score distillation sampling (SDS)"
    source: ClassVar[str]  # paper and equation
    parameters: ClassVar[type[msgspec.Struct]]
    reduction: ClassVar[Literal["sum", "mean"]]  # over the elements of one latent; always the mean over views
    first_stage: ClassVar[str]  # method that must have run before ("sds" for Bridge), "" for none
    uses_guidance: ClassVar[bool]  # classifier-free guidance on null/target (Perp-Neg applies, as the setting `perp_neg`)
    uses_reference: ClassVar[bool]  # reads `MethodState.reference`
    gives_clean: ClassVar[bool]  # fills `Distilled.clean`, so that a loss on pictures is possible

    def roles(self, parameters: Any) -> tuple[Role, ...]:
        """Conditions the method reads, in the order in which it batches them."""
        ...

    def draws(self, parameters: Any) -> tuple[Draw, ...]: ...

    def uses_critic(self, parameters: Any) -> bool:
        """Whether `MethodState.critic` is read; the caller then trains it once a step, on the condition of role "critic"."""
        ...

    def rows(self, parameters: Any, t: int) -> int:
        """Denoiser rows per view at noise level t (an index), the critic's predictions included; asserted by the run and by tests."""
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


class BaseMethod:
    """What holds for most methods; a method states where it differs."""

    reduction: ClassVar[Literal["sum", "mean"]] = "sum"
    first_stage: ClassVar[str] = ""
    uses_guidance: ClassVar[bool] = False
    uses_reference: ClassVar[bool] = False
    gives_clean: ClassVar[bool] = False

    def uses_critic(self, parameters: Any) -> bool:
        return False


def rms(values: Tensor) -> Tensor:
    """Root of the mean square, a device scalar: for diagnostics."""
    return values.square().mean().sqrt()


def broadcast(values: Tensor, like: Tensor) -> Tensor:
    """[B] coefficients as [B,1,1,1] on the device and in the dtype of `like`."""
    return values.to(device=like.device, dtype=like.dtype).view(-1, *([1] * (like.dim() - 1)))


def add_noise(prior: Prior, latents: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """x_t = alpha_t z + sigma_t e, in the dtype of the latents."""
    alpha, sigma = prior.coefficients(t)
    return broadcast(alpha, latents) * latents + broadcast(sigma, latents) * noise


def kappa(prior: Prior, x_t: Tensor, latents: Tensor, t: Tensor) -> Tensor:
    """(x_t - alpha_t z) / sigma_t: the noise that leads from z to x_t."""
    alpha, sigma = (broadcast(value, latents) for value in prior.coefficients(t))
    return (x_t - alpha * latents) / sigma


def latent_loss(latents: Tensor, gradient: Tensor, reduction: str) -> Tensor:
    """Scalar whose derivative by `latents` is G / B (sum) or G / numel (mean)."""
    target = (latents - gradient).detach()
    error = 0.5 * (latents - target).square()
    return error.sum() / latents.shape[0] if reduction == "sum" else error.mean()
