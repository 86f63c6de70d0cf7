"""The machine-readable model card that lies beside a prior's weights as `sketchbridge.json`.

Guidance, k, rates, words, cameras and lights that suit a prior are read from here, never hard-coded in a method or a run.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from protocol.errors import ResourceError
from protocol.strict import decode_json

CARD_FILE = "sketchbridge.json"


class CameraCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Viewpoints the prior was trained on. Degrees; shares in 0..1; `fill` is the bounding sphere's share of the frame's half-side."""

    elevation_deg: tuple[float, float] = (-10.0, 45.0)
    low_elevation_deg: tuple[float, float] = (-45.0, -10.0)
    high_elevation_deg: tuple[float, float] = (60.0, 85.0)
    low_share: float = 0.1
    high_share: float = 0.1
    fov_deg: tuple[float, float] = (25.0, 45.0)
    fill: tuple[float, float] = (0.65, 0.95)


class LightCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Lights the prior was trained on. `key_within_deg` is the largest angle between key light and camera."""

    ambient: tuple[float, float] = (0.3, 0.7)
    key: tuple[float, float] = (0.4, 1.0)
    key_within_deg: float = 60.0
    albedo_share: float = 0.15
    clay_share: float = 0.15


class BackgroundCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Shares of white, grey and random flat backgrounds; the rest up to 1 is random colours. `white` etc. are display values."""

    white_share: float = 0.25
    grey_share: float = 0.25
    grey: tuple[float, float] = (0.4, 0.6)


class PriorCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a prior knows and how to use it. An empty `vocabulary` means an open one."""

    name: str = "unnamed"
    licence: str = "unknown"
    vocabulary: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    example_prompts: tuple[str, ...] = ()
    view_words: tuple[str, ...] = ("front view", "side view", "back view", "overhead view")
    front_within_deg: float = 45.0
    overhead_above_deg: float = 60.0
    clay_word: str = ""  # adjective of a textureless render ("clay"); empty: the prior knows none, keep the prompt
    target_suffix: str = ", detailed high resolution, high quality, sharp"
    source_descriptors: str = ", oversaturated, smooth, pixelated, cartoon, foggy, hazy, blurry, bad structure, noisy, malformed"
    negative: str = "unrealistic, blurry, low quality, out of focus, ugly, low contrast, dull, dark, low-resolution, gloomy"
    domain_words: tuple[str, ...] = ("painting",)
    sds_guidance: float = 100.0  # g of eps_u + g (eps_y - eps_u)
    texture_guidance: float = 50.0
    guidance: float = 7.5  # of the prior's own sampler, and of methods that use it as a sampler does (VSD, PFD, ...)
    sdi_guidance: float = 8.5
    sdi_inversion_guidance: float = -6.5  # on the way to the noise: 8.5 mirrored at the conditional prediction, g = 1, is 2 - 8.5
    jsd_guidance: float = 13.5  # of the form two_target; the weighted forms take `guidance`
    jsd_inversion_guidance: float = -13.5
    bridge_k: float = 1.0
    bridge_rate_scale: float = 1.0  # learning rates of a Bridge stage relative to the SDS stage before it
    bridge_share: float = 0.8  # of a picture's steps, after SDS (arXiv 2406.09417, A: 2000 of 2500); `compare`, experiments only
    colour_rate: float = 1.0  # factor on the colour rates of the presets
    geometry_rate: float = 1.0  # factor on the shape's rates of the presets
    picture_rate: float = 0.01  # Adam's rate on the latents of a single picture, for a run of 500 steps
    critic_rate: float = 1e-4  # of a critic's low-rank adapter (VSD, ESD, JSD)
    camera: CameraCard = CameraCard()
    light: LightCard = LightCard()
    background: BackgroundCard = BackgroundCard()
    notes: str = ""

    def known(self, kind: Literal["nouns", "colours", "patterns"], words: Iterable[str]) -> tuple[str, ...]:
        """Those of `words` that the card lists under `kind`, or else in its vocabulary; all of them where that is open."""
        listed = {part for entry in (getattr(self, kind) or self.vocabulary) for part in entry.lower().split()}
        return tuple(word for word in words if not listed or word in listed)


def read_card(folder: str | Path) -> PriorCard:
    """The card beside the weights in `folder`; a folder without one gets the defaults, under its own name.

    Errors: UserError for text that is not JSON, a wrong type, or an unknown key (with the nearest known one); ResourceError if
    the file is there and cannot be read.
    """
    path = Path(folder) / CARD_FILE
    if not path.exists():
        return PriorCard(name=Path(folder).name or "unnamed")
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ResourceError(f"The model card {path} could not be read: {error.strerror}.", "Check its permissions.") from error
    return decode_json(text, PriorCard, f"The model card {path}")


def write_card(folder: str | Path, card: PriorCard) -> Path:
    """Writes the card, every field spelled out, and returns the file's path."""
    path = Path(folder) / CARD_FILE
    path.write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")
    return path
