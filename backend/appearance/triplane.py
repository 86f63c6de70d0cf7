"""The triplane colour field: three feature planes and a small network."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class TriplaneField(nn.Module):
    """Linear colours at points of [-1, 1]^3 from three axis-aligned feature planes (E. Chan et al., "EG3D", 2022, section 3.1).

    The plane features are concatenated and decoded by a network with one hidden layer and a sigmoid. Points outside the
    domain take the border's features. The network works on columns (features x points): on the CPU that keeps the long axis
    contiguous through sampling, products and their gradients.
    """

    def __init__(self, resolution: int = 64, channels: int = 12, hidden: int = 32, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.planes = nn.Parameter(0.1 * torch.randn(3, channels, resolution, resolution, generator=generator))
        self.hidden = nn.Parameter(torch.randn(hidden, 3 * channels, generator=generator) * (2 / (3 * channels)) ** 0.5)
        self.hidden_bias = nn.Parameter(torch.zeros(hidden, 1))
        self.output = nn.Parameter(torch.randn(3, hidden, generator=generator) * hidden**-0.5)
        self.output_bias = nn.Parameter(torch.zeros(3, 1))

    def forward(self, points: Tensor) -> Tensor:
        """[P, 3] points in domain units -> [P, 3] linear colours in 0..1."""
        x, y, z = points.unbind(-1)
        where = torch.stack((torch.stack((x, y), -1), torch.stack((x, z), -1), torch.stack((y, z), -1)))[:, None]
        sampled = functional.grid_sample(self.planes, where, mode="bilinear", padding_mode="border", align_corners=True)
        features = sampled.view(self.hidden.shape[1], len(points))
        hidden = torch.relu(torch.addmm(self.hidden_bias, self.hidden, features))
        return torch.addmm(self.output_bias, self.output, hidden).sigmoid().t().contiguous()

    def parameter_groups(self, encoding_rate: float = 1e-2, network_rate: float = 1e-3) -> list[dict]:
        """Optimiser groups, named `encoding` and `network`, with their learning rates."""
        network = [self.hidden, self.hidden_bias, self.output, self.output_bias]
        return [
            {"name": "encoding", "params": [self.planes], "lr": encoding_rate},
            {"name": "network", "params": network, "lr": network_rate},
        ]
