"""Group commit: what several threads write at the same moment is one transaction.

No thread waits for others to come. A call while nothing is being committed commits at once, alone; calls during a
commit form the next one, which the thread that has waited longest makes for all.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bus.ledger import Ledger, Raced, Transaction
from schemas.errors import BusUnavailable

_T = TypeVar("_T")
_MOST = 100


@dataclass(slots=True, eq=False)
class _Waiting(Generic[_T]):
    """`turn` is set when it is over, or when this thread must commit for all (`leads`)."""

    item: _T
    turn: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    fault: BaseException | None = None


class GroupCommit(Generic[_T]):
    """`write` puts some items into a transaction. Safe for several threads."""

    def __init__(self, ledger: Ledger, write: Callable[[Transaction, Sequence[_T]], None]) -> None:
        self._ledger, self._write = ledger, write
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting[_T]] = deque()
        self._busy = False

    def commit(self, item: _T) -> None:
        """Returns once the item is committed. Raises what writing it raised: the fault of another item is none of this
        one, for after a fault each is written by itself."""
        mine = _Waiting(item)
        with self._lock:
            self._waiting.append(mine)
            mine.leads, self._busy = not self._busy, True
        if not mine.leads:
            mine.turn.wait()
        if mine.leads:
            self._lead()
        if mine.fault is not None:
            raise mine.fault

    def _lead(self) -> None:
        """Commit what waits, this thread's own first of all, then leave the next commit to the next thread."""
        with self._lock:
            some = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST))]
        try:
            self._settle(some)
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._busy = following is not None
            if following is not None:
                following.leads = True
                following.turn.set()
            for one in some:
                one.turn.set()

    def _settle(self, some: Sequence[_Waiting[_T]]) -> None:
        fault = self._committed(some)
        if fault is None or len(some) == 1 or (isinstance(fault, BusUnavailable) and not isinstance(fault, Raced)):
            for one in some:  # away for one is away for all
                one.fault = fault
        else:
            for one in some:
                one.fault = self._committed([one])

    def _committed(self, some: Sequence[_Waiting[_T]]) -> BaseException | None:
        try:
            with self._ledger.transaction() as tx:
                self._write(tx, [one.item for one in some])
        except BaseException as fault:  # whatever it is, those who wait for this thread must hear of it
            return fault
        return None
