"""What each part of the hub can do now, for `/readyz`: looked at beside whoever asks, so that none waits long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any

from bus.api import Bus
from bus.ledger import Ledger
from hub.storage.migrations import upgrade
from schemas.errors import BusUnavailable, HubError

_KEPT = 2.0  # seconds
_PATIENCE = 1.5  # seconds that who asks waits for a look
_NO_ANSWER = "no_answer"
# What a part that is in trouble cannot do. Without the first the gateway can accept nothing.
CANNOT = {
    "database": "accept anything",
    "directory": "accept anything: it cannot read who is connected now",
    "broker": "take messages: what is accepted waits in the database",
    "inlet": "take events over AMQP",
    "relay": "send on what was accepted",
    "workers": "deliver to all connections",
}


@dataclass(frozen=True, slots=True)
class Part:
    """`code`: why it is in trouble; empty where it is not. `connections`: how many it concerns."""

    code: str = ""
    connections: int = 0

    def to_dict(self, name: str) -> dict[str, Any]:
        if not self.code:
            return {"state": "ok"}
        told = {"state": "trouble", "code": self.code, "cannot": CANNOT[name]}
        return told | ({"connections": self.connections} if self.connections else {})


Parts = Mapping[str, Part]


class Readiness:
    """Looks every two seconds at most, however often it is asked. `workers`: the connections that each want one;
    `inlet`: the code of its trouble in this process; `behind`: why the directory that stands cannot be read there."""

    def __init__(
        self, ledger: Ledger, bus: Bus, *, workers: Callable[[], Collection[str]], inlet: Callable[[], str],
        behind: Callable[[], str] = str, patience: float = _PATIENCE,
    ) -> None:  # fmt: skip
        self._ledger, self._bus, self._workers, self._inlet = ledger, bus, workers, inlet
        self._patience, self._behind = patience, behind
        self._looks = [_Look("database", self._of_ledger)]
        if not bus.volatile:
            self._looks.append(_Look("broker", self._of_broker))
        self._lock = threading.Lock()
        self._until = 0.0
        self._parts: Parts = {}

    def parts(self) -> Parts:
        with self._lock:
            if time.monotonic() >= self._until:
                self._parts = self._look()
                self._until = time.monotonic() + _KEPT
            return self._parts

    def _look(self) -> Parts:
        for look in self._looks:
            look.begin()
        until = time.monotonic() + self._patience
        return {name: part for look in self._looks for name, part in look.result(until - time.monotonic()).items()}

    def _of_ledger(self) -> Parts:
        try:
            if not upgrade.current(self._ledger):
                return {"database": Part("migrations")}
            with self._ledger.reading() as tx:
                leased = tx.leased()
        except HubError:
            return {"database": Part("database_away")}
        missing = {name for name in self._workers() if f"worker:{name}" not in leased}
        return {
            "database": self._of_writing(),
            "relay": Part() if "relay" in leased else Part("no_lease"),
            "workers": Part("no_lease", len(missing)) if missing else Part(),
            **({"directory": Part("directory_behind")} if self._behind() else {}),
        }

    def _of_writing(self) -> Part:
        try:
            with self._ledger.transaction() as tx:
                tx.try_write()
        except HubError:
            return Part("database_read_only")
        return Part()

    def _of_broker(self) -> Parts:
        try:
            self._bus.probe()
        except HubError as error:
            return {"broker": Part("broker_away" if type(error) is BusUnavailable else error.code)}
        return {"broker": Part(), "inlet": Part(self._inlet())}


class _Look:
    """At most one at a time: one that hangs is waited for by the next who ask, not begun again."""

    def __init__(self, name: str, look: Callable[[], Parts]) -> None:
        self._name, self._look = name, look
        self._now: Future[Parts] | None = None
        self._last: Parts = {}

    def begin(self) -> None:
        if self._now is None or self._now.done():
            self._now = Future()
            threading.Thread(target=self._run, args=(self._now,), name=f"ready {self._name}", daemon=True).start()

    def result(self, seconds: float) -> Parts:
        assert self._now is not None
        try:
            self._last = self._now.result(max(seconds, 0.0))
        except FutureTimeout:
            known = self._last.get(self._name, Part())
            return {self._name: known if known.code else Part(_NO_ANSWER)}
        return self._last

    def _run(self, now: Future[Parts]) -> None:
        try:
            now.set_result(self._look())
        except Exception as error:  # whoever asks raises it
            now.set_exception(error)
