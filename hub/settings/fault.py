"""A fault of a file that people write, as `unefois check` shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing to mend before the hub starts: in which file, at which key, and what. Holds no secret. A warning is to
    be looked at, and stops nothing."""

    file: str
    key: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        said = f"warning: {self.message}" if self.warning else self.message
        return f"{self.file}: {self.key}: {said}" if self.key else f"{self.file}: {said}"
