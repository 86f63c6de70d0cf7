# SPDX-License-Identifier: GPL-3.0-or-later
"""The translations by language, keyed by context and English text as Blender takes them."""

from . import german

TRANSLATIONS = {"de_DE": german.made()}
"""Locale -> {(context, English): translation}."""
