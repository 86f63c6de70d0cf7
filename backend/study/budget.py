"""How long each entry of a comparison may run."""

import math
from typing import Literal, NamedTuple, get_args

from backend.errors import UserError
from protocol.strict import nearest

Kind = Literal["rows", "steps", "full"]


class Budget(NamedTuple):
    """The same for every entry: denoiser rows per particle or picture, or steps. "full": the steps at which the method has arrived."""

    kind: Kind
    number: int = 0

    def steps(self, rows_per_step: float, full: int) -> int:
        """Steps of a run of that many rows a step, in the mean."""
        if self.kind == "full":
            return full
        return self.number if self.kind == "steps" else max(1, math.ceil(self.number / rows_per_step))

    def allows(self, steps: int, rows: float, planned: int) -> bool:
        """Whether one more step may be made after these."""
        return rows < self.number if self.kind == "rows" else steps < planned


def read_budget(text: str) -> Budget:
    """From "rows:5000", "steps:300" or "full". UserError for anything else, naming the nearest kind."""
    kind, colon, number = text.strip().partition(":")
    if kind not in get_args(Kind):
        raise UserError(f"There is no budget '{text}'.", f"{nearest(kind, list(get_args(Kind)))} Write rows:5000, steps:300 or full.")
    if kind == "full":
        if colon:
            raise UserError(f"The budget 'full' takes no number, but it is '{text}'.", "Write full, or for example steps:300.")
        return Budget("full")
    if not number.isdecimal() or not 1 <= int(number) <= 10_000_000:
        raise UserError(f"The budget '{text}' should give a whole number of {kind} from 1 to 10,000,000.", f"Write for example {kind}:300.")
    return Budget(kind, int(number))  # type: ignore[arg-type]
