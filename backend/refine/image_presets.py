"""The stages of pictures: a first stage that finds the motif, and the Bridge that makes it look like what the prior was taught.

Guidance, k and rates come from the prior's card (arXiv 2406.09417, appendices A and B).
"""

from backend.errors import UserError
from backend.priors.card import PriorCard
from protocol.job import Canvas, Mode, Stage, Timesteps
from protocol.strict import nearest

EDIT = "edit"
"""The preset that starts from a given picture; "default" means it where there is one."""

MOTIF_RATE = (1.0, 0.1)
"""Falling, so that the noise of the last steps does not stay in the picture as grain."""

LATENT_WAY = 1800
"""Steps times first rate, on latents: 6 for 300. At the card's own rate, which is for 500 even steps, the first noise stays in the
picture: white bands in a red apple."""

NETWORK_SHARE = 0.2
"""Of the Bridge's rate on a network: every place shares its weights, and the colours of the whole picture would drift."""


def _motif(card: PriorCard, kind: str, steps: int, views: int) -> Stage:
    return Stage(
        name="motif",
        steps=steps,
        method="sds",
        parameters={"guidance": card.sds_guidance},
        timesteps=Timesteps(low=(0.02, 0.02), high=(0.98, 0.5)),
        views=views,
        colour_rate=(LATENT_WAY / steps, MOTIF_RATE[1]) if kind == "latent" else MOTIF_RATE,
    )


def _bridge(card: PriorCard, kind: str, steps: int, views: int, *, name: str = "bridge", high: float = 0.5) -> Stage:
    rate = card.bridge_rate_scale * (NETWORK_SHARE if kind == "fourier" else 1.0)
    return Stage(
        name=name,
        steps=steps,
        method="bridge",
        parameters={"k": card.bridge_k},
        timesteps=Timesteps(low=(0.02, 0.02), high=(high, 0.5)),
        views=views,
        colour_rate=(rate, rate * 0.3),
    )


def image_stages(preset: str, mode: Mode, card: PriorCard, canvas: Canvas | None = None) -> tuple[Stage, ...]:
    """The stages of a named preset for mode image or illusion on a canvas. Errors: UserError naming the nearest preset."""
    kind = (canvas or Canvas()).kind
    presets: dict[str, tuple[Stage, ...]]
    if mode == "illusion":
        presets = {"quick": (_motif(card, kind, 200, 4),), "default": (_motif(card, kind, 400, 4), _bridge(card, kind, 100, 4))}
    else:
        presets = {
            "quick": (_motif(card, kind, 200, 2),),
            "default": (_motif(card, kind, 300, 2), _bridge(card, kind, 100, 2)),
            EDIT: (_bridge(card, kind, 300, 2, name="edit", high=0.7),),
        }
    if preset not in presets:
        raise UserError(f"Mode '{mode}' has no preset '{preset}'.", nearest(preset, list(presets)))
    return presets[preset]
