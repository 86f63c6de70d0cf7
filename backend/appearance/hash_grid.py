"""The multiresolution hash grid in plain tensor code: the reference for any kernel version.

T. Mueller et al., "Instant neural graphics primitives", 2022: hash of equation 4, growth factor of equations 2 and 3.
"""

import torch
from torch import Tensor, nn

PRIMES = (1, 2654435761, 805459861)
_MASK_32 = 0xFFFFFFFF


def hash_index(corner: Tensor, size: int) -> Tensor:
    """[..., 3] int64 lattice corners -> [...] int64 table rows below `size`, a power of two.

    The products are taken in 64 bits and cut to 32, which equals unsigned 32-bit arithmetic exactly.
    """
    x, y, z = ((corner[..., k] * PRIMES[k]) & _MASK_32 for k in range(3))
    return (x ^ y ^ z) & (size - 1)


class HashGridField(nn.Module):
    """Linear colours at points of [-1, 1]^3; sharper and slower than `TriplaneField`, same interface.

    Level l has a lattice of side `coarsest * growth^l`; levels whose lattice fits into the table are stored densely, finer
    ones are hashed. A network with one hidden layer and a sigmoid decodes the concatenated features.
    """

    def __init__(
        self,
        levels: int = 8,
        log2_entries: int = 14,
        features: int = 2,
        coarsest: int = 8,
        finest: int = 256,
        hidden: int = 32,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        growth = (finest / coarsest) ** (1 / max(levels - 1, 1))
        self.sides = [round(coarsest * growth**level) for level in range(levels)]
        self.entries = 1 << log2_entries
        self.tables = nn.Parameter(2e-2 * torch.randn(levels, self.entries, features, generator=generator))
        self.hidden = nn.Parameter(torch.randn(hidden, levels * features, generator=generator) * (2 / (levels * features)) ** 0.5)
        self.hidden_bias = nn.Parameter(torch.zeros(hidden, 1))
        self.output = nn.Parameter(torch.randn(3, hidden, generator=generator) * hidden**-0.5)
        self.output_bias = nn.Parameter(torch.zeros(3, 1))

    def forward(self, points: Tensor) -> Tensor:
        """[P, 3] points in domain units -> [P, 3] linear colours in 0..1."""
        features = torch.cat([self._level(points, level) for level in range(len(self.sides))], -1)
        hidden = torch.relu(torch.addmm(self.hidden_bias, self.hidden, features.t()))
        return torch.addmm(self.output_bias, self.output, hidden).sigmoid().t().contiguous()

    def _level(self, points: Tensor, level: int) -> Tensor:
        side = self.sides[level]
        place = (points.clamp(-1, 1) * 0.5 + 0.5) * side
        low = place.detach().floor().clamp(max=side - 1)
        fraction = place - low
        offsets = torch.cartesian_prod(*[torch.arange(2, device=points.device)] * 3)  # [8, 3]
        corner = low.long()[:, None] + offsets
        if (side + 1) ** 3 <= self.entries:
            row = (corner[..., 0] * (side + 1) + corner[..., 1]) * (side + 1) + corner[..., 2]
        else:
            row = hash_index(corner, self.entries)
        weight = torch.where(offsets.bool(), fraction[:, None], 1 - fraction[:, None]).prod(-1)
        values = self.tables[level].index_select(0, row.view(-1)).view(*row.shape, self.tables.shape[-1])
        return (weight[..., None] * values).sum(1)

    def parameter_groups(self, encoding_rate: float = 1e-2, network_rate: float = 1e-3) -> list[dict]:
        """Optimiser groups, named `encoding` and `network`, with their learning rates."""
        network = [self.hidden, self.hidden_bias, self.output, self.output_bias]
        return [
            {"name": "encoding", "params": [self.tables], "lr": encoding_rate},
            {"name": "network", "params": network, "lr": network_rate},
        ]
