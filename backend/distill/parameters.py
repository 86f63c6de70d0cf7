"""Settings of every method, as data: no torch here, so that a broker can announce them and a panel can draw them.

The defaults suit large priors; those that depend on the prior are taken from its card (`FROM_CARD`, by `read_parameters`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from backend.priors.card import PriorCard
from protocol.errors import UserError
from protocol.strict import nearest

Weighting = Literal["sds", "uniform", "fantasia3d", "x0"]
"""Names of `distill.weightings`: sigma^2, 1, alpha sigma^2, sigma/alpha."""

Varying: TypeAlias = float | tuple[float | int, ...]
"""A number, or a schedule literal [s0, v0, v1, s1]: v0 until step s0 of the stage, linear to v1 at step s1, then v1.

Three entries: s0 is 0.
"""

Weight: TypeAlias = Annotated[
    Weighting,
    Meta(title="Weighting", description="How much each noise level counts: sds favours strong noise, uniform treats all alike."),
]
Guidance: TypeAlias = Annotated[
    float,
    Meta(
        ge=0.0,
        le=1000.0,
        title="Guidance",
        description="How strongly the prompt pulls: 1 is the plain conditional score; more is more faithful, too much saturates.",
    ),
]
PerpNeg: TypeAlias = Annotated[
    bool,
    Meta(title="Perp-Neg", description="Turns each view away from the other sides' descriptions, against several faces. Twice the cost."),
]
InversionGuidance: TypeAlias = Annotated[
    float | None,
    Meta(title="Inversion guidance", description="Guidance on the way to the noise; empty is 1 - guidance, which stands for where we are."),
]
Solver: TypeAlias = Annotated[
    Literal["ddim", "heun", "dpmpp2m"],
    Meta(title="Solver", description="How the way back from the noise is solved; heun costs twice as much a step."),
]
Steps: TypeAlias = Annotated[
    int,
    Meta(
        ge=1,
        le=100,
        title="Steps",
        description="Denoiser steps of each way back from the noise: more are more exact.",
    ),
]
CriticRate: TypeAlias = Annotated[
    float,
    Meta(ge=1e-7, le=0.1, title="Critic rate", description="Learning rate of the critic that follows the present renders."),
]
CriticRank: TypeAlias = Annotated[
    int,
    Meta(ge=1, le=256, title="Critic rank", description="Rank of the critic's low-rank adapter (LoRA): more follows finer detail."),
]
CameraDropout: TypeAlias = Annotated[
    float,
    Meta(ge=0.0, le=1.0, title="Camera dropout", description="Share of the critic's lessons that are taught without the camera."),
]
CameraMap: TypeAlias = Annotated[
    bool,
    Meta(title="Camera map", description="The critic also learns a map of each camera's view: it tells views apart sooner, and is larger."),
]
CriticLessons: TypeAlias = Annotated[
    int,
    Meta(ge=1, le=100, title="Critic lessons", description="Lessons of the critic in a step: more keep up better, each costs three rows."),
]


class SDSParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of score distillation sampling."""

    guidance: Guidance = 100.0
    weighting: Weight = "sds"
    perp_neg: PerpNeg = False


class DDSParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the delta denoising score."""

    guidance: Guidance = 7.5
    weighting: Weight = "uniform"


class NFSDParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of noise-free score distillation."""

    guidance: Guidance = 7.5
    weighting: Weight = "sds"
    below: Annotated[
        int,
        Meta(ge=0, le=1000, title="Weak noise below", description="Noise level under which noise counts as weak: 200 of the usual 1000."),
    ] = 200
    negative_at: Annotated[
        Literal["strong", "weak"],
        Meta(title="Negative prompt at", description="Where the negative prompt is subtracted: strong noise as in the NFSD paper."),
    ] = "strong"
    perp_neg: PerpNeg = False


class CSDParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of classifier score distillation."""

    w1: Annotated[
        Varying,
        Meta(title="Prompt weight", description="How strongly the prompt pulls: number or [from step, value, value, to step]."),
    ] = 40.0
    w2: Annotated[
        Varying,
        Meta(title="Negative weight", description="How the negative prompt repels: number or [from step, value, value, to step]."),
    ] = (0, 40.0, 0.0, 500)
    weighting: Weight = "sds"
    perp_neg: PerpNeg = False


class VSDParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of variational score distillation."""

    guidance: Guidance = 7.5
    weighting: Weight = "sds"
    critic_rate: CriticRate = 1e-4
    critic_rank: CriticRank = 4
    camera_dropout: CameraDropout = 0.1
    camera_map: CameraMap = False
    critic_lessons: CriticLessons = 1
    perp_neg: PerpNeg = False


class BridgeParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the Bridge gradient."""

    k: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1000.0,
            title="Strength",
            description="How far each step goes from the described flaws toward the prompt: about 1 for 3D, 25 for single pictures.",
        ),
    ] = 1.0
    weighting: Weight = "uniform"


class DualBridgeParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the full dual bridge. Its residual is one of clean latents: weighting "uniform" is its plain form."""

    form: Annotated[
        Literal["fresh", "inversion"],
        Meta(title="Noise", description="fresh noise and two ways back, or the noise that inversion finds, with one way back."),
    ] = "fresh"
    guidance: Guidance = 7.5
    source_guidance: Annotated[
        float,
        Meta(ge=0.0, le=1000.0, title="Source guidance", description="Guidance of the description of where we are; 1 is plain."),
    ] = 1.0
    steps: Steps = 20
    solver: Solver = "ddim"
    weighting: Weight = "uniform"
    perp_neg: PerpNeg = False


class ISMParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of interval score matching."""

    guidance: Guidance = 7.5
    delta_t: Annotated[
        Varying,
        Meta(
            title="Interval",
            description="Noise levels between the points compared: number or [from step, value, value, to step].",
        ),
    ] = (0, 100, 25, 1500)
    stride: Annotated[
        int,
        Meta(ge=1, le=1000, title="Stride", description="Noise levels per step on the way to the first point."),
    ] = 200
    inversion_guidance: Annotated[
        float,
        Meta(
            ge=-100.0,
            le=100.0,
            title="Inversion guidance",
            description="Guidance on the way to the noise; 0 is the empty prompt.",
        ),
    ] = 0.0
    weighting: Weight = "x0"
    perp_neg: PerpNeg = False


class SDIParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of score distillation via inversion. The guidances are those of its code without Perp-Neg (7.5 and -7.5 with it)."""

    guidance: Guidance = 8.5
    inversion_guidance: InversionGuidance = -6.5
    stride: Annotated[
        int,
        Meta(ge=1, le=1000, title="Stride", description="Noise levels per inversion step: smaller is more exact and costs more."),
    ] = 100
    eta: Annotated[
        float,
        Meta(ge=0.0, le=1.0, title="Inversion noise", description="Fresh noise added at every inversion step, as in stochastic DDIM."),
    ] = 0.3
    match_reference: Annotated[
        bool,
        Meta(title="Match the reference code", description="Repeats what the published code does at both ends of the inversion."),
    ] = False
    weighting: Weight = "uniform"
    perp_neg: PerpNeg = False


class PFDParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of probability-flow distillation."""

    form: Annotated[
        Literal["two_solve", "forward"],
        Meta(title="Form", description="two_solve goes to the noise and back; forward compares on the way there, at half the cost."),
    ] = "two_solve"
    guidance: Guidance = 7.5
    inversion_guidance: InversionGuidance = None
    inversion_steps: Annotated[
        int,
        Meta(ge=1, le=100, title="Inversion steps", description="Denoiser steps of the way to the noise."),
    ] = 10
    steps: Steps = 10
    solver: Solver = "dpmpp2m"
    inversion_solver: Annotated[
        Literal["ddim", "ab2"],
        Meta(title="Inversion solver", description="ab2 is more exact at the same cost, from ten steps on."),
    ] = "ddim"
    nodes: Annotated[
        Literal["geometric", "uniform"],
        Meta(title="Nodes", description="Where the steps lie: geometric puts more of them at weak noise, where detail is made."),
    ] = "geometric"
    weighting: Weight = "uniform"
    perp_neg: PerpNeg = False


class ESDParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of entropic score distillation."""

    guidance: Guidance = 7.5
    lambda_: Annotated[
        Varying,
        Meta(
            title="Lambda",
            description="0 judges each view alone, 1 all together: number or [from step, value, value, to step].",
        ),
    ] = msgspec.field(name="lambda", default=0.5)
    weighting: Weight = "sds"
    critic_rate: CriticRate = 1e-4
    critic_rank: CriticRank = 4
    camera_dropout: CameraDropout = 0.1
    camera_map: CameraMap = False
    critic_lessons: CriticLessons = 1
    perp_neg: PerpNeg = False


class JSDParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of Jensen-Shannon score distillation. The critic's settings belong to the weighted forms, the inversion's to two_target."""

    form: Annotated[
        Literal["two_target", "saturating", "non_saturating"],
        Meta(title="Form", description="two_target trains nothing; the weighted forms train a critic."),
    ] = "two_target"
    guidance: Annotated[
        Annotated[float, Meta(ge=0.0, le=1000.0)] | None,
        Meta(
            title="Guidance",
            description="How strongly the prompt pulls; empty is what suits the form and the prior: most often 13.5, or 7.5 if weighted.",
        ),
    ] = None
    inversion_guidance: InversionGuidance = -13.5
    k: Annotated[
        float,
        Meta(ge=0.0, le=100.0, title="Second target", description="Weight of the second, rarer target; 0 is SDI."),
    ] = 1.0
    stride: Annotated[
        int,
        Meta(ge=1, le=1000, title="Stride", description="Noise levels per inversion step: smaller is more exact and costs more."),
    ] = 100
    eta: Annotated[
        float,
        Meta(ge=0.0, le=1.0, title="Inversion noise", description="Fresh noise added at every inversion step, as in stochastic DDIM."),
    ] = 0.3
    sharpness: Annotated[
        float,
        Meta(ge=0.0, le=1000.0, title="Sharpness", description="How decidedly the weighted forms tell renders from the prior's pictures."),
    ] = 1.0
    weighting: Annotated[
        Literal["form", Weighting],
        Meta(title="Weighting", description="How much each noise level counts; form: uniform for two_target, sds for the weighted forms."),
    ] = "form"
    critic_rate: CriticRate = 1e-4
    critic_rank: CriticRank = 4
    camera_dropout: CameraDropout = 0.1
    camera_map: CameraMap = False
    critic_lessons: CriticLessons = 1
    perp_neg: PerpNeg = False


class CFDParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of consistent flow distillation: one noise for the object."""

    guidance: Guidance = 7.0
    drift: Annotated[
        float,
        Meta(ge=0.0, le=1.0, title="Drift", description="Share of the object's noise that is renewed at every step; 0 keeps it."),
    ] = 0.0
    weighting: Weight = "x0"
    perp_neg: PerpNeg = False


PARAMETERS: dict[str, type[msgspec.Struct]] = {
    "sds": SDSParameters,
    "bridge": BridgeParameters,
    "csd": CSDParameters,
    "nfsd": NFSDParameters,
    "dds": DDSParameters,
    "vsd": VSDParameters,
    "esd": ESDParameters,
    "jsd": JSDParameters,
    "ism": ISMParameters,
    "sdi": SDIParameters,
    "pfd": PFDParameters,
    "cfd": CFDParameters,
    "dual_bridge": DualBridgeParameters,
}
"""Method name -> its settings. The methods themselves, under the same names, are in `distill.methods`."""

FROM_CARD: dict[str, dict[str, str]] = {
    "sds": {"guidance": "sds_guidance"},
    "bridge": {"k": "bridge_k"},
    **{name: {"guidance": "guidance"} for name in ("nfsd", "dds", "ism", "pfd", "cfd", "dual_bridge")},
    **{name: {"guidance": "guidance", "critic_rate": "critic_rate"} for name in ("vsd", "esd")},
    "sdi": {"guidance": "sdi_guidance", "inversion_guidance": "sdi_inversion_guidance"},
    "jsd": {"guidance": "jsd_guidance", "inversion_guidance": "jsd_inversion_guidance", "critic_rate": "critic_rate"},
}
"""Method name -> {setting: field of the prior's card that holds its default}.

CSD has none: only the ratio of its weights matters to optimisers of the Adam kind, and that does not depend on the prior.
"""


def suited(name: str, given: Mapping[str, Any], card: PriorCard) -> dict[str, Any]:
    """The card's defaults of the method's settings. `given`: what was chosen so far, for settings that depend on the form."""
    fields = FROM_CARD.get(name, {})
    if name == "jsd" and given.get("form", "two_target") != "two_target":
        fields = {**fields, "guidance": "guidance"}
    return {setting: getattr(card, field) for setting, field in fields.items()}


def parameters_of(name: str) -> type[msgspec.Struct]:
    """The struct of the method's settings. UserError for an unknown method, naming the nearest."""
    if name not in PARAMETERS:
        raise UserError(f"There is no method '{name}'.", nearest(name, list(PARAMETERS)))
    return PARAMETERS[name]
