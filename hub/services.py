"""What the running hub offers to the gateway and the commands. Wiring fills it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from bus.api import Bus
from bus.ledger import Ledger, Raced
from hub.accept import Acceptance, Origin, Submitted, Verdict, submit_safely
from hub.desk import Desk
from hub.documents import DocumentStore
from hub.metrics import Metrics
from hub.settings import HubSettings
from schemas.delivery import Polled
from schemas.errors import BusUnavailable, HubError


class InboundReply(Protocol):
    """What a connector made of a webhook call; `connectors.sdk.Reply` has it."""

    @property
    def polled(self) -> Polled: ...
    @property
    def body(self) -> Mapping[str, Any]: ...
    @property
    def status(self) -> int: ...


class Receiver(Protocol):
    """A connector that takes webhook calls; `connectors.sdk.Connector` has it. `inbound` is `connectors.sdk.Inbound`,
    made by `Services.inbound`."""

    def receive(self, inbound: Any) -> InboundReply: ...

    def refusal(self, error: HubError) -> tuple[int, Mapping[str, Any]] | None: ...


class Batcher:
    """Gathers what many HTTP calls submit at the same time into one commit: a commit per call caps the way in."""

    def __init__(self, ledger: Ledger, acceptance: Acceptance, *, most: int = 500) -> None:
        self._ledger = ledger
        self._acceptance = acceptance
        self._most = most
        self._waiting: queue.SimpleQueue[_Submission | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, origin: Origin, checked: Sequence[Submitted]) -> Future[list[Verdict]]:
        """The verdicts, once committed. `checked` came from `Acceptance.check` of the same origin."""
        submission = _Submission(origin, checked)
        submission.future.set_running_or_notify_cancel()  # a caller that gives up must not stop this thread
        with self._lock:
            if self._closed:
                submission.future.set_exception(BusUnavailable("the hub stops"))
            else:
                self._ensure_running()
                self._waiting.put(submission)
        return submission.future

    def close(self) -> None:
        """Commit what was submitted, and take no more."""
        with self._lock:
            self._closed = True
            self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(timeout=30)

    def _ensure_running(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="accept", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, size, last = [first], len(first.checked), False
            while size < self._most and not last:
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    last = True
                else:
                    batch.append(more)
                    size += len(more.checked)
            self._commit(batch)
            if last:
                return

    def _commit(self, batch: Sequence[_Submission]) -> None:
        try:
            with self._ledger.transaction() as tx:
                verdicts = [self._acceptance.admit(tx, item.origin, item.checked) for item in _merged(batch)]
        except Exception as error:
            if isinstance(error, BusUnavailable) and not isinstance(error, Raced):
                for item in batch:  # it would be away for each of them
                    item.future.set_exception(error)
                return
            # Alone, each gets its own outcome: one caller's fault must not refuse the others.
            for item in batch:
                self._alone(item)
            return
        for group, given in zip(_groups(batch), verdicts, strict=True):
            start = 0
            for item in group:
                item.future.set_result(given[start : start + len(item.checked)])
                start += len(item.checked)

    def _alone(self, item: _Submission) -> None:
        try:
            item.future.set_result(submit_safely(self._acceptance, self._ledger, item.origin, item.checked))
        except Exception as error:
            item.future.set_exception(error)


@dataclass(slots=True)
class _Submission:
    origin: Origin
    checked: Sequence[Submitted]
    future: Future[list[Verdict]] = field(default_factory=Future)


def _groups(batch: Sequence[_Submission]) -> list[list[_Submission]]:
    """Neighbours of one origin together: one set of statements for all their events."""
    groups: dict[str, list[_Submission]] = {}
    for item in batch:
        groups.setdefault(item.origin.name, []).append(item)
    return list(groups.values())


def _merged(batch: Sequence[_Submission]) -> list[_Submission]:
    return [_Submission(g[0].origin, [e for item in g for e in item.checked]) for g in _groups(batch)]


@dataclass(slots=True)
class Services:
    settings: HubSettings
    ledger: Ledger
    bus: Bus
    acceptance: Acceptance
    desk: Desk
    documents: DocumentStore
    batcher: Batcher
    receiver: Callable[[str], Receiver | None]
    """The connector that takes calls to `/in/{connection}`, by `tenant.name`; None when there is none."""
    inbound: Callable[..., Any]
    """Makes the `connectors.sdk.Inbound` of a call."""
    reload: Callable[[], None] = lambda: None
    """Read the connections again: a webhook was added or removed."""
    status: Callable[[], Mapping[str, Any]] = dict
    """What runs in this process, for `/readyz` and `/metrics`."""
    metrics: Metrics = field(default_factory=Metrics)
    webhook_types: tuple[str, ...] = ()
    """The event types that a webhook may ask for."""
