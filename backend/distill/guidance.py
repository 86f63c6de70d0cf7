"""What the denoiser says to a method's texts: one call for all of them, classifier-free guidance and Perp-Neg on top.

Guidance is eps_u + g (eps_y - eps_u).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from backend.distill.contract import Role
from backend.distill.perp_neg import turned_away
from backend.priors.contract import Condition, Prior
from backend.priors.guidance import guide

__all__ = ["GuidedField", "guidance_roles", "guidance_rows", "guide", "inversion_field", "inversion_roles", "predict", "predict_states"]


def guidance_roles(guidance: float, perp_neg: bool) -> tuple[Role, ...]:
    """The texts a guided prediction needs; as many of them as it has denoiser rows, "away" counting twice."""
    if perp_neg:
        return ("null", "target", "away")
    return ("target",) if guidance == 1.0 else ("null", "target")


def guidance_rows(guidance: float, perp_neg: bool) -> int:
    """Denoiser rows of one guided prediction, per sample."""
    return len(guidance_roles(guidance, perp_neg)) + perp_neg


def predict(
    prior: Prior,
    x_t: Tensor,  # [b,C,H,W]
    t: Tensor,  # [b] int64 on the host
    conditions: Mapping[str, Condition],
    roles: Sequence[Role],
    *,
    away_weights: Tensor | None = None,  # [B,2]
    which: Tensor | None = None,  # [b] int64 on the host: the views of the batch that x_t holds; None: all
    only: Mapping[Role, Tensor] | None = None,  # [n] int64 on the host: the rows of x_t that a role is asked about; not for "away"
) -> dict[Role, Tensor]:
    """Noise predictions [b,C,H,W] by role ([n,C,H,W] for those in `only`), from one denoiser call, in the order of `roles`.

    With "away" among the roles the target's prediction is the one that Perp-Neg turns away from the other views, and away has none of its
    own: every formula with e_null and e_target then holds as it is written.
    """
    asked = _asked(x_t, t, conditions, roles, which, only)
    (parts,) = _answers(prior, [asked])
    return _turned(dict(zip(roles, parts, strict=True)), away_weights, which)


def predict_states(
    prior: Prior,
    states: Sequence[tuple[Tensor, Sequence[Role]]],  # (x_t [b,C,H,W], what to ask there)
    t: Tensor,  # [b] int64 on the host
    conditions: Mapping[str, Condition],
    *,
    away_weights: Tensor | None = None,  # [B,2]
    which: Tensor | None = None,  # [b] int64 on the host
) -> list[dict[Role, Tensor]]:
    """What `predict` says at several states of the same views at the same noise levels, from one denoiser call for all of them."""
    answers = _answers(prior, [_asked(x_t, t, conditions, roles, which) for x_t, roles in states])
    said = (dict(zip(roles, parts, strict=True)) for (_, roles), parts in zip(states, answers, strict=True))
    return [_turned(each, away_weights, which) for each in said]


@dataclass(frozen=True)
class GuidedField:
    """eps_g(x, t) of the batch's views, as the solvers ask for it. At g = 1 without Perp-Neg only the target is asked."""

    prior: Prior
    conditions: Mapping[str, Condition]
    guidance: float
    perp_neg: bool = False
    away_weights: Tensor | None = None

    def __call__(self, x: Tensor, t: Tensor, which: Tensor | None = None) -> Tensor:
        roles = guidance_roles(self.guidance, self.perp_neg)
        said = predict(self.prior, x, t, self.conditions, roles, away_weights=self.away_weights, which=which)
        return guide(said["null"], said["target"], self.guidance) if "null" in said else said["target"]


def inversion_roles(guidance: float) -> tuple[Role, ...]:
    """The texts of a guided prediction without Perp-Neg, as many as it has rows: at g = 0 the null text alone, at g = 1 the target's."""
    return ("null",) if guidance == 0.0 else guidance_roles(guidance, perp_neg=False)


def inversion_field(prior: Prior, conditions: Mapping[str, Condition], guidance: float) -> GuidedField:
    """eps_g(x, t) on the way to the noise, of the texts `inversion_roles`."""
    if guidance == 0.0:
        return GuidedField(prior, {"target": conditions["null"]}, 1.0)
    return GuidedField(prior, conditions, guidance)


class _Asked(NamedTuple):
    """One list entry per role."""

    latents: list[Tensor]
    levels: list[Tensor]
    texts: list[Condition]


def _asked(
    x_t: Tensor,
    t: Tensor,
    conditions: Mapping[str, Condition],
    roles: Sequence[Role],
    which: Tensor | None,
    only: Mapping[Role, Tensor] | None = None,
) -> _Asked:
    asked = _Asked([], [], [])
    for role in roles:
        each = 2 if role == "away" else 1
        x, level, views = x_t, t, which
        if only is not None and role in only:
            some = only[role]
            x, level = x_t.index_select(0, some.to(x_t.device, non_blocking=True)), t[some]
            views = some if which is None else which[some]
        asked.latents.append(x.repeat_interleave(each, 0))  # per-sample order
        asked.levels.append(level.repeat_interleave(each))
        asked.texts.append(_of_views(conditions[role], views, len(x), each))
    return asked


def _answers(prior: Prior, asked: Sequence[_Asked]) -> list[list[Tensor]]:
    """The denoiser's answers, grouped as they were asked."""
    latents = [value for each in asked for value in each.latents]
    levels = [value for each in asked for value in each.levels]
    texts = [value for each in asked for value in each.texts]
    joined = torch.cat(latents) if len(latents) > 1 else latents[0]
    noise = prior.predict_noise(joined, torch.cat(levels), Condition.cat(texts) if len(texts) > 1 else texts[0])
    parts = iter(noise.split([len(latent) for latent in latents]))
    return [[next(parts) for _ in each.latents] for each in asked]


def _turned(said: dict[Role, Tensor], away_weights: Tensor | None, which: Tensor | None) -> dict[Role, Tensor]:
    """Perp-Neg in place of the target's prediction, where "away" was asked."""
    away = said.pop("away", None)
    if away is not None:
        if away_weights is None:
            raise ValueError("Perp-Neg needs the weights of the views it turns away from")
        weights = away_weights.to(away.device, non_blocking=True)
        if which is not None:
            weights = weights.index_select(0, which.to(away.device, non_blocking=True))
        said["target"] = turned_away(said["null"], said["target"], away.unflatten(0, (len(weights), 2)), weights)
    return said


def _of_views(condition: Condition, which: Tensor | None, batch: int, each: int) -> Condition:
    """The condition's rows for the wanted views, `each` per view; `each` rows alone stand for every view."""
    if len(condition) == each:
        return condition.map(lambda value: value.repeat(batch, *([1] * (value.dim() - 1))))
    if which is not None:
        rows = (which[:, None] * each + torch.arange(each)).flatten()
        condition = condition.rows(rows.to(condition.text.device, non_blocking=True))
    return condition
