import subprocess
import sys

import pytest

from backend.errors import UserError
from backend.priors.card import CARD_FILE, CameraCard, PriorCard, read_card, write_card


def test_a_card_comes_back_as_it_was_written(tmp_path):
    card = PriorCard(name="starter", vocabulary=("red", "mug"), sds_guidance=15.0, camera=CameraCard(fov_deg=(30.0, 50.0)))
    assert write_card(tmp_path, card) == tmp_path / CARD_FILE
    assert read_card(tmp_path) == card


def test_a_folder_without_a_card_gets_the_defaults_under_its_own_name(tmp_path):
    assert read_card(tmp_path) == PriorCard(name=tmp_path.name)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"sds_guidence": 3}', "no setting 'sds_guidence'.* Did you mean 'sds_guidance'"),
        ('{"camera": {"fov": 3}}', "Did you mean 'fov_deg'"),
        ('{"bridge_k": "three"}', "'bridge_k'"),
        ("[]", "should be a JSON object"),
        ("{", "not valid JSON"),
    ],
)
def test_a_wrong_card_is_an_error_in_one_sentence(tmp_path, text, sentence):
    (tmp_path / CARD_FILE).write_text(text)
    with pytest.raises(UserError, match=sentence) as raised:
        read_card(tmp_path)
    assert "\n" not in str(raised.value)


def test_cards_are_read_without_torch():
    program = "import sys, backend.priors.card; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
