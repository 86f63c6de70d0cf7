"""Where in a job file something stands, for errors that name file and line."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from backend.errors import UserError


@dataclass(frozen=True)
class Place:
    """One job in a file. `line` 0: not known; then `label` says which one. `lines`: of its settings, where each has its own."""

    file: str
    line: int = 0
    label: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.at("")

    def at(self, setting: str) -> str:
        """In words, as exactly as the setting's line is known."""
        line = self.lines.get(setting, self.line)
        return f"{self.file}, line {line}" if line else f"{self.file}, {self.label}" if self.label else self.file

    def refuse(self, sentence: str, hint: str = "", setting: str = "") -> UserError:
        """The error to raise about this job."""
        return UserError(f"{self.at(setting)}: {sentence}", hint)
