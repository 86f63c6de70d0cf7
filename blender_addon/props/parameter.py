# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of a method, as the server announces them: one item each, values kept by name."""

from typing import TYPE_CHECKING

import bpy

if TYPE_CHECKING:
    from protocol.messages import Parameter

_choices: dict[str, list[tuple[str, str, str]]] = {}
"""Items of choice parameters by their stored text. Blender keeps no copy of these strings, so they live here."""


def _items(self: "SKETCHBRIDGE_PG_parameter", context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    if self.choices not in _choices:
        _choices[self.choices] = [(name, name.replace("_", " ").title(), "") for name in self.choices.split("\n")]
    return _choices[self.choices]


def _get_choice(self: "SKETCHBRIDGE_PG_parameter") -> int:
    names = self.choices.split("\n")
    return names.index(self.value_text) if self.value_text in names else 0


def _set_choice(self: "SKETCHBRIDGE_PG_parameter", index: int) -> None:
    self.value_text = self.choices.split("\n")[index]


def _clamp(self: "SKETCHBRIDGE_PG_parameter", context: bpy.types.Context) -> None:
    value = getattr(self, FIELDS[self.kind])
    inside = min(max(value, self.minimum), self.maximum)
    if inside != value:
        setattr(self, FIELDS[self.kind], type(value)(inside))


FIELDS = {"float": "value_float", "int": "value_int", "bool": "value_bool", "text": "value_text", "choice": "value_text"}
"""Kind -> the property that holds the value."""
UNLIMITED = 1e9


class SKETCHBRIDGE_PG_parameter(bpy.types.PropertyGroup):
    """One parameter. `name` is the server's; `title` and `description` are words for the artist; limits are those of the server."""

    kind: bpy.props.StringProperty()
    title: bpy.props.StringProperty()
    description: bpy.props.StringProperty()
    choices: bpy.props.StringProperty()
    minimum: bpy.props.FloatProperty(default=-UNLIMITED)
    maximum: bpy.props.FloatProperty(default=UNLIMITED)
    default_text: bpy.props.StringProperty()
    value_float: bpy.props.FloatProperty(name="Value", description="Value of this parameter", precision=3, update=_clamp)
    value_int: bpy.props.IntProperty(name="Value", description="Value of this parameter", update=_clamp)
    value_bool: bpy.props.BoolProperty(name="Value", description="Value of this parameter")
    value_text: bpy.props.StringProperty(name="Value", description="Value of this parameter")
    value_choice: bpy.props.EnumProperty(
        name="Value", description="Value of this parameter", items=_items, get=_get_choice, set=_set_choice
    )

    def value(self) -> float | int | bool | str:
        """The value in the type that the server expects; a float without the tail that single precision adds."""
        value = getattr(self, FIELDS[self.kind])
        return float(f"{value:.7g}") if self.kind == "float" else value

    def limits(self) -> str:
        """The range and the default as one line, "" for what has no range."""
        low, high = (f"{limit:g}" if abs(limit) < UNLIMITED else "" for limit in (self.minimum, self.maximum))
        span = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}" if high else ""
        return f"{span}, {self.default_text}" if span else self.default_text

    def describe(self, card: "Parameter") -> None:
        """Words and limits from the server's card; the value is left alone."""
        self.kind = card.type
        self.title = card.title or card.name.replace("_", " ").title()
        self.description = card.description
        self.choices = "\n".join(card.choices)
        self.minimum = -UNLIMITED if card.minimum is None else card.minimum
        self.maximum = UNLIMITED if card.maximum is None else card.maximum
        self.default_text = str(card.default)

    def default(self) -> float | int | bool | str:
        """The server's default."""
        kind = {"float": float, "int": int, "bool": lambda text: text == "True"}.get(self.kind, str)
        return kind(self.default_text)

    def put(self, value: float | int | bool | str) -> None:
        """Set the value. One that is no choice here leaves it as it is; a number out of range goes to its limit."""
        if self.kind != "choice" or value in self.choices.split("\n"):
            setattr(self, FIELDS[self.kind], value)

    def reset(self) -> None:
        """The server's default again."""
        setattr(self, FIELDS[self.kind], self.default())


def fits(collection: bpy.types.bpy_prop_collection, cards: "tuple[Parameter, ...]") -> bool:
    """Whether the items are those of the cards already."""
    return [(item.name, item.kind, item.default_text) for item in collection] == [(c.name, c.type, str(c.default)) for c in cards]


def rebuild(collection: bpy.types.bpy_prop_collection, cards: "tuple[Parameter, ...]") -> None:
    """The items as announced: what the artist changed stays by name and kind where it fits, the rest gets the new default."""
    kept = {(item.name, item.kind): item.value() for item in collection if item.value() != item.default()}
    collection.clear()
    for card in cards:
        item = collection.add()
        item.name = card.name
        item.describe(card)
        item.reset()
        if (card.name, card.type) in kept:
            item.put(kept[card.name, card.type])
