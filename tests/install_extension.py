# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs a zip into a clean profile of the Blender module and writes down, as JSON, what came of it.

Run as `python -S -I install_extension.py SITE PROFILE ZIP REPORT`: SITE is the only folder besides the standard library to import from.
"""

import importlib.util
import json
import os
import sys
import threading

site, profile, archive, report = sys.argv[1:]
sys.path.append(site)
os.environ["BLENDER_USER_RESOURCES"] = profile

import bpy  # noqa: E402


def panels() -> list[str]:
    """Names of our panel classes that Blender knows."""
    return sorted(name for name in dir(bpy.types) if name.startswith("SKETCHBRIDGE_PT_"))


before = [name for name in ("msgspec", "zmq", "protocol") if importlib.util.find_spec(name)]
bpy.ops.extensions.package_install_files(filepath=archive, repo="user_default", enable_on_install=True)
module = next((addon.module for addon in bpy.context.preferences.addons if addon.module.endswith(".sketchbridge")), "")
facts = {
    "blender": bpy.app.version_string,
    "there before": before,
    "module": module,
    "panels": panels(),
    "wheels": {name: importlib.import_module(name).__file__ for name in ("msgspec", "zmq")},
    "wire": importlib.import_module(f"{module}.protocol.messages").__file__ if module else "",
    "threads": [thread.name for thread in threading.enumerate()],
}
bpy.ops.preferences.addon_disable(module=module)
facts["panels when disabled"] = panels()
with open(report, "w", encoding="utf-8") as file:
    json.dump(facts, file)
os._exit(0)  # Blender modules may crash or hang in their exit handlers
