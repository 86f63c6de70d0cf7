import subprocess
import sys

import pytest

from backend.distill.parameters import FROM_CARD, PARAMETERS, BridgeParameters, SDSParameters
from backend.distill.read_parameters import describe_parameters, parse_parameters
from backend.errors import UserError
from backend.priors.card import PriorCard


def test_given_settings_win_over_the_card_and_the_card_over_the_defaults():
    card = PriorCard(sds_guidance=15.0, bridge_k=3.0)
    assert parse_parameters("sds", {}) == SDSParameters(guidance=100.0, weighting="sds")
    assert parse_parameters("sds", {}, card).guidance == 15.0
    assert parse_parameters("sds", {"guidance": 7, "weighting": "x0"}, card) == SDSParameters(guidance=7.0, weighting="x0")
    assert parse_parameters("bridge", {}, card) == BridgeParameters(k=3.0)


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("sdss", {}, "no method 'sdss'. Did you mean 'sds'"),
        ("sds", {"guidnce": 3}, "no setting 'guidnce'. Did you mean 'guidance'"),
        ("sds", {"guidance": "much"}, "expected 'float', got 'str' .in 'guidance'"),
        ("sds", {"guidance": True}, "expected 'float', got 'bool'"),
        ("sds", {"guidance": -1.0}, ">= 0.0 .in 'guidance'"),
        ("bridge", {"k": 1e9}, "<= 1000.0 .in 'k'"),
        ("bridge", {"k": float("nan")}, "'k' of the method 'bridge' should be a finite number"),
        ("bridge", {"weighting": "sde"}, "'weighting'"),
    ],
)
def test_wrong_settings_get_one_sentence(name, given, sentence):
    with pytest.raises(UserError, match=sentence) as raised:
        parse_parameters(name, given)
    assert "\n" not in str(raised.value)


def test_every_setting_can_be_drawn_by_a_panel():
    for name in PARAMETERS:
        for field in describe_parameters(name):
            assert field["title"], field
            assert field["description"].endswith("."), field
            assert field["type"] in ("float", "int", "bool", "choice", "text")
            if field["type"] == "float":
                assert field["minimum"] <= field["default"] <= field["maximum"]
            if field["type"] == "choice":
                assert field["default"] in field["choices"]
    guidance = describe_parameters("sds")[0]
    assert (guidance["name"], guidance["type"], guidance["minimum"], guidance["maximum"]) == ("guidance", "float", 0.0, 1000.0)


def test_defaults_from_the_card_name_real_fields():
    for name, fields in FROM_CARD.items():
        for setting, field in fields.items():
            assert setting in PARAMETERS[name].__struct_encode_fields__
            assert field in PriorCard.__struct_fields__


def test_settings_are_announced_without_torch():
    program = "import sys, backend.distill.read_parameters as p; p.describe_parameters('sds'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
