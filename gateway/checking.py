"""Where large bodies are read and refusals are worded: beside the event loop, in few threads, in turns between callers.

One caller who sends what takes long waits behind itself, not before the others; work of a caller who has hung up is
dropped before it starts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request

from gateway.problems import Problem

AT_ONCE = 2  # Python gains nothing from more
SHARE = 64  # calls of one caller that wait here or are worked on

T = TypeVar("T")


@dataclass(slots=True)
class _Call:
    done: asyncio.Future[Any]
    work: Callable[[], Any] | None  # None once its caller has left: what it holds is let go


class Checking:
    """Work in threads, for callers of one event loop. It starts no thread before it has work."""

    def __init__(self, at_once: int = AT_ONCE, share: int = SHARE) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="checking")
        self._free, self._share = at_once, share
        self._waiting: dict[str, deque[_Call]] = {}
        self._held: dict[str, int] = {}
        self._turns: deque[str] = deque()

    async def run(self, request: Request, caller: str, work: Callable[[], T]) -> T:
        """What `work` gives. Raises Problem: rate_exceeded when the caller has its share here already, cut_short when
        it hung up."""
        if self._held.get(caller, 0) >= self._share:
            raise Problem("rate_exceeded", f"at most {self._share} large calls at once", headers={"retry-after": "2"})
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        call = _Call(done, work)
        self._held[caller] = self._held.get(caller, 0) + 1
        if not self._waiting.setdefault(caller, deque()):
            self._turns.append(caller)
        self._waiting[caller].append(call)
        self._start()
        left = asyncio.ensure_future(_hang_up(request))
        try:
            either: set[asyncio.Future[Any]] = {done, left}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                raise Problem("cut_short", "the caller left")
            return done.result()
        finally:
            left.cancel()
            done.cancel()
            call.work = None
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]

    def _start(self) -> None:
        while self._free and self._turns:
            caller = self._turns.popleft()
            waiting = self._waiting[caller]
            call = waiting.popleft()
            if waiting:
                self._turns.append(caller)
            else:
                del self._waiting[caller]
            if call.work is not None:
                self._free -= 1
                ended = asyncio.get_running_loop().run_in_executor(self._threads, call.work)
                ended.add_done_callback(lambda ended, done=call.done: self._ended(ended, done))  # type: ignore[misc]

    def _ended(self, ended: asyncio.Future[Any], done: asyncio.Future[Any]) -> None:
        self._free += 1
        error = ended.exception() if not ended.cancelled() else asyncio.CancelledError()
        if not done.done():
            if error is None:
                done.set_result(ended.result())
            else:
                done.set_exception(error)
        self._start()


async def _hang_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
