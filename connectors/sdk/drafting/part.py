"""One part of a drafted connector: a delivery, a poll or a question, with all that it brings along."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.sdk.contract.model import Operation
from connectors.sdk.drafting.writing import Line, Table

Settings = Mapping[str, Mapping[str, Any]]
_SAYS: Mapping[str, str] = {
    "deliver": "tells {} by {}", "poll": "reads {} from {}", "answer": "answers {} by {}", "webhook": "takes {} by {}",
}  # fmt: skip


@dataclass(slots=True)
class Part:
    """`kind`: `deliver`, `poll`, `answer` or `webhook`. `lines`: of `mapping.csv`, those used and those kept for later.
    `values`: what the settings are in the samples. `samples`: texts by their path below `samples/`. `score`: how useful
    it looks. `unsaid`: what no declaration says."""

    kind: str
    operation: Operation
    carries: str
    tables: Sequence[Table]
    lines: Sequence[Line]
    settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    statuses: Sequence[Sequence[str]] = ()
    converters: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)
    unsaid: list[str] = field(default_factory=list)
    score: float = 0.0
    trial: Callable[[], str] = field(default=lambda: "")
    """Why the contract refuses its call; "" when it takes it."""
    mapped: int = 0
    """How many fields of the contract a line, a table or a placeholder uses."""

    @property
    def does(self) -> str:
        return _SAYS[self.kind].format(self.carries, self.operation.name)
