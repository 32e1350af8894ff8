"""One change of a contract, and how grave it is for one connector."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from connectors.sdk.contract.model import Field

Grade = Literal["breaking", "review", "additive"]
Direction = Literal["sent", "read", ""]
GRADES: tuple[Grade, ...] = ("breaking", "review", "additive")


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `place`: of the value, as `mapping.csv` writes it; "" where the operation itself changed, which is ""
    where all of the contract did. `direction`: `sent`, `read`, or "". `used`: whether the connector uses it. `field`:
    the value as the new contract has it, as the old one where it is gone; None for no value."""

    grade: Grade
    kind: str
    operation: str = ""
    place: str = ""
    direction: Direction = ""
    before: str = ""
    after: str = ""
    used: bool = False
    field: Field | None = dataclasses.field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "field"}

    def __str__(self) -> str:
        words = (self.kind, self.operation, self.direction and f"({self.direction})", self.place)
        said = f": {self.before or 'nothing'} -> {self.after or 'nothing'}" if self.before or self.after else ""
        return " ".join(word for word in words if word) + said


def in_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The gravest first, none twice."""
    return tuple(sorted(dict.fromkeys(changes), key=lambda one: GRADES.index(one.grade)))


def breaks(changes: Iterable[Change]) -> bool:
    return any(change.grade == "breaking" for change in changes)
