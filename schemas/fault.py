"""A fault of a file that people write, as `unefois check` shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing to mend before the hub starts: in which file, at which key, and what. Holds no secret. A warning is to
    be looked at, and stops nothing. `line`: from 1; 0 where it is not known."""

    file: str
    key: str
    message: str
    warning: bool = False
    line: int = 0

    def __str__(self) -> str:
        said = f"warning: {self.message}" if self.warning else self.message
        file = f"{self.file}:{self.line}" if self.line else self.file
        return f"{file}: {self.key}: {said}" if self.key else f"{file}: {said}"
