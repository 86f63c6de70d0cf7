# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist types into a run's row: mirrors the session's rows, so nothing here says that a run is alive."""

import bpy


class SKETCHBRIDGE_PG_row(bpy.types.PropertyGroup):
    """One run; `name` is the job's id. `sent` is the prompt that the server has, `prompt` what is typed beside it."""

    prompt: bpy.props.StringProperty(name="New Prompt", description="What this job should become from here on", maxlen=2000)
    sent: bpy.props.StringProperty()


def match_rows(rows: bpy.types.bpy_prop_collection, prompts: dict[str, str]) -> None:
    """One item per job. A prompt that the server changed is shown unless the artist has begun to type another."""
    for index in reversed(range(len(rows))):
        if rows[index].name not in prompts:
            rows.remove(index)
    for job, prompt in prompts.items():
        item = rows.get(job)
        if item is None:
            item = rows.add()
            item.name = job
        if item.sent != prompt:
            if item.prompt == item.sent:
                item.prompt = prompt
            item.sent = prompt
