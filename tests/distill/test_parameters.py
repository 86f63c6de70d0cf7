import subprocess
import sys

import msgspec
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


OTHER = PriorCard(
    sds_guidance=11.0, guidance=3.0, sdi_guidance=4.0, sdi_inversion_guidance=-2.0, jsd_guidance=5.0, jsd_inversion_guidance=-5.0,
    bridge_k=2.0, critic_rate=0.003,
)  # fmt: skip


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_guidance_and_critic_rate_follows_the_card(name):
    parameters = parse_parameters(name, {}, OTHER)
    expected = {"sds": 11.0, "sdi": 4.0, "jsd": 5.0}.get(name, 3.0)
    assert getattr(parameters, "guidance", expected) == expected
    assert getattr(parameters, "critic_rate", 0.003) == 0.003
    # Where the card is the one of large priors, the defaults are the struct's own (JSD leaves its own open).
    usual, own = parse_parameters(name, {}, PriorCard()), parse_parameters(name, {}) if name != "jsd" else None
    assert own is None or name == "cfd" or usual == own
    shown = {entry["name"]: entry["default"] for entry in describe_parameters(name, OTHER)}
    for setting in FROM_CARD.get(name, {}):
        written = shown[setting]
        assert parse_parameters(name, {setting: written}, OTHER) == parameters, "a panel that sends its defaults changes nothing"


def test_jsd_takes_what_suits_its_form_and_its_prior():
    for empty in ({}, {"guidance": None}, {"guidance": ""}):
        assert parse_parameters("jsd", empty, OTHER).guidance == 5.0
        assert parse_parameters("jsd", {**empty, "form": "saturating"}, OTHER).guidance == 3.0
    assert parse_parameters("jsd", {"guidance": 8.0, "form": "saturating"}, OTHER).guidance == 8.0
    assert parse_parameters("sdi", {"inversion_guidance": None}, OTHER).inversion_guidance is None, "empty means 1 - guidance here"


SCHEDULE = "a schedule of 3 or 4 numbers, [from step, value, value, to step] with whole steps that do not go back"
G = "The setting 'guidance' of the method 'sds' should be a number from 0 to 1000, but it is "
W2 = f"The setting 'w2' of the method 'csd' should be a finite number, or {SCHEDULE}, but it is "
WEIGHTINGS = "one of fantasia3d, sds, uniform, x0"


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("sdss", {}, "There is no method 'sdss'."),
        ("sds", {"guidnce": 3}, "The method 'sds' has no setting 'guidnce'."),
        ("sds", {"guidance": "seven"}, f"{G}'seven'."),
        ("sds", {"guidance": True}, f"{G}true."),
        ("sds", {"guidance": None}, f"{G}empty."),
        ("sds", {"guidance": [7, 1]}, f"{G}[7, 1]."),
        ("sds", {"guidance": {"a": 1}}, f"{G}a table."),
        ("sds", {"guidance": -1.0}, f"{G}-1.0."),
        ("sds", {"guidance": float("nan")}, f"{G}nan."),
        ("sds", {"guidance": float("inf")}, f"{G}inf."),
        ("sds", {"guidance": "x" * 9000}, f"{G}'{'x' * 60}'."),
        ("bridge", {"k": 1e9}, "The setting 'k' of the method 'bridge' should be a number from 0 to 1000, but it is 1000000000.0."),
        ("bridge", {"weighting": "sde"}, f"The setting 'weighting' of the method 'bridge' should be {WEIGHTINGS}, but it is 'sde'."),
        ("bridge", {"weighting": 3}, f"The setting 'weighting' of the method 'bridge' should be {WEIGHTINGS}, but it is 3."),
        ("sds", {"perp_neg": "yes"}, "The setting 'perp_neg' of the method 'sds' should be true or false, but it is 'yes'."),
        ("sds", {"perp_neg": 1}, "The setting 'perp_neg' of the method 'sds' should be true or false, but it is 1."),
        ("pfd", {"steps": 2.5}, "The setting 'steps' of the method 'pfd' should be a whole number from 1 to 100, but it is 2.5."),
        ("pfd", {"steps": 0}, "The setting 'steps' of the method 'pfd' should be a whole number from 1 to 100, but it is 0."),
        (
            "vsd",
            {"critic_rate": 0.0},
            "The setting 'critic_rate' of the method 'vsd' should be a number from 1e-07 to 0.1, but it is 0.0.",
        ),
        (
            "sdi",
            {"inversion_guidance": "so"},
            "The setting 'inversion_guidance' of the method 'sdi' should be a finite number, or empty, but it is 'so'.",
        ),
        ("csd", {"w2": [1.0, 2.0]}, f"{W2}[1.0, 2.0]."),
        ("csd", {"w2": [0, 1, 2, 3, 4]}, f"{W2}[0, 1, 2, 3, 4]."),
        ("csd", {"w2": "[0, 1]"}, f"{W2}[0, 1]."),
        ("csd", {"w2": [0.0, 1.0, 2.0, 100]}, f"{W2}[0.0, 1.0, 2.0, 100]."),
        ("csd", {"w2": [0, 1.0, 2.0, 100.0]}, f"{W2}[0, 1.0, 2.0, 100.0]."),
        ("csd", {"w2": [200, 1.0, 2.0, 100]}, f"{W2}[200, 1.0, 2.0, 100]."),
        ("csd", {"w2": [-1, 1.0, 2.0, 100]}, f"{W2}[-1, 1.0, 2.0, 100]."),
        ("csd", {"w2": [0, float("nan"), 2.0, 100]}, f"{W2}[0, nan, 2.0, 100]."),
        ("csd", {"w2": [0, "one", 2.0, 100]}, f"{W2}[0, 'one', 2.0, 100]."),
        ("csd", {"w2": [0, [1], 2.0, 100]}, f"{W2}[0, [...], 2.0, 100]."),
        ("csd", {"w2": [0, True, 2.0, 100]}, f"{W2}[0, true, 2.0, 100]."),
        ("csd", {"w2": [10**400, 1, 2, 10**400]}, f"{W2}[1{'0' * 59}..., 1, 2, 1{'0' * 59}...]."),
        ("csd", {"w2": list(range(5000))}, f"{W2}[0, 1, 2, 3, 4, 5, 6, 7, ...]."),
        ("csd", {"w2": "half"}, f"{W2}'half'."),
        ("csd", {"w2": " "}, f"{W2}empty."),
        ("csd", {"w2": "[" * 100_000}, f"{W2}'{'[' * 60}'."),
        (
            "esd",
            {"lambda": "[0, 1"},
            f"The setting 'lambda' of the method 'esd' should be a finite number, or {SCHEDULE}, but it is '[0, 1'.",
        ),
        ("esd", {"lambda_": 0.5}, "The method 'esd' has no setting 'lambda_'."),
    ],
)
def test_wrong_settings_get_one_sentence_with_name_value_and_what_is_allowed(name, given, sentence):
    with pytest.raises(UserError) as raised:
        parse_parameters(name, given)
    assert raised.value.sentence == sentence
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "given", "hint"),
    [
        ("sdss", {}, "Did you mean 'sds'?"),
        ("sds", {"guidnce": 3}, "Did you mean 'guidance'?"),
        ("esd", {"lambda_": 0.5}, "Did you mean 'lambda'?"),
        ("csd", {"w2": [1, 2]}, "Write for example 0.5, or [0, 1.0, 0.5, 1000]."),
    ],
)
def test_and_a_hint_what_to_write(name, given, hint):
    with pytest.raises(UserError) as raised:
        parse_parameters(name, given)
    assert raised.value.hint == hint


def test_right_settings_come_as_numbers_literals_or_text():
    assert parse_parameters("csd", {"w2": 3}).w2 == 3.0
    for literal in ([0, 1.0, 2.0, 100], "[0, 1.0, 2.0, 100]", (0, 1.0, 2.0, 100)):
        assert parse_parameters("csd", {"w2": literal}).w2 == (0, 1.0, 2.0, 100)
    assert parse_parameters("csd", {"w2": [1, 0, 100]}).w2 == (1, 0, 100)
    assert parse_parameters("esd", {"lambda": "0.25"}).lambda_ == 0.25
    assert parse_parameters("pfd", {"inversion_guidance": ""}).inversion_guidance is None
    assert parse_parameters("pfd", {"inversion_guidance": "-3"}).inversion_guidance == -3.0


def test_a_default_of_the_card_is_checked_like_a_given_one():
    with pytest.raises(UserError, match=r"'guidance' of the method 'sds' should be a number from 0 to 1000, but it is -5"):
        parse_parameters("sds", {}, PriorCard(sds_guidance=-5.0))


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("name", ["bridge", "dds"])
def test_perp_neg_is_refused_where_it_has_nothing_to_turn(name, value):
    with pytest.raises(
        UserError, match=f"The method '{name}' cannot be combined with Perp-Neg, .* Leave it out, or choose one of sds, csd"
    ):
        parse_parameters(name, {"perp_neg": value})


# The rate is that of arXiv 2406.09417, appendix A.
CRITIC = {"critic_rate": 1e-4, "critic_rank": 4, "camera_dropout": 0.1, "camera_map": False, "critic_lessons": 1}
INVERSION = {"stride": 100, "eta": 0.3}
DEFAULTS = {
    "sds": {"guidance": 100.0, "weighting": "sds"},
    "dds": {"guidance": 7.5, "weighting": "uniform"},
    "nfsd": {"guidance": 7.5, "weighting": "sds", "below": 200, "negative_at": "strong"},  # arXiv 2310.17590, Eq. 6
    "csd": {"w1": 40.0, "w2": (0, 40.0, 0.0, 500), "weighting": "sds"},  # arXiv 2406.09417, appendix A
    "vsd": {"guidance": 7.5, "weighting": "sds", **CRITIC},
    "bridge": {"k": 1.0, "weighting": "uniform"},  # as the published 3D code
    "dual_bridge": {"form": "fresh", "guidance": 7.5, "source_guidance": 1.0, "steps": 20, "solver": "ddim", "weighting": "uniform"},
    "ism": {"guidance": 7.5, "delta_t": (0, 100, 25, 1500), "stride": 200, "inversion_guidance": 0.0, "weighting": "x0"},
    "sdi": {"guidance": 8.5, "inversion_guidance": -6.5, "match_reference": False, "weighting": "uniform", **INVERSION},
    "pfd": {
        "form": "two_solve",
        "guidance": 7.5,
        "inversion_guidance": None,
        "inversion_steps": 10,
        "steps": 10,
        "solver": "dpmpp2m",
        "inversion_solver": "ddim",
        "nodes": "geometric",
        "weighting": "uniform",
    },
    "esd": {"guidance": 7.5, "lambda": 0.5, "weighting": "sds", **CRITIC},
    "jsd": {  # the published code's form
        "form": "two_target",
        "guidance": None,
        "inversion_guidance": -13.5,
        "k": 1.0,
        "sharpness": 1.0,
        "weighting": "form",
        **INVERSION,
        **CRITIC,
    },
    "cfd": {"guidance": 7.0, "drift": 0.0, "weighting": "x0"},
}
"""Of the papers or their published codes; where those disagree or say nothing, the project's choice."""


def test_defaults_are_those_of_the_method_cards():
    assert set(DEFAULTS) == set(PARAMETERS)
    for name, expected in DEFAULTS.items():
        found = {field.encode_name: getattr(parse_parameters(name, {}), field.name) for field in msgspec.structs.fields(PARAMETERS[name])}
        assert found.pop("perp_neg", False) is False
        assert found == expected, name


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
