"""What many callers submit at the same time, in one commit; in turns, and never for long."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from itertools import islice

from bus.ledger import Ledger, Raced
from hub.acceptance.accept import Acceptance, Verdict, looking_again
from hub.acceptance.turns import SHARE, Pace, Part, Shares, Submission, Turns, admit_in_time
from hub.clients.origin import Origin
from schemas.errors import BusUnavailable
from schemas.event import Submitted

_PATIENCE = 0.05  # seconds


class AcceptanceGroupCommit:
    """Gathers what many HTTP calls submit at the same time into one commit: a commit per call caps the way in. Clients
    have turns, and one commit is so short that nobody waits long for the next; a long batch takes several."""

    def __init__(self, ledger: Ledger, acceptance: Acceptance, *, most: int = 500, share: int = SHARE) -> None:
        self._ledger = ledger
        self._acceptance = acceptance
        self._most = most
        self._pace, self._shares = Pace(most), Shares(share)
        self._arrivals: queue.SimpleQueue[list[Submission] | None] = queue.SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[Submission]] = {}
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, origin: Origin, checked: Sequence[Submitted]) -> Future[list[Verdict]]:
        """The verdicts, once committed. `checked` came from `Acceptance.check` of the same origin. Raises ShareUsed
        when too much of this origin waits."""
        self._shares.enter(origin, len(checked))
        future: Future[list[Verdict]] = Future()
        future.set_running_or_notify_cancel()  # a caller that gives up must not stop this thread
        self._put([Submission(origin, checked, future)])
        return future

    def expect(self, origin: Origin, checked: Sequence[Submitted]) -> asyncio.Future[list[Verdict]]:
        """As `submit`, for a coroutine: what comes in one turn of its loop is handed over and answered together.
        To cancel the future undoes nothing."""
        self._shares.enter(origin, len(checked))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Verdict]] = loop.create_future()
        if loop not in self._gathered:
            self._gathered[loop] = []
            loop.call_soon(lambda: self._put(self._gathered.pop(loop)))
        self._gathered[loop].append(Submission(origin, checked, future, loop))
        return future

    def close(self) -> None:
        """Commit what was submitted, and take no more."""
        self._closed = True  # before the lock: many who submit might keep us from it for long
        with self._lock:
            self._arrivals.put(None)
        if self._thread is not None:
            self._thread.join(timeout=30)

    def _put(self, items: list[Submission]) -> None:
        with self._lock:
            closed = self._closed
            if not closed:
                self._ensure_running()
                self._arrivals.put(items)
        if closed:
            self._settle([(item, BusUnavailable("the hub stops")) for item in items])

    def _ensure_running(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="accept", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        turns = Turns(self._most, self._pace)
        callers, patience, over = 1, 0.0, False
        while turns.submissions or not over:
            over = over or self._gather(turns, callers, patience)
            parts = turns.take()
            began = time.monotonic()
            settled = self._commit(parts) if parts else []
            done = {id(item) for item, _ in settled}
            turns.put_back([item for item, _ in parts if id(item) not in done])
            self._settle(settled)
            callers, patience = len(parts), min((time.monotonic() - began) / 2, _PATIENCE)

    def _gather(self, turns: Turns, callers: int, patience: float) -> bool:
        """Fetch all that was submitted, something at least; whether that is the end. Callers who were answered together
        come back nearly together: as many as last time are waited for, at most half as long as their commit took. One
        who calls alone waits for nobody."""
        until = 0.0
        while True:
            try:
                if turns.submissions:
                    until = until or time.monotonic() + patience
                    waits = turns.submissions < callers and turns.events < self._most
                    more = self._arrivals.get(waits, max(until - time.monotonic(), 0.0))
                else:
                    more = self._arrivals.get()
            except queue.Empty:
                return False
            if more is None:
                return True
            turns.add(more)

    def _commit(self, parts: Sequence[Part]) -> list[_Settled]:
        """Those that are settled; of the others some may be committed, and they go on."""
        try:
            given = self._admit(parts)
        except Exception as error:
            if isinstance(error, BusUnavailable) and not isinstance(error, Raced):
                return [(item, error) for item, _ in parts]  # it would be away for each of them
            if len(parts) == 1:
                return self._commit_alone(*parts[0])
            # Alone, each gets its own outcome: one caller's fault must not refuse the others.
            for item, _ in parts:
                item.alone = True
            return []
        return list(_advance(parts, given))

    def _commit_alone(self, item: Submission, number: int) -> list[_Settled]:
        try:
            return list(_advance([(item, number)], looking_again()(self._admit, [(item, number)])))
        except Exception as error:
            return [(item, error)]

    def _admit(self, parts: Sequence[Part]) -> dict[str, list[Verdict]]:
        """By origin, the verdicts on the first of its events: of as many as there was time for."""
        groups = _groups(parts)
        given = admit_in_time(self._ledger, self._acceptance, self._pace, groups)
        return {origin.name: verdicts for (origin, _), verdicts in zip(groups, given, strict=True)}

    def _settle(self, settled: Sequence[_Settled]) -> None:
        for item, _ in settled:
            self._shares.leave(item.origin, len(item.checked))
        _answer_callers(settled)


_Settled = tuple[Submission, list[Verdict] | Exception]


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


def _groups(parts: Sequence[Part]) -> list[tuple[Origin, list[Submitted]]]:
    """What is of one origin together: one set of statements for all its events. Those who bring little come first."""
    groups: dict[str, tuple[Origin, list[Submitted]]] = {}
    for item, number in parts:
        done = len(item.verdicts)
        groups.setdefault(item.origin.name, (item.origin, []))[1].extend(item.checked[done : done + number])
    return sorted(groups.values(), key=lambda group: len(group[1]))


def _advance(parts: Sequence[Part], given: Mapping[str, Sequence[Verdict]]) -> Iterator[_Settled]:
    """Give each submission its verdicts; those that have all of them."""
    verdicts = {name: iter(some) for name, some in given.items()}
    for item, number in parts:
        item.verdicts += islice(verdicts[item.origin.name], number)
        if not item.left:
            yield item, item.verdicts
