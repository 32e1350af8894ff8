"""What many callers submit at the same time, in one commit."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from bus.ledger import Ledger, Raced
from hub.acceptance.accept import Acceptance, Verdict, looking_again
from hub.clients.origin import Origin
from schemas.errors import BusUnavailable
from schemas.event import Submitted

_PATIENCE = 0.05  # seconds


class AcceptanceGroupCommit:
    """Gathers what many HTTP calls submit at the same time into one commit: a commit per call caps the way in."""

    def __init__(self, ledger: Ledger, acceptance: Acceptance, *, most: int = 500) -> None:
        self._ledger = ledger
        self._acceptance = acceptance
        self._most = most
        self._arrivals: queue.SimpleQueue[list[_Submission] | None] = queue.SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Submission]] = {}
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, origin: Origin, checked: Sequence[Submitted]) -> Future[list[Verdict]]:
        """The verdicts, once committed. `checked` came from `Acceptance.check` of the same origin."""
        future: Future[list[Verdict]] = Future()
        future.set_running_or_notify_cancel()  # a caller that gives up must not stop this thread
        self._put([_Submission(origin, checked, future)])
        return future

    def expect(self, origin: Origin, checked: Sequence[Submitted]) -> asyncio.Future[list[Verdict]]:
        """As `submit`, for a coroutine: what comes in one turn of its loop is handed over and answered together.
        To cancel the future undoes nothing."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Verdict]] = loop.create_future()
        if loop not in self._gathered:
            self._gathered[loop] = []
            loop.call_soon(lambda: self._put(self._gathered.pop(loop)))
        self._gathered[loop].append(_Submission(origin, checked, future, loop))
        return future

    def close(self) -> None:
        """Commit what was submitted, and take no more."""
        self._closed = True  # before the lock: many who submit might keep us from it for long
        with self._lock:
            self._arrivals.put(None)
        if self._thread is not None:
            self._thread.join(timeout=30)

    def _put(self, items: list[_Submission]) -> None:
        with self._lock:
            closed = self._closed
            if not closed:
                self._ensure_running()
                self._arrivals.put(items)
        if closed:
            _answer_callers([(item, BusUnavailable("the hub stops")) for item in items])

    def _ensure_running(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="accept", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        waiting: deque[_Submission] = deque()
        callers, patience, over = 1, 0.0, False
        while waiting or not over:
            over = over or self._gather(waiting, callers, patience)
            batch = self._next(waiting)
            began = time.monotonic()
            if batch:
                _answer_callers(self._commit(batch))
            callers, patience = len(batch), min((time.monotonic() - began) / 2, _PATIENCE)

    def _gather(self, waiting: deque[_Submission], callers: int, patience: float) -> bool:
        """Fetch all that was submitted, something at least; whether that is the end. Callers who were answered together
        come back nearly together: as many as last time are waited for, at most half as long as their commit took. One
        who calls alone waits for nobody."""
        until = 0.0
        while sum(len(item.checked) for item in waiting) < self._most:
            try:
                if waiting:
                    until = until or time.monotonic() + patience
                    more = self._arrivals.get(len(waiting) < callers, max(until - time.monotonic(), 0.0))
                else:
                    more = self._arrivals.get()
            except queue.Empty:
                break
            if more is None:
                return True
            waiting.extend(more)
        return False

    def _next(self, waiting: deque[_Submission]) -> list[_Submission]:
        batch: list[_Submission] = []
        size = 0
        while waiting and size < self._most:
            batch.append(waiting.popleft())
            size += len(batch[-1].checked)
        return batch

    def _commit(self, batch: Sequence[_Submission]) -> list[_Settled]:
        try:
            with self._ledger.transaction() as tx:
                verdicts = [self._acceptance.admit(tx, origin, checked) for origin, checked in _merged(batch)]
        except Exception as error:
            if isinstance(error, BusUnavailable) and not isinstance(error, Raced):
                return [(item, error) for item in batch]  # it would be away for each of them
            # Alone, each gets its own outcome: one caller's fault must not refuse the others.
            return [(item, self._alone(item)) for item in batch]
        settled: list[_Settled] = []
        for group, given in zip(_groups(batch), verdicts, strict=True):
            start = 0
            for item in group:
                settled.append((item, given[start : start + len(item.checked)]))
                start += len(item.checked)
        return settled

    def _alone(self, item: _Submission) -> list[Verdict] | Exception:
        try:
            return looking_again()(self._admitted, item)
        except Exception as error:
            return error

    def _admitted(self, item: _Submission) -> list[Verdict]:
        with self._ledger.transaction() as tx:
            return self._acceptance.admit(tx, item.origin, item.checked)


@dataclass(slots=True)
class _Submission:
    """`loop`: whose thread alone may settle the future; None for any."""

    origin: Origin
    checked: Sequence[Submitted]
    future: Future[list[Verdict]] | asyncio.Future[list[Verdict]]
    loop: asyncio.AbstractEventLoop | None = None


_Settled = tuple[_Submission, list[Verdict] | Exception]


def _answer_callers(settled: Sequence[_Settled]) -> None:
    """Answer all callers; those of one loop by waking it once."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[_Settled]] = {}
    for one in settled:
        by_loop.setdefault(one[0].loop, []).append(one)
    for loop, some in by_loop.items():
        if loop is None:
            _answer_futures(some)
        else:
            with contextlib.suppress(RuntimeError):  # a loop that is closed: nobody waits there any more
                loop.call_soon_threadsafe(_answer_futures, some)


def _answer_futures(settled: Sequence[_Settled]) -> None:
    for item, outcome in settled:
        if item.future.done():  # given up by its caller
            continue
        if isinstance(outcome, Exception):
            item.future.set_exception(outcome)
        else:
            item.future.set_result(outcome)


def _groups(batch: Sequence[_Submission]) -> list[list[_Submission]]:
    """Neighbours of one origin together: one set of statements for all their events."""
    groups: dict[str, list[_Submission]] = {}
    for item in batch:
        groups.setdefault(item.origin.name, []).append(item)
    return list(groups.values())


def _merged(batch: Sequence[_Submission]) -> list[tuple[Origin, list[Submitted]]]:
    return [(g[0].origin, [e for item in g for e in item.checked]) for g in _groups(batch)]
