"""From given settings to a method's own, and from its own to what a panel draws. No torch here."""

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from backend.distill.parameters import PARAMETERS, parameters_of, suited
from backend.priors.card import PriorCard
from protocol.errors import UserError
from protocol.strict import convert

LONGEST_SHOWN = 60


def parse_parameters(name: str, given: Mapping[str, Any], card: PriorCard | None = None) -> Any:
    """The method's settings: `given` over the defaults of the prior's card over those of the struct.

    Numbers and schedule literals may also come as JSON text, and an empty text as no value, which is how panels send them.

    Errors: UserError in one sentence for an unknown method or setting (with the nearest name), and for a value of a wrong type, out
    of range, not finite, or a schedule literal of a wrong form: it names the setting, what is allowed, and what was given.
    """
    to = parameters_of(name)
    fields = {field.encode_name: field for field in msgspec.structs.fields(to)}
    if "perp_neg" in given and "perp_neg" not in fields:
        able = [other for other, settings in PARAMETERS.items() if "perp_neg" in settings.__struct_encode_fields__]
        raise UserError(
            f"The method '{name}' cannot be combined with Perp-Neg, which needs classifier-free guidance of the prompt alone.",
            f"Leave it out, or choose one of {', '.join(able)}.",
        )
    chosen = dict(given)
    for setting, value in {} if card is None else suited(name, given, card).items():
        # Where a setting may be left empty because that means "what suits", the card says what does.
        if setting not in given or (_is_empty(given[setting]) and fields[setting].default is None):
            chosen[setting] = value
    return convert(
        {key: _read(name, fields[key], value) if key in fields else value for key, value in chosen.items()}, to, f"The method '{name}'"
    )


def describe_parameters(name: str, card: PriorCard | None = None) -> list[dict[str, Any]]:
    """What a panel needs to draw the settings: per field name, title, description, type, default, and minimum, maximum or choices.

    With a `card` the defaults are those that suit its prior; what may be empty because that means "what suits" stays empty.
    `type` is "float", "int", "bool", "choice" or "text" (also numbers that may vary or be missing, as JSON text); keys that do not
    apply are left out.
    """
    described = []
    of_prior = {} if card is None else suited(name, {}, card)
    for field in msgspec.structs.fields(parameters_of(name)):
        schema: dict[str, Any] = {}
        kind = msgspec.inspect.type_info(field.type)
        while isinstance(kind, msgspec.inspect.Metadata):
            schema |= kind.extra_json_schema or {}
            kind = kind.type
        written = _written(_kinds(field))
        default = field.default if field.default is None else of_prior.get(field.encode_name, field.default)
        if written:
            default = "" if default is None else json.dumps(default)
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


def _read(name: str, field: msgspec.structs.FieldInfo, value: Any) -> Any:
    kinds = _kinds(field)
    if isinstance(value, str) and _written(kinds):
        value = _from_text(value)
    if not _fits(value, field, kinds):
        allowed = ", or ".join(filter(None, map(_allowed, kinds)))
        example = "Write for example 0.5, or [0, 1.0, 0.5, 1000]." if any(map(_is_schedule, kinds)) else ""
        raise UserError(
            f"The setting '{field.encode_name}' of the method '{name}' should be {allowed}, but it is {_shown(value)}.", example
        )
    return value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _from_text(text: str) -> Any:
    """What a text field of a panel holds; text that is no JSON stays text."""
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _fits(value: Any, field: msgspec.structs.FieldInfo, kinds: tuple[Any, ...]) -> bool:
    try:
        msgspec.convert(value, field.type)
    except (msgspec.ValidationError, RecursionError):
        return False
    if isinstance(value, list | tuple) and any(map(_is_schedule, kinds)):
        return _right_literal(value)
    # Not-a-number passes every range check, since no comparison with it holds.
    return not isinstance(value, float) or math.isfinite(value)


def _right_literal(literal: list[Any] | tuple[Any, ...]) -> bool:
    """[s0, v0, v1, s1] or [v0, v1, s1]: values finite, steps whole numbers that do not go back."""
    if len(literal) not in (3, 4) or not all(abs(entry) <= sys.float_info.max for entry in literal):
        return False
    first, last = (literal[0] if len(literal) == 4 else 0), literal[-1]
    return isinstance(first, int) and isinstance(last, int) and 0 <= first <= last


def _allowed(kind: Any) -> str:
    """What may stand in a setting of that type, in words."""
    if isinstance(kind, msgspec.inspect.FloatType | msgspec.inspect.IntType):
        number = "a number" if isinstance(kind, msgspec.inspect.FloatType) else "a whole number"
        least = f"above {kind.gt:g} and at most" if kind.gt is not None else f"from {kind.ge:g} to" if kind.ge is not None else ""
        return f"{number} {least} {kind.le:g}" if least and kind.le is not None else number.replace("a ", "a finite ", 1)
    if isinstance(kind, msgspec.inspect.LiteralType):
        return f"one of {', '.join(map(str, kind.values))}"
    if isinstance(kind, msgspec.inspect.BoolType):
        return "true or false"
    if isinstance(kind, msgspec.inspect.NoneType):
        return "empty"
    return "a schedule of 3 or 4 numbers, [from step, value, value, to step] with whole steps that do not go back"


def _is_schedule(kind: Any) -> bool:
    return isinstance(kind, msgspec.inspect.VarTupleType)


def _shown(value: Any) -> str:
    """A given value about as it was written, cut where it is long or deep."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        entries = ["[...]" if isinstance(entry, list | tuple) else _shown(entry) for entry in value[:8]]
        return f"[{', '.join(entries)}{', ...' if len(value) > 8 else ''}]"
    if isinstance(value, Mapping):
        return "a table"
    text = repr(value[:LONGEST_SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= LONGEST_SHOWN + 2 else f"{text[:LONGEST_SHOWN]}..."


_TYPES: dict[type, str] = {
    msgspec.inspect.FloatType: "float",
    msgspec.inspect.IntType: "int",
    msgspec.inspect.BoolType: "bool",
    msgspec.inspect.LiteralType: "choice",
}
