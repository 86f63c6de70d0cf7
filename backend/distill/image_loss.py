"""A loss on pictures beside the one on latents, for detail that the encoder's gradient blurs (HiFA, arXiv 2305.18766)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.distill.contract import broadcast
from backend.priors.contract import Prior


def image_loss(picture: Tensor, clean: Tensor, prior: Prior, t: Tensor, weight: float) -> Tensor:
    """Scalar whose derivative by `picture` is weight alpha_t/sigma_t (x - Dec(x0h)) / B: the picture toward the decoded clean latents.

    picture [B,3,S,S]: display values with a graph, as they were encoded. clean [B,C,h,w]: `Distilled.clean`. t [B] int64 on the host.
    The decoder runs without a graph; a decoded picture of another size is resized to S. HiFA's public implementations
    write it as a loss on a shifted target, of the same derivative.
    """
    with torch.no_grad():
        target = prior.decode(clean).to(picture.dtype)
        size = picture.shape[-2:]
        if target.shape[-2:] != size:
            shrinks = target.shape[-2] > size[0] or target.shape[-1] > size[1]
            target = F.interpolate(target, size, mode="bilinear", align_corners=False, antialias=shrinks)
    alpha, sigma = (broadcast(value, picture) for value in prior.coefficients(t))
    return weight * (0.5 * (alpha / sigma) * (picture - target).square()).sum() / picture.shape[0]
