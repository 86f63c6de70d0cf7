# SPDX-License-Identifier: GPL-3.0-or-later
"""Translations of everything the artist reads."""

import bpy

from ..core import words
from ..props.preferences import ROOT
from .translations import TRANSLATIONS


def register() -> None:
    bpy.app.translations.register(ROOT, TRANSLATIONS)
    words.use(bpy.app.translations.pgettext_iface)


def unregister() -> None:
    words.use(str)
    bpy.app.translations.unregister(ROOT)
