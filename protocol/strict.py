"""Data from outside into msgspec structs: unknown keys, wrong types and values out of range become one sentence each."""

import difflib
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from protocol.errors import UserError

T = TypeVar("T")


def convert(data: Mapping[str, Any], to: type[T], what: str) -> T:
    """`data` as a value of the struct `to`. `what` names the thing in the error ("The job", "The card of the prior").

    Errors: UserError naming the field; for an unknown key also the nearest known one.
    """
    try:
        return msgspec.convert(data, to)
    except msgspec.ValidationError as error:
        raise UserError(*_sentence(str(error), data, to, what)) from None


def decode_json(text: bytes | str, to: type[T], what: str) -> T:
    """The same from JSON text; text that is not JSON is a UserError as well."""
    try:
        data = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise UserError(f"{what} is not valid JSON: {error}.", "Check the file, or write it again.") from None
    if not isinstance(data, dict):
        raise UserError(f"{what} should be a JSON object, but it is a {type(data).__name__}.", "Wrap its settings in braces.")
    return convert(data, to, what)


def nearest(name: str, known: list[str]) -> str:
    """ "Did you mean 'x'?" for the closest known name, or the list of what there is."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean '{close[0]}'?" if close else f"Choose from: {', '.join(sorted(known))}."


def _sentence(message: str, data: Any, to: type, what: str) -> tuple[str, str]:
    where = re.search(r" - at `\$(.*)`$", message)
    path = where.group(1).lstrip(".") if where else ""
    unknown = re.search(r"unknown field `([^`]*)`", message)
    if unknown:
        name = unknown.group(1)
        inside = f" in '{path}'" if path else ""
        return f"{what} has no setting '{name}'{inside}.", nearest(name, _fields(to, path))
    problem = message.split(" - at `")[0].replace("`", "'")
    field = f" (in '{path}')" if path else ""
    return f"{what} was not understood: {problem[:1].lower()}{problem[1:]}{field}.", "Correct that setting."


def _fields(to: Any, path: str) -> list[str]:
    """Field names of the struct that `path` ("stages[...].timesteps") leads to."""
    for part in re.sub(r"\[[^\]]*\]", "", path).split("."):
        if part and hasattr(to, "__struct_fields__"):
            info = msgspec.inspect.type_info(to)
            fields = info.fields if isinstance(info, msgspec.inspect.StructType) else ()
            to = next((_struct_in(field.type) for field in fields if field.encode_name == part), to)
    return list(getattr(to, "__struct_encode_fields__", ()))


def _struct_in(info: Any) -> Any:
    """The struct class inside a field's type, looking through optional and sequence types."""
    if isinstance(info, msgspec.inspect.StructType):
        return info.cls
    for name in ("item_type", "types", "value_type"):
        inner = getattr(info, name, None)
        for one in inner if isinstance(inner, tuple) else (inner,) if inner is not None else ():
            found = _struct_in(one)
            if found is not None:
                return found
    return None
