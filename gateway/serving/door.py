"""How many lines (TCP connections) a server holds, from whom, and which go first when there is no room.

uvicorn counts silent ones too and then answers 503 to everybody (github.com/Kludex/uvicorn/pull/3029). Here a line that
only waits makes room: first those on which nobody ever called, then those between two calls.
"""

from __future__ import annotations

import heapq
import resource
from collections.abc import Callable, Collection
from typing import Protocol

from starlette.types import ASGIApp

from gateway.proxies import Proxies, household
from hub.settings.model import Listening

MOST_LINES = 1000
SPARE_LINES = 64  # beyond: they hear a 503, or that the process lives
_SPARE_OF_ADDRESS = 8
_MOMENT = 1.0
_OTHER_FILES = 256  # of the process's files, for the database, the broker and documents
_AT_ONE_GO = 8  # an eighth of those that wait: looking for them is paid once for many


class Holder(Protocol):
    """A line, as the door sees it."""

    @property
    def address(self) -> str: ...
    @property
    def waits(self) -> bool: ...
    @property
    def order(self) -> tuple[bool, float]: ...
    def drop(self) -> None: ...
    def look(self, now: float) -> None: ...


class Door:
    """The lines of one server. `crowded` answers on those beyond the limit; `count` is told why a line was cut."""

    def __init__(self, listening: Listening, crowded: ASGIApp, count: Callable[[str], None]) -> None:
        self.proxies = Proxies(listening.trusted_proxies, listening.proxy_header)
        self.crowded, self.count = crowded, count
        self.most = _most_lines()
        self._of_one = listening.connections_per_address
        self._lines: set[Holder] = set()
        self._by_household: dict[str, set[Holder]] = {}

    def enter(self, line: Holder) -> bool | None:
        """Whether there is room. False: the line is beyond a limit, `crowded` answers on it; None: it is not taken."""
        home = self._home(line)
        known = self._by_household.get(home, set())
        of_home = self._room(known, self._of_one, _SPARE_OF_ADDRESS, line) if home else True
        of_all = self._room(self._lines, self.most, SPARE_LINES, line)
        if of_home is None or of_all is None:
            self.count("full")
            return None
        self._by_household.setdefault(home, set()).add(line)
        self._lines.add(line)
        return of_home and of_all

    def leave(self, line: Holder) -> None:
        self._lines.discard(line)
        home = self._home(line)
        known = self._by_household.get(home, set())
        known.discard(line)
        if not known:
            self._by_household.pop(home, None)

    def sweep(self, now: float) -> None:
        """Look at every line: once a second, instead of a timer for each."""
        for line in tuple(self._lines):
            line.look(now)

    def _home(self, line: Holder) -> str:
        """Empty for proxies: who calls through them is counted there."""
        return "" if self.proxies.trusts(line.address) else household(line.address)

    def _room(self, lines: Collection[Holder], most: int, spare: int, newest: Holder) -> bool | None:
        """As `enter`. Where few wait, each has a moment to say what it wants."""
        if len(lines) >= most:
            waiting = [line for line in lines if line.waits]
            old = newest.order[1] - _MOMENT
            self._dismiss(waiting if len(waiting) >= spare else [line for line in waiting if line.order[1] < old])
        return None if len(lines) >= most + spare else len(lines) < most

    def _dismiss(self, waiting: Collection[Holder]) -> None:
        number = min(len(waiting), 1 + len(waiting) // _AT_ONE_GO)
        for line in heapq.nsmallest(number, waiting, key=lambda line: line.order):
            self.count("full")
            line.drop()


def _most_lines() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_LINES if files == resource.RLIM_INFINITY else max(SPARE_LINES, min(MOST_LINES, files - _OTHER_FILES))
