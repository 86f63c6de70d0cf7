# SPDX-License-Identifier: GPL-3.0-or-later
"""Menus built from what the server offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.messages import Parameter, Welcome

Item = tuple[str, str, str]
"""(identifier, name, description), as an enum property takes it."""


def modes(welcome: Welcome | None, saved: str) -> list[Item]:
    """What to make. A saved choice that the server lacks stays, marked; so in all menus here."""
    raise NotImplementedError


def presets(welcome: Welcome | None, saved: str) -> list[Item]:
    """Named recipes."""
    raise NotImplementedError


def methods(welcome: Welcome | None, saved: str) -> list[Item]:
    """Gradients; the first, with an empty identifier, leaves the choice to the preset."""
    raise NotImplementedError


def priors(welcome: Welcome | None, saved: str) -> list[Item]:
    """Diffusion models."""
    raise NotImplementedError


def parameters(welcome: Welcome | None, method: str) -> tuple[Parameter, ...]:
    """The settings of a method; none where the server does not know it."""
    raise NotImplementedError
