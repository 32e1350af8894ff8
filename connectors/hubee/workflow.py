"""Which case status may follow which, per process: `workflow.csv`, read once and asked by connector and twin."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from schemas.sheet import sheet_rows

OURS = frozenset({"SENT", "SI_RECEIVED", "IN_PROGRESS", "ADD_AWAITING", "REFUSED", "DONE", "SI_INTG_ERROR"})
FINAL = frozenset({"REFUSED", "DONE", "CLOSED", "ARCHIVED"})
_PASSING = frozenset({"SENT", "SI_RECEIVED", "IN_PROGRESS"})


class Workflow:
    """The steps of one process. The order of the rows is the order of preference."""

    def __init__(self, steps: Mapping[str, tuple[str, ...]]) -> None:
        self.steps = steps

    @staticmethod
    def of(process: str) -> Workflow:
        """The workflow of a process, or the common one when the process has none of its own."""
        return Workflow(_table().get(process) or _table()["*"])

    def allows(self, status: str, following: str) -> bool:
        return following in self.steps.get(status, ())

    def path(self, status: str, target: str) -> tuple[str, ...] | None:
        """The statuses to take, one after the other, from `status` to `target`; () when there, None when no way leads.

        A decision is not announced before the receipt that the process asks of a commune, when both are possible.
        """
        if status == target:
            return ()
        receipt = self.receipt
        if target in FINAL and status != receipt:
            before, after = self._shortest(status, receipt), self._shortest(receipt, target)
            if before and after:
                return before + after
        return self._shortest(status, target)

    @property
    def receipt(self) -> str:
        """The first step that a commune takes: SI_RECEIVED, or IN_PROGRESS for a death certificate."""
        return self.steps["HUBEE_NOTIFIED"][0]

    def _shortest(self, status: str, target: str) -> tuple[str, ...] | None:
        waiting: deque[tuple[str, ...]] = deque([(status,)])
        seen = {status}
        while waiting:
            path = waiting.popleft()
            for following in self.steps.get(path[-1], ()):
                if following == target and following in OURS:
                    return (*path[1:], following)
                if following in _PASSING and following not in seen:
                    seen.add(following)
                    waiting.append((*path, following))
        return None


@cache
def _table() -> dict[str, dict[str, tuple[str, ...]]]:
    table: dict[str, dict[str, tuple[str, ...]]] = {}
    for row in sheet_rows(Path(__file__).with_name("workflow.csv"), ("process", "status", "next")):
        steps = table.setdefault(row["process"], {})
        steps[row["status"]] = (*steps.get(row["status"], ()), row["next"])
    return table
