# SPDX-License-Identifier: GPL-3.0-or-later
"""Every sentence of core, as whole patterns in English; `ui` translates them by this text."""

from __future__ import annotations


def all_words() -> tuple[str, ...]:
    """All patterns, for the test that collects what must be translated."""
    raise NotImplementedError
