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
}


def experiment(name: str) -> Experiment:
    """The experiment of that name. UserError for an unknown one, naming the nearest."""
    if name not in EXPERIMENTS:
        raise UserError(f"There is no experiment '{name}'.", nearest(name, list(EXPERIMENTS)))
    found: Experiment = import_module(EXPERIMENTS[name].module).EXPERIMENT
    return found
