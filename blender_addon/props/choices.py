# SPDX-License-Identifier: GPL-3.0-or-later
"""Menus whose items the server announces. The chosen identifier is stored as text, so another server cannot change its meaning."""

from collections.abc import Callable
from typing import Any

import bpy

from ..core import choices
from . import offer

Item = tuple[str, str, str]

_sources: dict[str, Callable[[Any, str], list[Item]]] = {"preset": choices.presets, "method": choices.methods, "prior": choices.priors}
_made: dict[tuple[str, str, int], list[Item]] = {}
"""Every list of items handed to Blender, which keeps no copy of the strings. Few and small, so none is ever dropped."""


def items(kind: str, saved: str) -> list[Item]:
    """The items of a menu, the saved choice among them; an empty identifier becomes "AUTO", which Blender can store."""
    key = (kind, saved, offer.number)
    if key not in _made:
        _made[key] = [(name or "AUTO", title, text) for name, title, text in _sources[kind](offer.welcome, saved)]
    return _made[key]


def menu(kind: str, name: str, description: str) -> Any:
    """An enum property that shows and sets the text property `kind` of the same group."""

    def listed(self: Any, context: bpy.types.Context | None) -> list[Item]:
        return items(kind, getattr(self, kind))

    def get(self: Any) -> int:
        identifiers = [item[0] for item in items(kind, getattr(self, kind))]
        saved = getattr(self, kind) or "AUTO"
        return identifiers.index(saved) if saved in identifiers else 0

    def put(self: Any, index: int) -> None:
        identifier = items(kind, getattr(self, kind))[index][0]
        setattr(self, kind, "" if identifier == "AUTO" else identifier)

    return bpy.props.EnumProperty(name=name, description=description, items=listed, get=get, set=put)
