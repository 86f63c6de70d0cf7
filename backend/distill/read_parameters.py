"""From given settings to a method's own, and from its own to what a panel draws. No torch here."""

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from backend.distill.parameters import FROM_CARD, parameters_of
from backend.priors.card import PriorCard
from protocol.errors import UserError
from protocol.strict import convert


def parse_parameters(name: str, given: Mapping[str, Any], card: PriorCard | None = None) -> Any:
    """The method's settings: `given` over the defaults of the prior's card over those of the struct.

    Numbers and schedule literals may also come as JSON text, and an empty text as no value, which is how panels send them.

    Errors: UserError in one sentence for an unknown method or setting (with the nearest name), a wrong type, a value out of range
    or not finite, a schedule literal of the wrong length.
    """
    to = parameters_of(name)
    suited = {setting: getattr(card, field) for setting, field in FROM_CARD.get(name, {}).items()} if card is not None else {}
    fields = {field.encode_name: field for field in msgspec.structs.fields(to)}
    if "perp_neg" in given and "perp_neg" not in fields:
        raise UserError(
            f"Perp-Neg needs classifier-free guidance, which the method '{name}' does not use as it wants.",
            "Leave it out, or choose for example sds.",
        )
    read = {}
    for setting, value in given.items():
        kinds = _kinds(fields[setting]) if setting in fields else ()
        if isinstance(value, str) and _written(kinds):
            value = _from_text(name, setting, value)
        # Not-a-number passes every range check, since no comparison with it holds.
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"The setting '{setting}' of the method '{name}' should be a finite number, but it is {value}.")
        if isinstance(value, list | tuple) and any(isinstance(kind, msgspec.inspect.VarTupleType) for kind in kinds):
            _check_literal(name, setting, value)
        read[setting] = value
    return convert({**suited, **read}, to, f"The method '{name}'")


def describe_parameters(name: str) -> list[dict[str, Any]]:
    """What a panel needs to draw the settings: per field name, title, description, type, default, and minimum, maximum or choices.

    `type` is "float", "int", "bool", "choice" or "text" (also numbers that may vary or be missing, as JSON text); keys that do not
    apply are left out.
    """
    described = []
    for field in msgspec.structs.fields(parameters_of(name)):
        schema: dict[str, Any] = {}
        kind = msgspec.inspect.type_info(field.type)
        while isinstance(kind, msgspec.inspect.Metadata):
            schema |= kind.extra_json_schema or {}
            kind = kind.type
        written = _written(_kinds(field))
        default = ("" if field.default is None else json.dumps(field.default)) if written else field.default
        entry: dict[str, Any] = {"name": field.encode_name, "default": default, "type": _TYPES.get(type(kind), "text")}
        entry |= {key: schema[key] for key in ("title", "description") if key in schema}
        if isinstance(kind, msgspec.inspect.FloatType | msgspec.inspect.IntType):
            bounds = {"minimum": kind.ge if kind.ge is not None else kind.gt, "maximum": kind.le if kind.le is not None else kind.lt}
            entry |= {key: value for key, value in bounds.items() if value is not None}
        if isinstance(kind, msgspec.inspect.LiteralType):
            entry["choices"] = list(kind.values)
        described.append(entry)
    return described


def _kinds(field: msgspec.structs.FieldInfo) -> tuple[Any, ...]:
    """The types that a field's value may have."""
    kind = msgspec.inspect.type_info(field.type)
    while isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    return kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)


def _written(kinds: tuple[Any, ...]) -> bool:
    """Whether a panel shows the value as text: a number that may also be a schedule, or nothing."""
    return len(kinds) > 1


def _from_text(name: str, setting: str, text: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise UserError(
            f"The setting '{setting}' of the method '{name}' should be a number or a schedule, but it is '{text}'.",
            "Write for example 0.5, or [0, 1.0, 0.5, 1000].",
        ) from None


def _check_literal(name: str, setting: str, literal: list[Any] | tuple[Any, ...]) -> None:
    """[s0, v0, v1, s1] or [v0, v1, s1]: steps are whole numbers, values finite."""
    numbers = all(isinstance(entry, int | float) and not isinstance(entry, bool) and math.isfinite(entry) for entry in literal)
    if len(literal) not in (3, 4) or not numbers:
        raise UserError(
            f"The schedule '{setting}' of the method '{name}' should have 3 or 4 numbers, but it is {list(literal)}.",
            "Write [from step, value, value, to step], or [value, value, to step].",
        )
    if not isinstance(literal[-1], int) or not isinstance(literal[0] if len(literal) == 4 else 0, int):
        raise UserError(
            f"The schedule '{setting}' of the method '{name}' should count steps in whole numbers, but it is {list(literal)}.",
            "Write for example [0, 1.0, 0.5, 1000].",
        )


_TYPES: dict[type, str] = {
    msgspec.inspect.FloatType: "float",
    msgspec.inspect.IntType: "int",
    msgspec.inspect.BoolType: "bool",
    msgspec.inspect.LiteralType: "choice",
}
