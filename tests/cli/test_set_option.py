"""What `--set NAME=VALUE` reads a value as."""

import pytest

from backend.cli.options import pair


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("15", 15), ("0.005", 0.005), (".005", 0.005), ("-.5e1", -5.0), ("7.", 7.0), ("true", True), ("[0, 1.5]", [0, 1.5]), ("sds", "sds"),
        (".", "."), ("1.2.3", "1.2.3"), (".5s", ".5s"),
    ],
)  # fmt: skip
def test_a_value_is_json_a_number_or_a_word(text, value):
    assert pair(f"a = {text}") == ("a", value) and type(pair(f"a={text}")[1]) is type(value)
