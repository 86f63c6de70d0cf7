# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators: one button, one use case of `core`."""

import bpy

from . import keep, prompt, result, run, server

classes = (*server.classes, *prompt.classes, *keep.classes, *run.classes, *result.classes)


def register() -> None:
    for cls in classes:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(classes):
        bpy.utils.unregister_class(cls)
