"""Settings of every method, as data: no torch here, so that a broker can announce them and a panel can draw them.

The defaults suit large priors; those that depend on the prior are taken from its card by `parse_parameters`.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from backend.priors.card import PriorCard
from protocol.errors import UserError
from protocol.strict import convert, nearest

Weighting = Literal["sds", "uniform", "fantasia3d", "x0"]
"""Names of `distill.weightings`: sigma^2, 1, alpha sigma^2, sigma/alpha."""

Weight: TypeAlias = Annotated[
    Weighting,
    Meta(title="Weighting", description="How much each noise level counts: sds favours strong noise, uniform treats all alike."),
]


class SDSParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of score distillation sampling."""

    guidance: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1000.0,
            title="Guidance",
            description="How strongly the prompt pulls: 1 is the plain conditional score, large priors want about 100, more saturates.",
        ),
    ] = 100.0
    weighting: Weight = "sds"


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


PARAMETERS: dict[str, type[msgspec.Struct]] = {"sds": SDSParameters, "bridge": BridgeParameters}
"""Method name -> its settings. The methods themselves, under the same names, are in `distill.methods`."""

FROM_CARD: dict[str, dict[str, str]] = {"sds": {"guidance": "sds_guidance"}, "bridge": {"k": "bridge_k"}}
"""Method name -> {setting: field of the prior's card that holds its default}."""


def parameters_of(name: str) -> type[msgspec.Struct]:
    """The struct of the method's settings. UserError for an unknown method, naming the nearest."""
    if name not in PARAMETERS:
        raise UserError(f"There is no method '{name}'.", nearest(name, list(PARAMETERS)))
    return PARAMETERS[name]


def parse_parameters(name: str, given: Mapping[str, Any], card: PriorCard | None = None) -> Any:
    """The method's settings: `given` over the defaults of the prior's card over those of the struct.

    Errors: UserError in one sentence for an unknown method or setting (with the nearest name), a wrong type, a value out of range
    or not finite.
    """
    to = parameters_of(name)
    suited = {setting: getattr(card, field) for setting, field in FROM_CARD.get(name, {}).items()} if card is not None else {}
    for setting, value in given.items():
        # Not-a-number passes every range check, since no comparison with it holds.
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"The setting '{setting}' of the method '{name}' should be a finite number, but it is {value}.")
    return convert({**suited, **given}, to, f"The method '{name}'")


def describe_parameters(name: str) -> list[dict[str, Any]]:
    """What a panel needs to draw the settings: per field name, title, description, type, default, and minimum, maximum or choices.

    `type` is "float", "int", "bool", "choice" or "text"; keys that do not apply are left out.
    """
    described = []
    for field in msgspec.structs.fields(parameters_of(name)):
        kind = msgspec.inspect.type_info(field.type)
        schema: dict[str, Any] = {}
        while isinstance(kind, msgspec.inspect.Metadata):
            schema |= kind.extra_json_schema or {}
            kind = kind.type
        entry: dict[str, Any] = {"name": field.name, "default": field.default, "type": _TYPES.get(type(kind), "text")}
        entry |= {key: schema[key] for key in ("title", "description") if key in schema}
        if isinstance(kind, msgspec.inspect.FloatType | msgspec.inspect.IntType):
            bounds = {"minimum": kind.ge if kind.ge is not None else kind.gt, "maximum": kind.le if kind.le is not None else kind.lt}
            entry |= {key: value for key, value in bounds.items() if value is not None}
        if isinstance(kind, msgspec.inspect.LiteralType):
            entry["choices"] = list(kind.values)
        described.append(entry)
    return described


_TYPES: dict[type, str] = {
    msgspec.inspect.FloatType: "float",
    msgspec.inspect.IntType: "int",
    msgspec.inspect.BoolType: "bool",
    msgspec.inspect.LiteralType: "choice",
}
