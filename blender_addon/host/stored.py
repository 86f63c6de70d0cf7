# SPDX-License-Identifier: GPL-3.0-or-later
"""Custom properties that hold JSON. Files come from anywhere, so what they say is checked."""

from __future__ import annotations

import logging
from typing import TypeVar

import bpy
import msgspec

log = logging.getLogger(__name__)

Value = TypeVar("Value")

_passed_over: set[str] = set()


def stored(block: bpy.types.ID, key: str, kind: type[Value]) -> Value | None:
    """The value of the property; None where there is none or it is not of this kind, which is logged once."""
    text = block.get(key)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, TypeError) as error:
        if str(text) not in _passed_over:
            _passed_over.add(str(text))
            log.warning("The property %s of '%s' cannot be read and is passed over: %s", key, block.name, error)
        return None
