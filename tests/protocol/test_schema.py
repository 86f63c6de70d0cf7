"""docs/protocol.md is what the definitions say."""

import re

import pytest

from protocol import errors
from protocol.messages import KINDS, Fault
from protocol.schema import FAULTS, PAGE, page


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m protocol.schema"


def test_every_message_and_field_is_there():
    text = page()
    for kind, struct in KINDS.items():
        section = re.search(rf"^### {struct.__name__}\n\nKind {kind} .*?(?=^##)", text + "\n## ", re.DOTALL | re.MULTILINE)
        assert section is not None
        for name in struct.__struct_fields__:
            assert f"| `{name}` |" in section[0]


def test_every_link_has_a_target():
    text = page()
    targets = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= targets


def test_every_fault_code_is_explained():
    named = set(re.findall(r'"(\w+)"', Fault.__doc__))
    raised = {each.code for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.SketchBridgeError)}
    assert named | raised == set(FAULTS)


@pytest.mark.parametrize("word", ["TODO", "$"])
def test_nothing_is_left_open(word):
    assert word not in page().replace("?$`", "").replace("}$`", "")
