"""A colour field that starts as the sketch's own colours."""

import torch
from torch import Tensor, nn

from backend.colour import linear_to_srgb


def fit_start_colours(
    field: nn.Module,
    points: Tensor,  # [N, 3] domain units, on the sketch's surface
    colours: Tensor,  # [N, 3] linear
    steps: int = 100,
    *,
    rate: float = 0.1,
    batch: int = 8192,
    generator: torch.Generator | None = None,
) -> float:
    """Fit the field to given colours and return the remaining error, root mean square in display values.

    The error is measured where people look, in display values; the optimiser is the fit's own and is thrown away. Each step
    takes at most `batch` of the points, drawn with `generator`. No points leave the field as it is.
    """
    if not len(points):
        return 0.0
    groups = [{"params": group["params"], "lr": rate if group["name"] == "encoding" else rate / 3} for group in field.parameter_groups()]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15)
    target = linear_to_srgb(colours.detach())
    for step in range(steps):
        for group, start in zip(optimiser.param_groups, groups, strict=True):
            group["lr"] = start["lr"] * (1 - 0.9 * step / steps)
        if len(points) > batch:
            chosen = torch.randint(len(points), (batch,), generator=generator, device="cpu").to(points.device)
            where, wanted = points[chosen], target[chosen]
        else:
            where, wanted = points, target
        optimiser.zero_grad(set_to_none=True)
        (linear_to_srgb(field(where)) - wanted).square().mean().backward()
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    with torch.no_grad():
        return (linear_to_srgb(field(points)) - target).square().mean().sqrt().item()
