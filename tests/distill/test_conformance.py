import pytest
import torch

from backend.distill.methods import METHODS, method
from backend.distill.parameters import (
    PARAMETERS,
    BridgeParameters,
    CFDParameters,
    CSDParameters,
    DDSParameters,
    DualBridgeParameters,
    ESDParameters,
    ISMParameters,
    JSDParameters,
    NFSDParameters,
    PFDParameters,
    SDIParameters,
    SDSParameters,
    VSDParameters,
)
from backend.errors import UserError

from .conformance import Inputs, check_method

OTHER_SETTINGS = {
    "sds": [SDSParameters(guidance=1.0), SDSParameters(guidance=0.0, weighting="x0"), SDSParameters(weighting="fantasia3d")],
    "bridge": [BridgeParameters(k=25.0, weighting="sds")],
    "csd": [
        CSDParameters(w1=1.0, w2=0.0),
        CSDParameters(w2=(0.0, 0.0, 5), weighting="uniform"),
        CSDParameters(w1=(1.0, 2.0, 10), w2=2.0, perp_neg=True),
        CSDParameters(w2=0.0, perp_neg=True),
    ],
    "nfsd": [
        NFSDParameters(negative_at="weak"),
        NFSDParameters(below=0, guidance=1.0),
        NFSDParameters(below=1000),
        NFSDParameters(perp_neg=True),
    ],
    "dds": [DDSParameters(guidance=1.0), DDSParameters(weighting="sds")],
    "vsd": [VSDParameters(guidance=1.0), VSDParameters(weighting="uniform", perp_neg=True)],
    "esd": [
        ESDParameters(guidance=1.0, lambda_=0.0),
        ESDParameters(lambda_=1.2, weighting="uniform"),
        ESDParameters(lambda_=(0, 1.0, 0.5, 10), perp_neg=True),
    ],
    "ism": [
        ISMParameters(guidance=1.0, inversion_guidance=1.0, delta_t=10.0),
        ISMParameters(delta_t=80.0, stride=50, inversion_guidance=-6.5, weighting="sds"),
        ISMParameters(delta_t=(20.0, 300.0, 9), perp_neg=True),
        ISMParameters(delta_t=5000.0, stride=1),
    ],
    "sdi": [
        SDIParameters(match_reference=True),
        SDIParameters(eta=0.0, inversion_guidance=None, stride=37, weighting="x0"),
        SDIParameters(guidance=1.0, inversion_guidance=0.0, eta=1.0),
        SDIParameters(guidance=7.5, inversion_guidance=-7.5, perp_neg=True),
        SDIParameters(stride=250, match_reference=True, perp_neg=True),
    ],
    "jsd": [
        JSDParameters(k=0.0, eta=0.0),
        JSDParameters(k=0.3, guidance=7.5, inversion_guidance=None, stride=200, weighting="x0", perp_neg=True),
        JSDParameters(form="saturating"),
        JSDParameters(form="non_saturating", sharpness=20.0, perp_neg=True),
        JSDParameters(form="saturating", guidance=1.0, sharpness=0.0, weighting="uniform"),
    ],
    "pfd": [
        PFDParameters(guidance=1.0, steps=1, solver="ddim"),
        PFDParameters(inversion_guidance=1.0, inversion_steps=3, steps=5, solver="heun", nodes="uniform", perp_neg=True),
        PFDParameters(inversion_solver="ab2", inversion_steps=20, solver="ddim", weighting="x0"),
        PFDParameters(form="forward", inversion_steps=20),
        PFDParameters(form="forward", guidance=1.0, inversion_solver="ab2", nodes="uniform", perp_neg=True),
    ],
    "dual_bridge": [
        DualBridgeParameters(guidance=1.0, solver="heun", weighting="x0"),
        DualBridgeParameters(source_guidance=3.0, steps=7, solver="dpmpp2m", perp_neg=True),
        DualBridgeParameters(form="inversion", perp_neg=True),
        DualBridgeParameters(form="inversion", source_guidance=0.0, guidance=1.0, steps=5, solver="heun"),
    ],
    "cfd": [CFDParameters(guidance=1.0), CFDParameters(drift=1e-4, weighting="sds"), CFDParameters(perp_neg=True)],
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_the_contract(name):
    check_method(METHODS[name], PARAMETERS[name]())


@pytest.mark.parametrize(("name", "parameters"), [(name, p) for name, several in OTHER_SETTINGS.items() for p in several])
def test_and_with_other_settings(name, parameters):
    check_method(METHODS[name], parameters)


def test_methods_and_parameters_have_the_same_names():
    assert set(METHODS) == set(PARAMETERS)
    assert all(METHODS[name].name == name for name in METHODS)
    assert method("bridge") is METHODS["bridge"]


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(UserError, match=r"no method 'bidge'. Did you mean 'bridge'"):
        method("bidge")


def test_residuals_of_clean_latents_are_averaged_and_those_of_noise_summed():
    # As the published codes reduce their losses: mean for SDI, JSD and, like SDI, PFD.
    assert {name for name in METHODS if METHODS[name].reduction == "mean"} == {"sdi", "jsd", "pfd"}


def test_settings_do_not_change_what_is_drawn():
    for name, several in OTHER_SETTINGS.items():
        drawn = [Inputs(METHODS[name], parameters) for parameters in (PARAMETERS[name](), *several)]
        for other in drawn[1:]:
            for key in drawn[0].draws.keys() & other.draws.keys():  # a form may draw nothing
                assert torch.equal(drawn[0].draws[key], other.draws[key])
