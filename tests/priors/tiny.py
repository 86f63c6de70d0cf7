"""A complete Stable Diffusion folder of a few thousand random parameters, with sizes that no literal in the code would guess."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

WORDS = ("red", "blue", "mug", "view", "front", "side")
POSITIONS = 24
START, END = "<|startoftext|>", "<|endoftext|>"


def write_tiny_folder(
    folder: Path, *, prediction: str = "epsilon", tiny_autoencoder: bool = False, seed: int = 0, **scheduler: object
) -> Path:
    """Latents 6 x 8 x 8, pictures 16 px, scaling factor .7; the words of `WORDS` are one token each. `scheduler` overrides its settings."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tokenizer = _tokenizer(folder)
        unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=6,
            out_channels=6,
            block_out_channels=(8, 16),
            layers_per_block=1,
            cross_attention_dim=12,
            attention_head_dim=4,
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )
        # At initialisation the text hardly matters; here it should.
        for name, weight in unet.named_parameters():
            if "attn2" in name and weight.dim() > 1:
                weight.data *= 3.0
        if tiny_autoencoder:
            vae = AutoencoderTiny(
                latent_channels=6,
                encoder_block_out_channels=(8, 8),
                decoder_block_out_channels=(8, 8),
                num_encoder_blocks=(1, 1),
                num_decoder_blocks=(1, 1),
                scaling_factor=0.7,
            )
        else:
            vae = AutoencoderKL(
                latent_channels=6,
                block_out_channels=(8, 8),
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                norm_num_groups=4,
                sample_size=16,
                scaling_factor=0.7,
            )
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=12,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=POSITIONS,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        betas = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
        fixed = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, "prediction_type": prediction}
        StableDiffusionPipeline(
            unet=unet,
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            scheduler=DDIMScheduler(**{**betas, **fixed, **scheduler}),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(folder)
    return folder


def _tokenizer(folder: Path) -> CLIPTokenizer:
    """Single letters, and the merges that build `WORDS`."""
    letters = [chr(c) for c in range(33, 127)]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        pieces = [*word[:-1], word[-1] + "</w>"]
        while len(pieces) > 1:
            if (pieces[0], pieces[1]) not in merges:
                merges.append((pieces[0], pieces[1]))
            pieces[:2] = [pieces[0] + pieces[1]]
    symbols = dict.fromkeys([*letters, *(c + "</w>" for c in letters), *(a + b for a, b in merges), START, END])
    vocabulary = {symbol: i for i, symbol in enumerate(symbols)}
    (folder / "tokenizer").mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    return CLIPTokenizer(
        vocab=vocabulary, merges=merges, bos_token=START, eos_token=END, unk_token=END, pad_token=END, model_max_length=POSITIONS
    )
