"""The methods there are, by name."""

from backend.distill.bridge import Bridge
from backend.distill.contract import Method
from backend.distill.parameters import parameters_of
from backend.distill.sds import SDS

METHODS: dict[str, Method] = {"sds": SDS(), "bridge": Bridge()}


def method(name: str) -> Method:
    """The method of that name. UserError for an unknown one, naming the nearest."""
    parameters_of(name)  # the same names, and the one place that words the error
    return METHODS[name]
