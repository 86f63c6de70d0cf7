"""A folder of captioned pictures as a prior: the exact posterior over them. What twenty concept pictures believe.

The data are the pictures z_i themselves, with weights pi_i(prompt). The best denoiser of such data is known (Karras et al.,
arXiv 2206.00364, appendix B.3, there with alpha = 1 and equal weights): the softmax-weighted mean

    x0h = sum_i w_i z_i        w = softmax_i( log pi_i(prompt) - |x_t - alpha z_i|^2 / (2 sigma^2) )

It is the mixture of `GaussianMixturePrior` with all covariances zero. One matrix product of B x N by 3 S^2 tells the distances and
another one makes the mean. Arithmetic is float64: near t = 0 the distances are divided by 2 sigma^2 = .0017.
"""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.priors.card import PriorCard
from backend.priors.closed_form import ClosedFormPrior
from backend.priors.contract import Condition
from backend.priors.exemplar_folder import card_of, read_exemplars, read_pixels
from backend.priors.exemplar_words import CaptionIndex
from backend.priors.sampling import Sampling

SIZE_PX = 64
SPREAD = 0.25  # display values that make one unit of latent


class ExemplarPrior(ClosedFormPrior):
    """The exact posterior over pictures. Latents are pixels, (rgb - the mean picture) / .25; `decode` is the inverse of `encode`.

    The mean picture is taken off because the noisiest level still holds alpha = .068 of the data: a sampler starts from noise without
    it, and where pictures have much in common it would nearly always fall to the same one.

    A prompt's condition is one row of log weights [N] over the pictures, float64, so that two prompts can be blended:

        log pi_i = word_nats * (words of the prompt that caption i has) - view_nats * [i is tagged with another view]  + constant

    The defaults are so large that no distance outweighs them: the pictures that share most words with the prompt count, among them
    those of the asked view, or of any view if there is none of it. Words that no caption has change nothing; the empty prompt
    weighs all pictures alike.

    Args:
        pixels: [N, 3, S, S] display values 0..1.
        captions, views: N each; a view is one of `backend.views.VIEW_WORDS`, or "" for a picture that may stand for any.
        parametrisation, abar: as in `ClosedFormPrior`.
    """

    # An exact prior is exact at the last level as well: the way ends without noise, on one picture.
    sampling = Sampling(spacing="trailing", offset=0, ends_clean=True)

    @staticmethod
    def load(folder: str | Path, device: torch.device | str = "cpu", *, size_px: int = SIZE_PX) -> "ExemplarPrior":
        """The pictures of a folder (layout and errors: `exemplar_folder`)."""
        exemplars = read_exemplars(folder)
        pixels = read_pixels(exemplars, size_px)
        captions, views = [one.caption for one in exemplars], [one.view for one in exemplars]
        card = card_of(Path(folder).expanduser().resolve().name, exemplars, pixels)
        return ExemplarPrior(torch.from_numpy(pixels), captions, views, card=card, device=device)

    def __init__(
        self,
        pixels: Tensor,
        captions: Sequence[str],
        views: Sequence[str] | None = None,
        *,
        word_nats: float = 1e6,
        view_nats: float = 1e5,
        parametrisation: str = "epsilon",
        abar: Tensor | None = None,
        card: PriorCard | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        views = [""] * len(captions) if views is None else list(views)
        if pixels.dim() != 4 or pixels.shape[1] != 3 or not len(pixels) == len(captions) == len(views):
            given = f"pixels {tuple(pixels.shape)}, {len(captions)} captions and {len(views)} views"
            raise ValueError(f"expected pixels [N, 3, S, S], N captions and N views, got {given}")
        shape = 3, int(pixels.shape[2]), int(pixels.shape[3])
        card = card or PriorCard(name="exemplars", target_suffix="", source_descriptors="", negative="")
        super().__init__(shape, shape[1], card, parametrisation=parametrisation, abar=abar, device=device)
        self.captions, self.views = tuple(captions), tuple(views)
        self.word_nats, self.view_nats = word_nats, view_nats
        self._index = CaptionIndex(captions, views)
        pixels = pixels.double().to(self.device)
        self.mean_picture = pixels.mean(0)  # [3, S, S] display values
        self.bank = ((pixels - self.mean_picture) / SPREAD).flatten(1)  # [N, 3 S^2]
        self._squares = self.bank.square().sum(1)  # [N]

    def network(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """The output of this parametrisation, [B,3,S,S] float64."""
        alpha, sigma = (value.view(-1, 1) for value in self.coefficients(t))
        share, x = self._posterior(z_t, t, condition)  # [B, N], [B, 3 S^2]
        clean = share @ self.bank
        if self.parametrisation != "sample":
            noise = (x - alpha * clean) / sigma
            clean = noise if self.parametrisation == "epsilon" else alpha * noise - sigma * clean
        return clean.view(-1, *self.latent_shape)

    def shares(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """How much each picture counts at z_t, [B, N] float64; rows sum to 1."""
        return self._posterior(z_t, t, condition)[0]

    def sample(self, count: int, prompt: str = "", *, generator: torch.Generator) -> Tensor:
        """Clean latents [count,3,S,S] float64, each one of the pictures; `generator` is a host generator."""
        share = self.embed([prompt]).text[0].exp().cpu()
        picked = torch.multinomial(share, count, replacement=True, generator=generator)
        return self.bank[picked.to(self.device)].view(count, *self.latent_shape)

    def encode(self, rgb: Tensor) -> Tensor:
        """As the contract says; a picture of another size is resized bilinearly, antialiased when it shrinks."""
        height, width = rgb.shape[-2:]
        size = self.latent_shape[1], self.latent_shape[2]
        if (height, width) != size:
            rgb = F.interpolate(rgb, size, mode="bilinear", align_corners=False, antialias=height > size[0] or width > size[1])
        return (rgb - self.mean_picture.to(rgb.dtype)) / SPREAD

    def decode(self, latents: Tensor) -> Tensor:
        return (latents.detach() * SPREAD + self.mean_picture.to(latents.dtype)).clamp(0.0, 1.0)

    def embed(self, prompts: Sequence[str]) -> Condition:
        """Log weights over the pictures, [B, N] float64; each row's exponentials sum to 1."""
        rows = []
        for prompt in prompts:
            nats = self.word_nats * self._index.shared(prompt) - self.view_nats * self._index.from_elsewhere(prompt)
            rows.append(torch.from_numpy(nats).log_softmax(0))
        return Condition(torch.stack(rows).to(self.device))

    def unknown_words(self, prompt: str) -> list[str]:
        """Words of the prompt that no caption has; articles, prepositions and the like are passed over."""
        return self._index.unknown(prompt)

    def fingerprint(self) -> str:
        """sha256 over pictures, captions, views and what else the posterior depends on."""
        digest = hashlib.sha256(repr((self.captions, self.views, self.latent_shape, self.parametrisation)).encode())
        digest.update(repr((self.word_nats, self.view_nats)).encode())
        for tensor in (self.bank, self.mean_picture, self.abar):
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _posterior(self, z_t: Tensor, t: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        joint, x = self._joint(z_t, t, condition)
        return joint.softmax(dim=1), x

    def _joint(self, z_t: Tensor, t: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """log(pi_i N(x; alpha z_i, sigma^2)) [B, N], and x as rows [B, 3 S^2] float64."""
        alpha, sigma = (value.view(-1, 1) for value in self.coefficients(t))
        x = z_t.double().flatten(1)
        # |x - alpha z|^2 multiplied out: the differences themselves would be B x N x 3 S^2 numbers.
        distance = x.square().sum(1, keepdim=True) - 2 * alpha * (x @ self.bank.T) + alpha**2 * self._squares
        log_density = -0.5 * (distance / sigma**2 + self.bank.shape[1] * (2 * math.pi * sigma**2).log())
        # A blend of two conditions is a set of weights up to a constant.
        return condition.text.log_softmax(dim=1) + log_density, x
