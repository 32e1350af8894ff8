"""Signals that are only listened to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hub.operations.signals import record_fault_of
from schemas.delivery import RecordFault


class Heard:
    """`told`: kind and code of each; `noted`: of what is kept elsewhere; `ended`: the kinds that went well again."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.noted: list[tuple[str, str]] = []
        self.faults: list[RecordFault] = []
        self.left_out: Counter[str] = Counter()
        self.ended: list[str] = []

    def tell(self, connection: str, kind: str, faults: Sequence[RecordFault]) -> None:
        self.told += [(kind, fault.code) for fault in faults]
        self.faults += faults

    def tell_error(self, connection: str, kind: str, error: Exception) -> None:
        self.tell(connection, kind, [record_fault_of(error)])

    def note(self, connection: str, kind: str, faults: Sequence[RecordFault]) -> None:
        self.noted += [(kind, fault.code) for fault in faults]

    def skipped(self, connection: str, number: int) -> None:
        self.left_out[connection] += number

    def over(self, connection: str, kind: str) -> None:
        self.ended.append(kind)
