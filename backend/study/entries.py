"""The rows of a comparison: methods with their settings, and what each is told on a test bed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from backend.distill.contract import Role
from backend.distill.parameters import PARAMETERS, parameters_of
from backend.distill.read_parameters import parse_parameters
from backend.distill.schedules import Schedule
from backend.priors.card import PriorCard
from backend.study.beds import BEDS, HIGH, LOW

PRESENT = "as they are"
"""The text that stands, on a test bed, for the density of the particles at this moment, known exactly."""


@dataclass(frozen=True)
class Entry:
    """A method with settings. `settings` are given over the method's defaults."""

    method: str
    title: str
    settings: Mapping[str, Any]
    residual: Literal["noise", "clean"] = "noise"  # which of the bed's rates it takes
    null: str = ""  # what the empty prompt means
    camera: bool = False  # whether a critic may know which particle it sees
    falling: bool = False  # noise levels fall through the run instead of being drawn
    exact_ratio: bool = False  # JSD with the densities' own ratio
    beds: tuple[str, ...] = BEDS

    @property
    def knows_present(self) -> bool:
        """Whether it is told the density of the particles, so that a particle stands for a small Gaussian."""
        return self.null == PRESENT or ("critic_rate" in PARAMETERS[self.method].__struct_fields__ and not self._two_target)

    @property
    def texts(self) -> dict[Role, str]:
        source = "start" if self.method == "dds" else "source"
        return {"target": "target", "null": self.null, "source": source, "negative": "negative", "critic": "target"}

    @property
    def schedule(self) -> Schedule:
        return Schedule.of("linear" if self.falling else "uniform", (LOW, LOW), (HIGH, HIGH))

    @property
    def _two_target(self) -> bool:
        return self.method == "jsd" and self.settings.get("form", "two_target") == "two_target"


# The plain score everywhere (guidance 1): a bed asks what a gradient does to a distribution, and guidance would ask for another one.
# Methods that go to the noise and back are told the particles' own density as the empty prompt: at guidance 1 the source's share is 0.
_INVERSION = {"guidance": 1.0, "inversion_guidance": 0.0}
_STRIDED = {**_INVERSION, "stride": 60, "eta": 0.0}
_PFD = {**_INVERSION, "inversion_steps": 16, "steps": 16}
_CLEAN: dict[str, Any] = {"residual": "clean", "null": PRESENT}

ON_BEDS: tuple[Entry, ...] = (
    Entry("sds", "SDS", {"guidance": 1.0}),
    Entry("bridge", "Bridge", {"weighting": "sds"}),
    Entry("csd", "CSD", {"w1": 1.0, "w2": 0.0}),
    Entry("nfsd", "NFSD", {"guidance": 1.0}),
    Entry("dds", "DDS", {"guidance": 1.0, "weighting": "sds"}),
    Entry("vsd", "VSD", {"guidance": 1.0}),
    Entry("esd", "ESD", {"guidance": 1.0, "lambda": 1.0}, camera=True),
    Entry("jsd", "JSD", {**_STRIDED, "form": "two_target"}, **_CLEAN),
    Entry("ism", "ISM", {**_INVERSION, "delta_t": 50}, **_CLEAN),
    Entry("sdi", "SDI", _STRIDED, **_CLEAN),
    Entry("pfd", "PFD", _PFD, **_CLEAN),
    Entry("cfd", "CFD", {"guidance": 1.0}, residual="clean", falling=True),
    Entry("dual_bridge", "Dual bridge", {"guidance": 1.0, "steps": 10}, residual="clean"),
)
"""One entry per method, in the order of the methods' names in `PARAMETERS`."""

TITLES = {entry.method: entry.title for entry in ON_BEDS}

_PARTICLES = ("modes", "circles")
_LAMBDA = {"modes": (0.5,), "circles": (0.5,), "gaussian": (0.0, 0.5, 0.75, 0.9, 1.1)}
_WEIGHTED = {"guidance": 1.0, "weighting": "sds"}

VARIANTS: tuple[Entry, ...] = (
    *(
        Entry("esd", f"ESD, λ {value}", {"guidance": 1.0, "lambda": value}, camera=True, beds=(name,))
        for name, values in _LAMBDA.items()
        for value in values
    ),
    *(
        Entry("jsd", f"JSD {form}", {**_WEIGHTED, "form": form.replace("-", "_")}, exact_ratio=True, beds=_PARTICLES)
        for form in ("saturating", "non-saturating")
    ),
    *(Entry("pfd", f"PFD, {n} steps", {**_PFD, "steps": n}, beds=_PARTICLES if n == 4 else ("modes",), **_CLEAN) for n in (2, 4, 8)),
    Entry("pfd", "PFD forward", {**_PFD, "form": "forward"}, beds=_PARTICLES, **_CLEAN),
    Entry("dual_bridge", "Bridge, inversion", {"guidance": 1.0, "steps": 10, "form": "inversion"}, residual="clean", beds=_PARTICLES),
)
"""More settings of the same methods, whose outcomes docs/methods.md gives under "Measured"."""


def chosen(bed: str, methods: Sequence[str], given: Mapping[str, Mapping[str, Any]], *, variants: bool = False) -> list[Entry]:
    """The entries of these methods on the bed of that name, `given` settings by method over their own; variants follow their entry.

    Errors: UserError for an unknown method (with the nearest) or a setting that the method does not accept.
    """
    check(methods, given)
    offered = [entry for entry in (*ON_BEDS, *(VARIANTS if variants else ())) if bed in entry.beds]
    found = [entry for name in methods for entry in offered if entry.method == name]
    entries = [replace(entry, settings={**entry.settings, **given.get(entry.method, {})}) for entry in found]
    for entry in entries:
        parse_parameters(entry.method, entry.settings)
    return entries


def check(methods: Sequence[str], given: Mapping[str, Mapping[str, Any]], card: PriorCard | None = None) -> None:
    """UserError for an unknown method (with the nearest) or a setting that its method does not accept."""
    for name in (*methods, *given):
        parameters_of(name)
        parse_parameters(name, given.get(name, {}), card)


def differing(method: str, parameters: Any, card: PriorCard | None = None) -> dict[str, Any]:
    """The settings that differ from the method's defaults (the prior's card over the struct's), by the names people write."""
    usual = parse_parameters(method, {}, card)
    fields = msgspec.structs.fields(type(usual))
    return {
        field.encode_name: getattr(parameters, field.name)
        for field in fields
        if getattr(parameters, field.name) != getattr(usual, field.name)
    }
