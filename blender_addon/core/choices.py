# SPDX-License-Identifier: GPL-3.0-or-later
"""Menus built from what the server offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import words
from .words import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocol.messages import Choice, MethodCard, Parameter, PriorInfo, Welcome

Item = tuple[str, str, str]
"""(identifier, name, description), as an enum property takes it."""


def modes(welcome: Welcome | None, saved: str) -> list[Item]:
    """What to make. A saved choice that the server lacks stays, marked; so in all menus here."""
    return _menu(welcome.modes if welcome else None, saved)


def presets(welcome: Welcome | None, saved: str) -> list[Item]:
    """Named recipes."""
    return _menu(welcome.presets if welcome else None, saved)


def methods(welcome: Welcome | None, saved: str) -> list[Item]:
    """Gradients; the first, with an empty identifier, leaves the choice to the preset."""
    by_preset = ("", say(words.BY_PRESET), say(words.BY_PRESET_TIP))
    return [by_preset] + (_menu(welcome.methods if welcome else None, saved) if welcome or saved else [])


def priors(welcome: Welcome | None, saved: str) -> list[Item]:
    """Diffusion models; the description is the licence."""
    return _menu(welcome.priors if welcome else None, saved)


def parameters(welcome: Welcome | None, method: str) -> tuple[Parameter, ...]:
    """The settings of a method; none where the server does not know it."""
    cards = welcome.methods if welcome else ()
    return next((card.parameters for card in cards if card.name == method), ())


def _menu(offered: Iterable[Choice | MethodCard | PriorInfo] | None, saved: str) -> list[Item]:
    items = [_item(one) for one in offered or ()]
    if not saved or saved in {item[0] for item in items}:
        return items
    if offered is None:
        return [(saved, saved, say(words.NOT_CONNECTED))]
    return [*items, (saved, say(words.MARKED, name=saved), say(words.NOT_ON_SERVER))]


def _item(one: Choice | MethodCard | PriorInfo) -> Item:
    return (one.name, one.title or one.name, getattr(one, "description", "") or getattr(one, "licence", ""))
