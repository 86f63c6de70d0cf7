# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes and durations as a person reads them."""

from __future__ import annotations

from . import words

KIB = 1024


def size(count: float) -> str:
    """ "812 KB", "3.1 MB", "23.4 GB"."""
    for unit in ("B", "KB", "MB"):
        if count < KIB:
            return f"{count:.0f} {unit}" if unit in ("B", "KB") else f"{count:.1f} {unit}"
        count /= KIB
    return f"{count:.1f} GB"


def age(seconds: float) -> str:
    """ "12 s", "3 min", "2 h"."""
    if seconds < 60:
        return words.say(words.SECONDS, n=int(seconds))
    if seconds < 3600:
        return words.say(words.MINUTES, n=int(seconds / 60))
    return words.say(words.HOURS, n=int(seconds / 3600))


def remaining(seconds: float) -> str:
    """ "About 40 s left"; coarser the longer it takes, so that the number does not dance."""
    if seconds < 5:
        return words.say(words.ETA_SOON)
    if seconds < 55:
        return words.say(words.ETA_SECONDS, seconds=5 * round(seconds / 5))
    if seconds < 3570:
        return words.say(words.ETA_MINUTES, minutes=max(1, round(seconds / 60)))
    minutes = 5 * round(seconds / 300)
    return words.say(words.ETA_HOURS, hours=minutes // 60, minutes=minutes % 60)
