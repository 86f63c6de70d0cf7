# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server announced when it was last reached; the menus are built from it. Written by the tick only."""

from protocol.messages import PriorInfo, Welcome

welcome: Welcome | None = None
number = 0
"""Grows with every announcement that differs, so that what was built from an older one can be told apart."""


def take(announced: Welcome | None) -> None:
    """Remember an announcement. A lost connection announces nothing, and the menus stay as they were."""
    global welcome, number
    if announced is not None and announced is not welcome:
        welcome = announced
        number += 1


def forget() -> None:
    """As if no server had ever been reached: for unregister."""
    global welcome, number
    welcome = None
    number += 1


def prior(name: str) -> PriorInfo | None:
    """The announced image model of that name."""
    return next((info for info in welcome.priors if info.name == name), None) if welcome else None
