"""What a client is told when something is refused."""

from protocol.errors import SketchBridgeError
from protocol.messages import Fault

TOLD_CHARACTERS = 1000


class Refused(SketchBridgeError):
    """A request that is not granted. `code`: one of those listed at `protocol.messages.Fault`."""

    def __init__(self, code: str, sentence: str, hint: str = "", retryable: bool = False) -> None:
        super().__init__(sentence, hint)
        self.code = code
        self.retryable = retryable


def fault_of(error: SketchBridgeError) -> Fault:
    """The error as it goes over the wire. Sentences may quote what a client sent, so they are cut."""
    return Fault(
        code=error.code,
        sentence=error.sentence[:TOLD_CHARACTERS],
        hint=error.hint[:TOLD_CHARACTERS],
        retryable=getattr(error, "retryable", False),
    )
