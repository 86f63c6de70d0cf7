"""Several conditions through the denoiser in one call, and classifier-free guidance on top.

Row order: all rows of the first condition, then all rows of the second, and so on; with guidance the null condition comes first,
as in the diffusers pipelines.
"""

from collections.abc import Sequence

from torch import Tensor

from backend.priors.contract import Condition, Prior


def predict_each(prior: Prior, z_t: Tensor, t: Tensor, conditions: Sequence[Condition]) -> list[Tensor]:
    """One noise prediction [B,C,H,W] per condition, from a single denoiser call of len(conditions) * B rows.

    z_t [B,C,H,W], t [B] int64; a condition has one row per latent, or one for all.
    """
    count, batch = len(conditions), z_t.shape[0]
    if count == 1:
        return [prior.predict_noise(z_t, t, conditions[0].expand(batch))]
    rows = Condition.cat([condition.expand(batch) for condition in conditions])
    repeats = (count,) + (1,) * (z_t.dim() - 1)
    return list(prior.predict_noise(z_t.repeat(repeats), t.repeat(count), rows).chunk(count))


def guide(noise_null: Tensor, noise_target: Tensor, guidance: float) -> Tensor:
    """eps_u + g (eps_y - eps_u): g = 1 is the conditional prediction, g = 0 the unconditional one."""
    return noise_null + guidance * (noise_target - noise_null)


def guided(prior: Prior, z_t: Tensor, t: Tensor, target: Condition, null: Condition | None, guidance: float) -> Tensor:
    """The guided prediction [B,C,H,W]: one call of 2B rows (null, target), or of B rows when `guidance` is 1 and null is not needed."""
    if guidance == 1.0:
        return predict_each(prior, z_t, t, [target])[0]
    if null is None:
        raise ValueError(f"guidance {guidance} needs the null condition as well as the target")
    noise_null, noise_target = predict_each(prior, z_t, t, [null, target])
    return guide(noise_null, noise_target, guidance)
