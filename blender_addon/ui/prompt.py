# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel "Prompt": what it should become, with the words that the image model knows."""

import bpy
from bpy.app.translations import pgettext_iface as say

from ..props import offer
from ..props.settings import active_settings
from . import shown
from .panel import SidebarPanel, paragraph

WORDS_SHOWN = 60
"""Of each kind; more would not fit a screen."""


class SKETCHBRIDGE_PT_prompt(SidebarPanel, bpy.types.Panel):
    bl_label = "Prompt"

    def draw(self, context: bpy.types.Context) -> None:
        draw(self.layout, context)


class SKETCHBRIDGE_MT_insert_word(bpy.types.Menu):
    bl_label = "Insert Word"
    bl_description = "Words that the image model was trained on"

    def draw(self, context: bpy.types.Context) -> None:
        draw_words(self.layout, active_settings(context).prior)


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    row = layout.row(align=True)
    row.prop(active_settings(context), "prompt", text="", icon="OUTLINER_OB_FONT", placeholder=say("What it should become"))
    row.menu("SKETCHBRIDGE_MT_insert_word", text="", icon="ADD")
    example = shown.now.example
    text = say("For example: {prompts}").format(prompts=example) if example else say("Connect to see the words it knows")
    paragraph(layout.column(align=True), text)


def draw_words(layout: bpy.types.UILayout, prior: str) -> None:
    info = offer.prior(prior)
    if info is None:
        layout.label(text="Connect to see the words it knows")
        return
    columns = layout.row()
    for title, words in (("Objects", info.nouns), ("Colors", info.colours), ("Patterns", info.patterns)):
        if words:
            column = columns.column()
            column.label(text=title)
            for word in words[:WORDS_SHOWN]:
                column.operator("sketchbridge.insert_word", text=word, translate=False).word = word
    column = columns.column()
    if not (info.nouns or info.colours or info.patterns):
        column.label(text="This model takes any words")
    if info.example_prompts:
        column.label(text="Examples")
    for prompt in info.example_prompts:
        entry = column.operator("sketchbridge.insert_word", text=prompt, translate=False)
        entry.word, entry.replace = prompt, True


classes = (SKETCHBRIDGE_MT_insert_word, SKETCHBRIDGE_PT_prompt)
