"""`RefineJob`: the complete description of a run. Panel, command line, batch file and tests all build this struct.

Together with the journal of steer commands it repeats the run: bit for bit on one CPU thread.
"""

from typing import Annotated, Any, Literal

import msgspec

from protocol.strict import convert, decode_json

Mode = Literal["sketch", "prompt", "texture", "image", "illusion"]
PICTURE_MODES = ("image", "illusion")
"""Their asset is a picture on a plane."""

Ramp = tuple[float, float]
"""(value at the first step, value at the last step) of a stage; linear between."""

Setting = float | int | bool | str | tuple[float | int, ...]
"""Of a method; a tuple is a schedule literal [from step, value, value, to step]."""

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Timesteps(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Noise levels of a stage, as fractions of the training range; `kind` as in `distill.schedules`."""

    kind: str = "window"
    low: Ramp = (0.02, 0.02)
    high: Ramp = (0.98, 0.5)


class Shading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Shares of the shading modes among the views; what they leave of 1 is Lambert."""

    albedo: Share = 0.25
    clay: Share = 0.0


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One phase of a run: what is optimised, by which gradient, how it is looked at, and how strongly it is held.

    Rates: `geometry_rate_h` in grid cells per step, `colour_rate` a factor on the colour field's own rates. Weights
    (`anchor`, `regularisers`) are relative: RMS of the regulariser's gradient over RMS of the distillation's.
    `optimise` "volume" works on a haze that becomes the surface when the stage ends (mode prompt); `colour_rate` is then the rate of both.
    `bank` > 0 caches that many viewpoints (frozen geometry only); 0 draws new cameras at every step.
    `clamp` bounds every element of the gradient (Debiased-SDS), empty for no bound; `image_loss` weighs a loss on pictures (HiFA).
    """

    name: str
    optimise: Literal["colour", "geometry", "both", "volume"] = "colour"
    steps: Annotated[int, msgspec.Meta(ge=0)] = 100
    method: str = "sds"
    parameters: dict[str, Setting] = {}
    timesteps: Timesteps = Timesteps()
    views: Positive = 4
    supersample: Annotated[int, msgspec.Meta(ge=1, le=4)] = 1
    shading: Shading = Shading()
    close_ups: Share = 0.0
    bank: Annotated[int, msgspec.Meta(ge=0, le=512)] = 0
    geometry_rate_h: Ramp = (0.02, 0.01)
    colour_rate: Ramp = (1.0, 1.0)
    anchor: Ramp = (1.0, 1.0)
    clamp: Ramp | None = None
    image_loss: Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)] = 0.0
    regularisers: dict[str, Ramp] = {}


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Size of what comes out, and how long its export may take."""

    faces: Annotated[int, msgspec.Meta(ge=100, le=2_000_000)] = 20_000
    texture_px: Annotated[int, msgspec.Meta(ge=64, le=8192)] = 1024
    unwrap_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0


class Canvas(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the pictures of the modes "image" and "illusion" consist of: the prior's latents, pixels, or a small Fourier-feature network.

    `bandwidth`: standard deviation of the network's frequencies, in periods per picture. `gain`: brightness of an illusion's overlays.
    """

    kind: Literal["latent", "pixels", "fourier"] = "latent"
    bandwidth: Annotated[float, msgspec.Meta(gt=0.0, le=64.0)] = 3.0
    gain: Annotated[float, msgspec.Meta(gt=0.0, le=16.0)] = 2.0


class RefineJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to make, from what, how, and how long.

    `sketch` and `keep` name inputs handed over beside the job (files for the command line, array frames on the wire); in mode "image"
    `sketch` is a picture, or nothing. `prompts`: of an illusion, one for each quarter turn of the upper picture. `canvas`: of a picture;
    none: the mode's own (latents; an illusion: a network).
    `stages` empty means those of `preset`. `method` replaces the gradient of the preset's stages; empty keeps them.
    `slack` widens what the shape may do: it may shrink by that many local stroke radii more, and grow by ten times as many grid cells.
    `grid` 0 chooses the resolution from the thinnest stroke.
    `steps` scales every stage of the preset to that total; -1 keeps the preset's own numbers.
    `source_prompt`: what the given thing is as it stands, for the methods that go from one text to another; empty: the prompt with `domain`
    ("painting"), or with the prior's own words for flaws. `debias`: a masked language model (folder or hub id) that takes words which
    contradict a view out of its prompt.
    `placement`, row-major 4x4, maps the sketch's own coordinates into the domain; empty: longest side to 1.6, centred.
    """

    prompt: str
    prompts: tuple[str, ...] = ()
    mode: Mode = "sketch"
    canvas: Canvas | None = None
    sketch: str = ""
    keep: str = ""
    preset: str = "default"
    method: str = ""
    parameters: dict[str, Setting] = {}
    source_prompt: str = ""
    domain: str = ""
    debias: str = ""
    stages: tuple[Stage, ...] = ()
    steps: Annotated[int, msgspec.Meta(ge=-1)] = -1
    prior: str = "starter"
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    slack: Share = 0.25
    grid: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    warm_start: bool = True
    symmetric: bool = False
    front_deg: float = 0.0
    rasterizer: str = "auto"
    device: str = "auto"
    preview_every: Annotated[int, msgspec.Meta(ge=0)] = 25
    checkpoint_every: Annotated[int, msgspec.Meta(ge=0)] = 100
    budget: Budget = Budget()
    placement: tuple[float, ...] = ()


class Steer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="steer"):
    """Change a run under way; only what is given changes."""

    prompt: str | None = None
    slack: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] | None = None


class JournalEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A steer command and the step (over all stages) before which it took effect."""

    step: int
    command: Steer


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """What the report of a run holds to run it again; the rest of a report is passed over."""

    resolved: RefineJob
    journal: tuple[JournalEntry, ...] = ()


def job_from(data: dict[str, Any]) -> RefineJob:
    """A job from plain data. Errors: UserError in one sentence, with the nearest known name for an unknown key."""
    return convert(data, RefineJob, "The job")


def decode_job(text: bytes | str) -> RefineJob:
    """A job from JSON text."""
    return decode_json(text, RefineJob, "The job")


def encode_job(job: RefineJob) -> bytes:
    """The job as readable JSON, every field written out."""
    return msgspec.json.format(msgspec.json.encode(job), indent=2)
