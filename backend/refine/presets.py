"""Named lists of stages. A preset is data: the resolved job holds its numbers, so a run repeats even if a preset changes.

Guidance, k and rates come from the prior's card. Costs and effects of the choices are in docs/refinement.md.
"""

import msgspec

from backend.errors import UserError
from backend.priors.card import PriorCard
from backend.refine.image_presets import image_stages
from protocol.job import PICTURE_MODES, Canvas, Mode, Shading, Stage, Timesteps
from protocol.strict import nearest

SHAPE_WEIGHTS = {"laplacian": (0.3, 0.1), "normal": (0.3, 0.3), "sign": (0.1, 0.02)}

PROMPT_WEIGHTS = {"laplacian": (0.4, 0.8), "normal": (0.2, 0.5), "sign": (0.1, 0.1)}

SCHEDULE_KINDS = {"sdi": "linear", "jsd": "linear", "cfd": "linear", "pfd": "pfd"}
"""How noise levels go for methods that are known to want it so; the stage's own bounds stay (docs/refinement.md, "Another gradient")."""


def _stage(changes: dict[str, object], **settings: object) -> Stage:
    return Stage(**(settings | changes))  # type: ignore[arg-type]


def _colour(card: PriorCard, steps: int, **changes: object) -> Stage:
    return _stage(
        changes,
        name="colour",
        optimise="colour",
        steps=steps,
        method="sds",
        parameters={"guidance": card.texture_guidance},
        timesteps=Timesteps(kind="window", low=(0.02, 0.02), high=(0.98, 0.5)),
        shading=Shading(albedo=0.4, clay=0.0),
        bank=48,
    )


def _haze(card: PriorCard, steps: int) -> Stage:
    """What prompt mode starts with: no surface could open a hole."""
    return Stage(
        name="haze",
        optimise="volume",
        steps=steps,
        method="sds",
        parameters={"guidance": card.sds_guidance},
        timesteps=Timesteps(kind="window", low=(0.02, 0.02), high=(0.98, 0.6)),
        views=2,
        shading=Shading(albedo=0.3, clay=0.2 if card.clay_word else 0.0),
        colour_rate=(1.0, 0.3),
        regularisers={"smooth": (0.05, 0.2)},
    )


def _shape(card: PriorCard, steps: int, **changes: object) -> Stage:
    return _stage(
        changes,
        name="shape",
        optimise="both",
        steps=steps,
        method="sds",
        parameters={"guidance": card.sds_guidance},
        timesteps=Timesteps(kind="window", low=(0.02, 0.02), high=(0.6, 0.5)),
        shading=Shading(albedo=0.25, clay=0.375 if card.clay_word else 0.0),
        geometry_rate_h=(0.12, 0.05),
        anchor=(0.1, 0.1),
        regularisers=SHAPE_WEIGHTS,
    )


def _bridge(card: PriorCard, steps: int, **changes: object) -> Stage:
    return _stage(
        changes,
        name="bridge",
        optimise="colour",
        steps=steps,
        method="bridge",
        parameters={"k": card.bridge_k},
        timesteps=Timesteps(kind="window", low=(0.02, 0.02), high=(0.5, 0.5)),
        shading=Shading(albedo=0.4, clay=0.0),
        bank=48,
        colour_rate=(card.bridge_rate_scale, card.bridge_rate_scale * 0.3),
    )


def stages_of(preset: str, mode: Mode, card: PriorCard, canvas: Canvas | None = None) -> tuple[Stage, ...]:
    """The stages of a named preset for a mode, of pictures on a canvas. Errors: UserError naming the nearest preset."""
    if mode in PICTURE_MODES:
        return image_stages(preset, mode, card, canvas)
    if mode == "texture":
        presets = {
            "quick": (_colour(card, 150),),
            "default": (_colour(card, 350), _bridge(card, 100)),
        }
    elif mode == "prompt":
        form = _shape(card, 100, name="form", geometry_rate_h=(0.3, 0.05), anchor=(0.0, 0.0), regularisers=PROMPT_WEIGHTS)
        presets = {
            "quick": (_haze(card, 200), _colour(card, 60)),
            "default": (_haze(card, 300), form, _colour(card, 200), _bridge(card, 80)),
        }
    else:
        presets = {
            "quick": (_colour(card, 150),),
            "colour": (_colour(card, 350), _bridge(card, 100)),
            "default": (_colour(card, 150), _shape(card, 150), _colour(card, 200, name="finish"), _bridge(card, 80)),
            "loose": (_colour(card, 150), _shape(card, 400), _colour(card, 250, name="finish"), _bridge(card, 100)),
        }
    if preset not in presets:
        raise UserError(f"Mode '{mode}' has no preset '{preset}'.", nearest(preset, list(presets)))
    return tuple(at_rates_of(card, stage) for stage in presets[preset])


def at_rates_of(card: PriorCard, stage: Stage) -> Stage:
    """A preset's stage at the rates that suit the prior: its own, times the card's factors."""
    colour, shape = stage.colour_rate, stage.geometry_rate_h
    return msgspec.structs.replace(
        stage,
        colour_rate=(card.colour_rate * colour[0], card.colour_rate * colour[1]),
        geometry_rate_h=(card.geometry_rate * shape[0], card.geometry_rate * shape[1]),
    )


WARM_START = Stage(name="warm start", views=8, steps=1, shading=Shading(albedo=0.0))
"""The views of the warm start; it has no gradient of its own."""
