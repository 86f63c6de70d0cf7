# SPDX-License-Identifier: GPL-3.0-or-later
"""Every text that an artist can read is translated, with the same places to fill in, and shown in the chosen language."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest
from steps import cube, ticks

from blender_addon import props
from blender_addon.core import words

pytest_plugins = ("extension",)
ROOT = Path(__file__).parents[2] / "blender_addon"
SPOKEN = {"say", "refuse", "label", "operator", "prop", "menu", "progress", "operator_menu_enum"}
INHERITED = {"rna_type", "bl_idname", "name"}


def of_classes() -> Iterator[str]:
    """Labels and tooltips of everything registered."""
    for name in dir(bpy.types):
        if not name.startswith("SKETCHBRIDGE_"):
            continue
        cls = getattr(bpy.types, name)
        yield from (getattr(cls, "bl_label", ""), getattr(cls, "bl_description", ""), getattr(cls, "bl_category", ""))
        if "_OT_" in name:
            rna = getattr(bpy.ops.sketchbridge, name.partition("_OT_")[2]).get_rna_type()
            yield from of_properties(rna)
    for cls in props.classes:
        yield from of_properties(cls.bl_rna)


def of_properties(rna: Any) -> Iterator[str]:
    """Words of the properties that are drawn: those with a description."""
    for prop in rna.properties:
        if prop.identifier not in INHERITED and prop.description:
            yield from (prop.name, prop.description)
            if prop.type == "ENUM" and not prop.identifier.endswith("_px"):
                yield from (text for item in prop.enum_items_static for text in (item.name, item.description))


def of_sources() -> Iterator[str]:
    """Texts in the code that draws, refuses and reports."""
    for path in (path for folder in ("ui", "ops", "props") for path in (ROOT / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("why_not"):
                yield from (c.value for r in ast.walk(node) if isinstance(r, ast.Return) and r.value for c in literals(r.value))
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in SPOKEN:
                spoken = [word.value for word in node.keywords if word.arg == "text"]
                spoken += node.args if getattr(node.func, "id", "") in ("say", "refuse") else []
                yield from (c.value for part in spoken for c in literals(part))


def literals(node: ast.AST) -> Iterator[ast.Constant]:
    """Texts of an expression, without those that another call takes."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    elif isinstance(node, (ast.IfExp, ast.BoolOp)):
        for child in (node.body, node.orelse) if isinstance(node, ast.IfExp) else node.values:
            yield from literals(child)


def of_tables() -> Iterator[str]:
    from blender_addon.ops.reporting import CONNECT_FIRST, NO_JOB
    from blender_addon.ui.run import BUTTON
    from blender_addon.ui.shown import HEADLINES

    yield from (CONNECT_FIRST, NO_JOB, "Starting", "Server Ended")
    yield from (text for text, _ in BUTTON.values())
    yield from (text for _, text in HEADLINES.values())


def all_texts() -> set[str]:
    found = {*of_classes(), *of_sources(), *of_tables(), *words.all_words()}
    return {text for text in found if re.search("[A-Za-z]{2}", re.sub(r"\{[^}]*\}", "", text))}


@pytest.fixture
def german():
    """The module is built without languages, so the table is asked directly."""
    from blender_addon.text.translations import TRANSLATIONS

    before = bpy.app.translations.pgettext_iface
    words.use(lambda text: TRANSLATIONS["de_DE"].get(("*", text), text))
    yield
    words.use(before)


def test_the_collection_finds_what_there_is(addon):
    found = all_texts()
    assert {"Refine Sketch", "Freedom", "Keep What Exists", "Select a mesh first", "Connect to a server first"} <= found
    assert len(found) > 250


def test_nothing_is_untranslated(addon):
    from blender_addon.text.translations import TRANSLATIONS

    for language, table in TRANSLATIONS.items():
        missing = sorted(text for text in all_texts() if ("*", text) not in table)
        assert not missing, f"{language} lacks: " + "; ".join(missing)


def test_the_same_places_are_filled_in(addon):
    from blender_addon.text.translations import TRANSLATIONS

    for table in TRANSLATIONS.values():
        for (_, english), translated in table.items():
            assert translated and set(re.findall(r"\{[^}]*\}", english)) == set(re.findall(r"\{[^}]*\}", translated)), english


def test_jobs_speak_german(addon, server, german):
    from blender_addon.ui import shown

    cube().sketchbridge.prompt = "a red mug"
    bpy.ops.sketchbridge.submit()
    server.run(next(iter(server.submitted)), 40)
    ticks(addon)
    assert any("Schritt 40 von 100" in line.text for line in shown.now.jobs)
