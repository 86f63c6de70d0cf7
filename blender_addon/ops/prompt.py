# SPDX-License-Identifier: GPL-3.0-or-later
"""Small hands for the settings: words, seed, defaults. One undo step each."""

import random

import bpy
from bpy.app.translations import pgettext_iface as say

from ..props.settings import active_settings
from .reporting import UNDOABLE_IN_PANEL, reporting


class SKETCHBRIDGE_OT_insert_word(bpy.types.Operator):
    bl_idname = "sketchbridge.insert_word"
    bl_label = "Insert Word"
    bl_description = "Add this word to the prompt"
    bl_options = UNDOABLE_IN_PANEL

    word: bpy.props.StringProperty(name="Word", description="What to add")
    replace: bpy.props.BoolProperty(name="Replace", description="Use it in place of the whole prompt", options={"SKIP_SAVE"})

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = active_settings(context)
        typed = "" if self.replace else settings.prompt.strip()
        article = "" if self.replace else "an" if self.word[:1] in "aeiou" else "a"
        settings.prompt = f"{typed or article} {self.word}".strip()
        return {"FINISHED"}


class SKETCHBRIDGE_OT_randomise_seed(bpy.types.Operator):
    bl_idname = "sketchbridge.randomise_seed"
    bl_label = "New Seed"
    bl_description = "Choose another seed, for another variant of the same prompt"
    bl_options = UNDOABLE_IN_PANEL

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        active_settings(context).seed = random.randrange(10_000)
        return {"FINISHED"}


class SKETCHBRIDGE_OT_reset_parameter(bpy.types.Operator):
    bl_idname = "sketchbridge.reset_parameter"
    bl_label = "Reset to Default"
    bl_description = "Use the server's default for this value"
    bl_options = UNDOABLE_IN_PANEL

    name: bpy.props.StringProperty(name="Parameter", description="Which value")

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        """The parameter's own words and range: a tooltip that the field itself cannot have."""
        item = active_settings(context).parameters.get(properties.name)
        return f"{item.description}\n{item.limits()}".strip() if item is not None else cls.bl_description

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        item = active_settings(context).parameters.get(self.name)
        if item is None:
            self.report({"ERROR"}, say("The method has no value '{name}'.").format(name=self.name))
            return {"CANCELLED"}
        item.reset()
        return {"FINISHED"}


classes = (SKETCHBRIDGE_OT_insert_word, SKETCHBRIDGE_OT_randomise_seed, SKETCHBRIDGE_OT_reset_parameter)
