# SPDX-License-Identifier: GPL-3.0-or-later
"""What to make and how: on each object that can be a sketch, and on the scene for everything else."""

import bpy

from protocol.job import RefineJob

from ..core import choices
from ..core.build_job import Settings
from ..host.chosen import chosen_objects
from ..host.sketch import READABLE_MODES
from . import offer
from .choices import menu
from .parameter import SKETCHBRIDGE_PG_parameter, fits, rebuild

MODES = (
    ("sketch", "Sketch", "Refine the selected objects into one textured asset", "GREASEPENCIL", 0),
    ("prompt", "Prompt Only", "Create an asset at the 3D cursor from the prompt alone", "OUTLINER_OB_FONT", 1),
    ("texture", "Texture Only", "Paint the selected mesh and leave its shape alone", "TEXTURE", 2),
)
LARGEST_SEED = 2**31 - 1
SKETCHABLE = ("MESH", "CURVE", "SURFACE", "FONT", "GPENCIL", "GREASEPENCIL")
SHAPELESS = ("LIGHT", "CAMERA", "LIGHT_PROBE", "SPEAKER", "ARMATURE", "LATTICE")


def _method_changed(self: "SKETCHBRIDGE_PG_settings", context: bpy.types.Context) -> None:
    self.match_parameters()


class SKETCHBRIDGE_PG_settings(bpy.types.PropertyGroup):
    """Settings of one object, or of the scene."""

    prompt: bpy.props.StringProperty(name="Prompt", description="What it should become, for example: a red mug", maxlen=2000)
    mode: bpy.props.EnumProperty(name="Mode", description="What is sent to the server", items=MODES, default="sketch")
    preset: bpy.props.StringProperty(default="default")
    preset_menu: menu("preset", "Preset", "Named recipe: how long a run takes and how far it goes")
    method: bpy.props.StringProperty(default="", update=_method_changed)
    method_menu: menu("method", "Gradient", "How the image model's judgement moves the surface")
    prior: bpy.props.StringProperty(default="starter")
    prior_menu: menu("prior", "Image Model", "Which image model judges the result")
    parameters: bpy.props.CollectionProperty(type=SKETCHBRIDGE_PG_parameter)
    slack: bpy.props.FloatProperty(
        name="Freedom",
        description="How far the shape may leave the sketch: inwards in radii of its strokes, outwards in tens of grid cells",
        min=0.0,
        max=1.0,
        default=0.25,
        subtype="FACTOR",
    )
    seed: bpy.props.IntProperty(name="Seed", description="Another number gives another variant; the same one repeats a run", min=0)
    steps: bpy.props.IntProperty(
        name="Steps", description="Length of the run; 0 leaves it to the preset", min=0, max=100_000, soft_max=2_000
    )
    faces: bpy.props.IntProperty(
        name="Faces", description="Largest number of triangles in the result", min=100, max=2_000_000, soft_max=200_000, default=20_000
    )
    texture_px: bpy.props.EnumProperty(
        name="Texture",
        description="Width and height of the textures in pixels",
        items=[(str(size), f"{size} px", "") for size in (512, 1024, 2048, 4096, 8192)],
        default="1024",
    )
    symmetric: bpy.props.BoolProperty(name="Symmetric", description="Looks the same from all sides: no view words", default=False)
    front_deg: bpy.props.FloatProperty(
        name="Front",
        description="Turn the side that the prompt calls the front: 0 looks along Y as in the Front view",
        subtype="ANGLE",
        soft_min=-3.1416,
        soft_max=3.1416,
    )
    keep_group: bpy.props.StringProperty(name="Keep", description="Vertex group whose vertices must not move")
    size: bpy.props.FloatProperty(
        name="Size", description="Longest side of the new object", min=1e-4, soft_max=100.0, default=2.0, subtype="DISTANCE"
    )

    def match_parameters(self) -> None:
        """The parameters that the chosen method has at this server; what was changed is kept by name."""
        if offer.welcome is None:
            return
        cards = choices.parameters(offer.welcome, self.method)
        if not fits(self.parameters, cards):
            rebuild(self.parameters, cards)

    def take(self, job: RefineJob) -> None:
        """The settings of a run, for the object that came out of it. The mode stays: the next run starts from what is there."""
        self.prompt, self.preset, self.method, self.prior = job.prompt, job.preset, job.method, job.prior
        self.slack, self.seed, self.symmetric = job.slack, min(job.seed, LARGEST_SEED), job.symmetric
        self.faces = job.budget.faces
        for item in self.parameters:
            item.reset()
            if item.name in job.parameters:
                item.put(job.parameters[item.name])

    def values(self) -> Settings:
        """The same as plain values for `core`."""
        return Settings(
            mode=self.mode,
            prompt=self.prompt.strip(),
            preset=self.preset,
            method=self.method,
            parameters={item.name: item.value() for item in self.parameters} if self.method else {},
            prior=self.prior,
            seed=self.seed,
            slack=float(f"{self.slack:.6g}"),
            steps=self.steps or -1,
            symmetric=self.symmetric,
            front_deg=float(f"{self.front_deg * 57.29577951308232:.6g}"),
            faces=self.faces,
            texture_px=int(self.texture_px),
            keep_group=self.keep_group if self.mode == "sketch" else "",
        )


def settings_of(active: bpy.types.Object | None, scene: bpy.types.Scene) -> SKETCHBRIDGE_PG_settings:
    """The active object's settings if it can be a sketch and be written to, else the scene's."""
    if active is not None and active.type in SKETCHABLE and active.library is None:
        return active.sketchbridge
    return scene.sketchbridge


def active_settings(context: bpy.types.Context) -> SKETCHBRIDGE_PG_settings:
    """The settings that the panel shows."""
    return settings_of(context.view_layer.objects.active, context.scene)


def why_not_submit(context: bpy.types.Context) -> str:
    """What the artist still has to do before a run can start; "" if nothing."""
    settings, selected = active_settings(context), chosen_objects(context.view_layer)
    if not settings.prompt.strip():
        return "Type what it should become in the Prompt panel"
    if settings.mode == "prompt":
        return ""
    if any(item.mode not in READABLE_MODES for item in selected):
        return "Press Tab to go back to Object Mode first"
    if settings.mode == "texture" and sum(item.type == "MESH" for item in selected) != 1:
        return "Select one mesh first"
    return "" if any(item.type not in SHAPELESS for item in selected) else "Select a mesh, a curve or strokes first"
