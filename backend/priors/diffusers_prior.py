"""Stable-Diffusion-like models as `Prior`: a UNet, an image autoencoder, a CLIP text encoder, read from a folder or the hub.

Every size comes from the folder's configurations. Networks run in bf16 on CUDA and fp32 elsewhere; coefficients, conversions and
what is returned are fp32. A step through here reads nothing back from the device.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.errors import ResourceError
from backend.priors.card import PriorCard, read_card
from backend.priors.contract import Condition
from backend.priors.conversions import noise_from
from backend.priors.loading import Networks, fingerprint, load_networks
from backend.priors.sampling import Sampling

EMBEDDINGS_KEPT = 512
LEAST_ABAR = 2.0**-24


class DiffusersPrior:
    """A frozen text-to-image diffusion model. `unet`, `vae`, `text_encoder` and `tokenizer` are the libraries' own objects."""

    @staticmethod
    def load(source: str | Path, device: torch.device | str = "cpu", *, dtype: torch.dtype | None = None) -> "DiffusersPrior":
        """The model in a folder, or of a hub id ("owner/name"). A folder is read without any network access.

        dtype: of the networks; bf16 on CUDA and fp32 elsewhere by default.
        Errors: UserError for a missing folder, an unknown id or another layout; ResourceError for damaged weights, a device that is
        not there, or a hub that cannot be reached.
        """
        device = torch.device(device)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise ResourceError("There is no CUDA device for the prior.", "Run on the CPU, or check the driver.")
        folder = Path(source)
        if not folder.is_dir() and not folder.is_absolute() and len(folder.parts) == 2 and folder.parts[0] not in ("..", "~"):
            from backend.priors.hub import fetch  # the only import that can lead to a connection

            folder = fetch(str(source))
        dtype = dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)
        return DiffusersPrior(load_networks(folder, device, dtype), read_card(folder), device, dtype)

    def __init__(self, networks: Networks, card: PriorCard, device: torch.device, dtype: torch.dtype) -> None:
        self.card = card
        self.device = device
        self.dtype = dtype
        self.unet, self.vae = networks.unet, networks.vae
        self.text_encoder, self.tokenizer = networks.text_encoder, networks.tokenizer
        self._files = networks.files
        vae, size = self.vae.config, self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        self.latent_shape: tuple[int, int, int] = (self.unet.config.in_channels, height, width)
        self.image_size_px: int = height * 2 ** (len(vae.block_out_channels) - 1)
        size_px = (self.image_size_px, self.image_size_px * width // height)
        self._time_ids = torch.tensor([[*size_px, 0, 0, *size_px]], device=device)
        self._scale, self._shift = vae.scaling_factor, getattr(vae, "shift_factor", None) or 0.0
        self._positions = min(self.tokenizer.model_max_length, self.text_encoder.config.max_position_embeddings)
        scheduler = networks.scheduler
        self.parametrisation: str = scheduler.config.prediction_type
        self.timesteps: int = len(scheduler.alphas_cumprod)
        # A schedule that ends without any signal (zero terminal SNR) keeps a trace: clean latents are found by dividing by alpha.
        self.abar_host = abar = scheduler.alphas_cumprod.double().clamp_min(LEAST_ABAR)
        self._alpha, self._sigma = abar.sqrt().float().to(device), (1.0 - abar).sqrt().float().to(device)
        # The diffusers pipeline sets steps_offset to 1 whatever the file says; its pictures are the reference.
        self.sampling = Sampling(spacing=scheduler.config.timestep_spacing, offset=1, ends_clean=scheduler.config.set_alpha_to_one)
        self._embedded: OrderedDict[str, Condition] = OrderedDict()

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        index = t.to(self.device, non_blocking=True)
        return self._alpha.index_select(0, index), self._sigma.index_select(0, index)

    def predict_noise(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        with torch.no_grad():
            index = t.to(self.device, non_blocking=True)
            output = self.network_output(z_t, index, condition)
            alpha, sigma = (value.view(-1, 1, 1, 1) for value in self.coefficients(index))
            return noise_from(output, self.parametrisation, z_t.float(), alpha, sigma).to(z_t.dtype)

    def network_output(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """What the denoiser itself says [B,C,H,W], float32, in its own parametrisation; with a graph where one is recorded."""
        more = {}
        if self.unet.config.addition_embed_type == "text_time":  # the SDXL shape: a pooled text, and the picture's size, crop and target
            more["added_cond_kwargs"] = {
                "text_embeds": condition.pooled.to(self.dtype),
                "time_ids": self._time_ids.expand(z_t.shape[0], -1),
            }
        index = t.to(self.device, non_blocking=True)
        return self.unet(z_t.to(self.dtype), index, encoder_hidden_states=condition.text.to(self.dtype), **more).sample.float()

    def encode(self, rgb: Tensor) -> Tensor:
        """As the contract says; a picture of another size is resized bilinearly, antialiased when it shrinks."""
        height, width = rgb.shape[-2:]
        size = self.image_size_px, self.image_size_px * self.latent_shape[2] // self.latent_shape[1]
        if (height, width) != size:
            rgb = F.interpolate(rgb, size, mode="bilinear", align_corners=False, antialias=height > size[0] or width > size[1])
        coded = self.vae.encode((2.0 * rgb - 1.0).to(self.dtype))
        latents = coded.latents if hasattr(coded, "latents") else coded.latent_dist.mean  # AutoencoderTiny has no posterior
        return (latents.to(torch.promote_types(latents.dtype, torch.float32)) - self._shift) * self._scale

    def decode(self, latents: Tensor) -> Tensor:
        with torch.no_grad():
            picture = self.vae.decode((latents / self._scale + self._shift).to(self.dtype)).sample
            return (picture.float() / 2 + 0.5).clamp(0.0, 1.0)

    def embed(self, prompts: Sequence[str]) -> Condition:
        """Last hidden states [B, positions, width]. A prompt that is too long is cut (`dropped_words`).

        Prompts are encoded one by one and kept (the latest 512), so a prompt's embedding does not depend on its company.
        """
        for prompt in dict.fromkeys(prompts):
            if prompt not in self._embedded:
                self._embedded[prompt] = self._encode_text(prompt)
            self._embedded.move_to_end(prompt)
        rows = Condition.cat([self._embedded[prompt] for prompt in prompts])
        while len(self._embedded) > EMBEDDINGS_KEPT:
            self._embedded.popitem(last=False)
        return rows

    def unknown_words(self, prompt: str) -> list[str]:
        """Words of the prompt that the card's vocabulary does not have; none if it is open. The denoiser was taught nothing about them."""
        known = {word for entry in self.card.vocabulary for word in entry.lower().split()}
        return [word for word in dict.fromkeys(re.findall(r"[\w'-]+", prompt.lower())) if known and word not in known]

    def dropped_words(self, prompt: str) -> list[str]:
        """The words at the end of a prompt that do not fit into the text encoder's positions."""
        tokens = self.tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        room = self._positions - 2  # start and end tokens
        if len(tokens.input_ids) <= room:
            return []
        cut = tokens.offset_mapping[room][0]
        while cut > 0 and not prompt[cut - 1].isspace():
            cut -= 1
        return prompt[cut:].split()

    def fingerprint(self) -> str:
        """sha256 over the three networks' safetensors files."""
        return fingerprint(self._files)

    def _encode_text(self, prompt: str) -> Condition:
        whole = {"padding": "max_length", "max_length": self._positions, "truncation": True}
        tokens = self.tokenizer(prompt, **whole, return_tensors="pt", verbose=False)
        mask = tokens.attention_mask.to(self.device) if getattr(self.text_encoder.config, "use_attention_mask", False) else None
        with torch.no_grad():
            return Condition(self.text_encoder(tokens.input_ids.to(self.device), attention_mask=mask).last_hidden_state)
