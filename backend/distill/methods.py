"""The methods there are, by name."""

from backend.distill.bridge import Bridge
from backend.distill.cfd import CFD
from backend.distill.contract import Method
from backend.distill.csd import CSD
from backend.distill.dds import DDS
from backend.distill.dual_bridge import DualBridge
from backend.distill.esd import ESD
from backend.distill.ism import ISM
from backend.distill.jsd import JSD
from backend.distill.nfsd import NFSD
from backend.distill.parameters import parameters_of
from backend.distill.pfd import PFD
from backend.distill.sdi import SDI
from backend.distill.sds import SDS
from backend.distill.vsd import VSD

METHODS: dict[str, Method] = {
    "sds": SDS(),
    "bridge": Bridge(),
    "csd": CSD(),
    "nfsd": NFSD(),
    "dds": DDS(),
    "vsd": VSD(),
    "esd": ESD(),
    "jsd": JSD(),
    "ism": ISM(),
    "sdi": SDI(),
    "pfd": PFD(),
    "cfd": CFD(),
    "dual_bridge": DualBridge(),
}


def method(name: str) -> Method:
    """The method of that name. UserError for an unknown one, naming the nearest."""
    parameters_of(name)  # the same names, and the one place that words the error
    return METHODS[name]
