"""The experiments by name. Listing them imports none of them."""

from importlib import import_module
from typing import NamedTuple

from backend.errors import UserError
from backend.experiments.contract import Experiment
from protocol.strict import nearest


class Listed(NamedTuple):
    """The module that has `EXPERIMENT`, and one line on what it asks."""

    module: str
    summary: str


EXPERIMENTS: dict[str, Listed] = {
    "table1": Listed("backend.experiments.table1", "text to image: every method against real renders of the same captions"),
    "table2": Listed("backend.experiments.table2", "text to 3D: SDS, VSD, Bridge, ESD, SDI and PFD by the judge over 24 views"),
    "janus": Listed("backend.experiments.janus", "views that differ: IQ, IV, IG and false fronts of SDS, VSD and ESD at several lambda"),
    "sketch-to-real": Listed("backend.experiments.sketch_to_real", "sketch to asset: SDS against Bridge at equal cost"),
    "painting": Listed("backend.experiments.painting", "painting to real: Bridge, SDS and SDEdit on paintings of known objects"),
    "illusion": Listed("backend.experiments.illusion", "rotation overlays: how many of the four pictures are recognised"),
    "slack": Listed("backend.experiments.slack", "E1: how much freedom a sketch gives away, and what it costs"),
    "descents": Listed("backend.experiments.descents", "E2: what moves a sketch's shape best: optimiser, shading, moments"),
    "starts": Listed("backend.experiments.starts", "E3: what prompt mode should start from, and whether handles open"),
}


WITH_CLIP = ("table2",)
"""Those whose tables have a column for the similarity by a CLIP model of the user's own."""


def experiment(name: str) -> Experiment:
    """The experiment of that name. UserError for an unknown one, naming the nearest."""
    if name not in EXPERIMENTS:
        raise UserError(f"There is no experiment '{name}'.", nearest(name, list(EXPERIMENTS)))
    found: Experiment = import_module(EXPERIMENTS[name].module).EXPERIMENT
    return found
