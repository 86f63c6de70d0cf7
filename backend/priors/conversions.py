"""What a denoiser puts out, as a noise prediction, whichever way it was trained.

`alpha`, `sigma`: the coefficients of x_t = alpha z + sigma e, shaped to broadcast against `x_t`. Velocity as in Salimans and Ho
(arXiv 2202.00512, appendix D): v = alpha e - sigma z.
"""

from torch import Tensor

from backend.priors.layout import PARAMETRISATIONS


def noise_from(output: Tensor, parametrisation: str, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The noise prediction, from a network's output of any parametrisation. ValueError for a name that is not one."""
    if parametrisation == "epsilon":
        return output
    if parametrisation == "v_prediction":
        return alpha * output + sigma * x_t
    if parametrisation == "sample":
        return (x_t - alpha * output) / sigma
    raise ValueError(f"parametrisation must be one of {PARAMETRISATIONS}, got {parametrisation!r}")


def training_target(clean: Tensor, noise: Tensor, parametrisation: str, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What a network of this parametrisation should put out at x_t = alpha clean + sigma noise; exact also where alpha is 0."""
    if parametrisation == "epsilon":
        return noise
    if parametrisation == "v_prediction":
        return alpha * noise - sigma * clean
    if parametrisation == "sample":
        return clean
    raise ValueError(f"parametrisation must be one of {PARAMETRISATIONS}, got {parametrisation!r}")


def clean_from(noise: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x0h = (x_t - sigma eps) / alpha: the posterior mean of the clean latent (Tweedie)."""
    return (x_t - sigma * noise) / alpha
