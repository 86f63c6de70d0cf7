"""What is being made: a surface, its colours, and what they must stay close to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backend.appearance.start_colours import fit_start_colours
from backend.appearance.triplane import TriplaneField
from backend.assets.mesh import PolygonMesh
from backend.assets.triangulate import Triangulation
from backend.colour import linear_to_srgb
from backend.geometry.contract import Mesh, Surface
from backend.geometry.density import DensityVolume
from backend.geometry.dmtet import DMTet
from backend.geometry.fidelity import Fidelity, FidelityMeter
from backend.geometry.normalise import move
from backend.geometry.sketch_sdf import SketchField
from backend.refine.seeds import generator

MEAN_COLOUR_MEMORY = 0.9
EMA_DECAY = 0.995


@dataclass
class Subject:
    """Everything a stage optimises or compares with. Lengths in domain units, colours linear unless said.

    `field` is what is learned, `shown` what is seen: the same, or with the colours of kept parts frozen.
    """

    surface: Surface
    field: TriplaneField
    h: float  # grid cell
    radius: float  # of the bounding sphere around the origin
    to_scene: np.ndarray  # [4,4] domain -> the sketch's own coordinates
    start: Mesh  # the first extraction, detached
    front_deg: float = 0.0
    symmetric: bool = False  # no view words
    surface_points: Tensor | None = None  # [S,3] host, targets of close-ups
    start_colours: tuple[Tensor, Tensor] | None = None  # points [S,3], colours [S,3] of the sketch itself
    anchored_steps: int = 0  # how long `start_colours` hold the field
    shown: nn.Module | None = None
    volume: DensityVolume | None = None  # the haze that stands for surface and colours until it is settled
    given: TriplaneField | None = None  # the colours before the first step, where a method compares with them
    sketch: SketchField | None = None
    protected: Tensor | None = None  # [S,3] sketch points whose pieces are never floaters
    set_slack: Callable[[float], None] | None = None
    meter: FidelityMeter | None = None  # compares with the sketch
    drawn: Mesh | None = None  # the sketch itself, as drawn, in the domain
    kept: Tensor | None = None  # [N] keep mask on the grid
    polygons: PolygonMesh | None = None  # texture mode
    triangles: Triangulation | None = None  # texture mode: how `polygons` became faces
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        device = self.start.vertices.device
        self.mean_colour = torch.full((3,), -1.0, device=device)  # display; -1: nothing seen yet, close to no background
        self.average: dict[str, Tensor] = {}

    @cached_property
    def at_start(self) -> Fidelity:
        """The start surface against the sketch: what a grid cannot hold is nobody's fault later."""
        assert self.meter is not None
        return self.meter.measure(self.start)

    def colour(self, points: Tensor) -> Tensor:
        """[P,3] points in domain units -> [P,3] linear colours as shown."""
        if self.volume is not None:
            return self.volume.colours(points)
        colours: Tensor = (self.shown or self.field)(points)
        return colours

    @torch.no_grad()
    def observe(self, colours: Tensor) -> None:
        """Follow the mean colour of what is rendered, on the device, so that backgrounds can keep away from it."""
        if colours.shape[0]:
            seen = linear_to_srgb(colours.detach()).mean(0)
            first = (self.mean_colour < 0).all()
            self.mean_colour = torch.where(first, seen, MEAN_COLOUR_MEMORY * self.mean_colour + (1 - MEAN_COLOUR_MEMORY) * seen)

    @torch.no_grad()
    def average_colours(self) -> None:
        """Count the field's present weights into their exponential average, which is exported instead of the last ones."""
        for name, value in self.field.state_dict().items():
            if name in self.average:
                self.average[name].lerp_(value, 1 - EMA_DECAY)
            else:
                self.average[name] = value.clone()

    def settle_colours(self) -> None:
        """Put the averaged weights in place, if there are any."""
        if self.average:
            self.field.load_state_dict(self.average)
            self.average = {}

    def settle_volume(self, seed: int) -> None:
        """Let the half-way surface of the haze, without floaters, be the shape, and its colours the field's; else nothing."""
        if self.volume is None:
            return
        assert isinstance(self.surface, DMTet)
        self.surface.rest_on(self.volume.signed_distance(self.surface.grid))
        self.surface.remove_floaters(self.start.vertices.new_zeros(0, 3))
        colours, self.volume = self.volume, None
        where = self.still().vertices
        with torch.no_grad():
            seen = colours.colours(where)
        fit_start_colours(self.field, where, seen, generator=generator(seed, "haze colours"))

    @torch.no_grad()
    def still(self) -> Mesh:
        """The present surface without gradients."""
        if self.volume is not None:
            return self.volume.surface()
        mesh = self.surface.extract()
        return mesh._replace(vertices=mesh.vertices.detach())

    def kept_points(self) -> np.ndarray | None:
        """Sketch points [P,3] whose pieces clean-up never drops: all of them, so that no stroke is lost."""
        return None if self.protected is None else self.protected.cpu().numpy()

    @torch.no_grad()
    def scene_mesh(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertices [V,3] float32 in the sketch's own coordinates, faces [F,3] int32, vertex colours [V,3] uint8 display."""
        mesh = self.still()
        colours = linear_to_srgb(self.colour(mesh.vertices))
        return (
            move(mesh.vertices.cpu().numpy(), self.to_scene),
            mesh.faces.cpu().numpy().astype(np.int32),
            (colours.cpu().numpy() * 255 + 0.5).astype(np.uint8),
        )

    def state(self) -> dict[str, Any]:
        return {
            "surface": {name: value.detach().clone() for name, value in self.surface.state().items()},
            "field": {name: value.detach().clone() for name, value in self.field.state_dict().items()},
            "average": {name: value.clone() for name, value in self.average.items()},
            "mean_colour": self.mean_colour.clone(),
            "volume": {} if self.volume is None else self.volume.state(),
            "anchored_steps": self.anchored_steps,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.surface.load_state(state["surface"])
        if self.volume is not None and state["volume"]:
            self.volume.load_state(state["volume"])
        else:
            self.volume = None
        self.field.load_state_dict(state["field"])
        self.average = {name: value.clone() for name, value in state["average"].items()}
        self.mean_colour = state["mean_colour"].clone()
        self.anchored_steps = state["anchored_steps"]
