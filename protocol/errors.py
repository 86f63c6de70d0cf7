"""The error tree shared by every part: a stable code, one sentence, and a hint that starts with a verb."""


class SketchBridgeError(Exception):
    """Base of every error meant for a person. `str(error)` is the sentence, followed by the hint where there is one."""

    code = "internal"

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(f"{sentence} {hint}".strip())
        self.sentence = sentence
        self.hint = hint


class UserError(SketchBridgeError):
    """The input is not usable: a missing file, an empty prompt, an unknown method."""

    code = "input"


class ResourceError(SketchBridgeError):
    """Something the machine should provide is not there: memory, disk, weights, a device."""

    code = "resource"


class NumericalError(SketchBridgeError):
    """The optimisation left the numbers it can work with: non-finite values, an empty surface, colours collapsed."""

    code = "numerical"


class Cancelled(SketchBridgeError):
    """The run was asked to stop and to discard what it had."""

    code = "cancelled"


def first_line(error: BaseException) -> str:
    """What a foreign library says about a failure: the first line of its message without the full stop, or the error's type."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
