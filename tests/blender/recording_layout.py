# SPDX-License-Identifier: GPL-3.0-or-later
"""A layout that checks and keeps what is drawn into it: every icon, property, operator and menu must exist in this Blender."""

from dataclasses import dataclass, field
from typing import Any

import bpy

ICONS = frozenset(bpy.types.UILayout.bl_rna.functions["prop"].parameters["icon"].enum_items.keys())


@dataclass
class Drawn:
    """One thing on the panel. `enabled`: what the operator's poll says; `reason` why not."""

    kind: str
    text: str
    name: str = ""
    icon: str = "NONE"
    enabled: bool = True
    reason: str = ""
    properties: dict[str, Any] = field(default_factory=dict)


class Filled:
    """Operator properties as the panel fills them: only ones that the operator has."""

    def __init__(self, operator: Any, drawn: Drawn) -> None:
        object.__setattr__(self, "_known", frozenset(rna.identifier for rna in operator.get_rna_type().properties))
        object.__setattr__(self, "_drawn", drawn)

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in self._known, f"{self._drawn.name} has no property {name}"
        self._drawn.properties[name] = value


class RecordingLayout:
    """`drawn` of all layouts below one root is the same list."""

    def __init__(self, drawn: list[Drawn] | None = None, pointers: dict[str, Any] | None = None) -> None:
        self.drawn: list[Drawn] = [] if drawn is None else drawn
        self.pointers = dict(pointers or {})
        self.alert = False

    def _below(self, **_: Any) -> "RecordingLayout":
        return RecordingLayout(self.drawn, self.pointers)

    row = column = box = split = column_flow = _below

    def _add(self, kind: str, text: str, icon: str, name: str = "") -> Drawn:
        assert icon in ICONS, f"no icon {icon}"
        entry = Drawn(kind, text, name, icon)
        self.drawn.append(entry)
        return entry

    def separator(self, **_: Any) -> None:
        pass

    def context_pointer_set(self, name: str, data: Any) -> None:
        self.pointers[name] = data

    def label(self, text: str = "", icon: str = "NONE", translate: bool = True) -> None:
        assert text, "an empty label"
        self._add("label", text, icon)

    def progress(self, factor: float, text: str = "", translate: bool = True) -> None:
        assert 0 <= factor <= 1
        self._add("progress", text, "NONE").properties["factor"] = factor

    def prop(self, data: Any, name: str, text: str | None = None, icon: str = "NONE", translate: bool = True, **_: Any) -> None:
        rna = data.bl_rna.properties[name]
        if rna.type == "ENUM":
            assert getattr(data, name), f"{name} shows no choice"
        self._add("prop", rna.name if text is None else text, icon, name)

    def prop_search(self, data: Any, name: str, search: Any, listed: str, text: str = "", icon: str = "NONE") -> None:
        assert name in data.bl_rna.properties and listed in search.bl_rna.properties
        self._add("prop", text, icon, name)

    def menu(self, name: str, text: str | None = None, icon: str = "NONE") -> None:
        cls = getattr(bpy.types, name)
        self._add("menu", cls.bl_label if text is None else text, icon, name)

    def operator(self, name: str, text: str | None = None, icon: str = "NONE", translate: bool = True, **_: Any) -> Filled:
        operator = getattr(bpy.ops.sketchbridge, name.removeprefix("sketchbridge."))
        entry = self._add("operator", operator.get_rna_type().name if text is None else text, icon, name)
        assert entry.text or icon != "NONE", f"{name} has neither text nor icon"
        with bpy.context.temp_override(**self.pointers):
            entry.enabled = operator.poll()
            entry.reason = "" if entry.enabled else why_disabled(operator)
        return Filled(operator, entry)

    def operator_menu_enum(self, name: str, choices: str, text: str = "", icon: str = "NONE") -> Filled:
        assert choices in getattr(bpy.ops.sketchbridge, name.removeprefix("sketchbridge.")).get_rna_type().properties
        return self.operator(name, text=text, icon=icon)

    def texts(self) -> list[str]:
        """Everything written."""
        return [entry.text for entry in self.drawn if entry.text]

    def named(self, name: str) -> list[Drawn]:
        """Everything with this operator, property or menu."""
        return [entry for entry in self.drawn if entry.name == name]


def why_disabled(operator: Any) -> str:
    """The reason that an operator gives under its greyed-out button."""
    try:
        operator()
    except RuntimeError as error:
        return str(error).partition("poll() ")[2].strip().removeprefix("failed, context is incorrect")
    raise AssertionError("the operator ran although its poll failed")
