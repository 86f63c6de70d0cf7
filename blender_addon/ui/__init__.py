# SPDX-License-Identifier: GPL-3.0-or-later
"""The SketchBridge tab of the 3D viewport's sidebar, in the order of work."""

import bpy

from . import keep, method, prompt, run, server, sketch, versions

classes = (
    *server.classes,
    *sketch.classes,
    *prompt.classes,
    *keep.classes,
    *method.classes,
    *run.classes,
    *versions.classes,
)


def register() -> None:
    for cls in classes:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(classes):
        bpy.utils.unregister_class(cls)
