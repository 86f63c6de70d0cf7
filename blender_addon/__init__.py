# SPDX-License-Identifier: GPL-3.0-or-later
"""SketchBridge: refine rough 3D sketches into textured assets, in place, with your own server."""


def register() -> None:
    """Make everything known to Blender. Connects to nothing."""
    from . import ops, props, runtime, text, ui

    props.register()
    ops.register()
    ui.register()
    text.register()
    runtime.register()


def unregister() -> None:
    """The reverse: nothing is left."""
    from . import ops, props, runtime, text, ui

    runtime.unregister()
    text.unregister()
    ui.unregister()
    ops.unregister()
    props.unregister()
