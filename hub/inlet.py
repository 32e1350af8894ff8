"""The AMQP inlet: packages publish to `unefois.in`; each gets a receipt in its own queue, after our commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import structlog

from bus.api import INLET, Bus, Incoming, Outgoing, Queue, receipts_queue
from bus.ledger import Ledger
from hub import holdings
from hub.accept import Acceptance, Origin, Submitted, Verdict
from schemas.errors import BusUnavailable, HubError, InvalidMessage
from schemas.event import BATCH, MAX_BATCH, STRUCTURED, Event, decode_json

_log = structlog.get_logger()
_COMMIT = 1000  # events in one commit: a prefetched burst of batches may hold many more
_OWED = 5000  # receipts that are kept for queues that are full
STRANGERS = "inlet-strangers"  # the counter of messages that were dropped because nobody knows who sent them


class Inlet:
    """Reads the inlet. `origin_of` gives the rights of a broker user, None when the hub does not know it: the name is
    the one that the broker verified, never one that a message claims. Messages of strangers are dropped and counted."""

    def __init__(
        self, ledger: Ledger, bus: Bus, acceptance: Acceptance, origin_of: Callable[[str], Origin | None]
    ) -> None:
        self._ledger = ledger
        self._bus = bus
        self._acceptance = acceptance
        self._origin_of = origin_of
        self._declared: set[str] = set()
        self._owed: list[Outgoing] = []

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._bus.declare([Queue(INLET, "inlet")])
                break
            except BusUnavailable:
                stop.wait(1.0)
        if not stop.is_set():
            self._bus.consume(INLET, self.handle, stop=stop)

    def handle(self, messages: Sequence[Incoming]) -> None:
        """Accept a batch, then send the receipts. If it raises, all of the batch come back; the door knows them."""
        origins = {user: self._origin_of(user) for user in {m.user for m in messages if m.user is not None}}
        known = {user: origin for user, origin in origins.items() if origin is not None}
        items = [(m.user, item) for m in messages if m.user is not None and m.user in known for item in _events(m)]
        strangers = sum(message.user not in known for message in messages)
        if strangers:
            _log.error("messages from unknown senders dropped", count=strangers)
        for start in range(0, len(items), _COMMIT):
            self._accept_whole(items[start : start + _COMMIT], known)
        if strangers:
            with self._ledger.transaction() as tx:
                tx.count_up(STRANGERS, strangers)

    def _accept_whole(self, items: Sequence[tuple[str, Submitted]], origins: Mapping[str, Origin]) -> None:
        try:
            self._accept(items, origins)
        except HubError:
            raise
        except Exception as error:  # our own mistake over one event must not shut the door for all
            _log.error("inlet stumbles", error=type(error).__name__, count=len(items))
            if len(items) > 1:
                for item in items:
                    self._accept_whole([item], origins)
            else:
                user, submitted = items[0]
                refused = Verdict("refused", error=InvalidMessage("the hub made a mistake", code="internal_error"))
                self._send([_receipt(user, submitted, refused)], [user])

    def _accept(self, items: Sequence[tuple[str, Submitted]], origins: Mapping[str, Origin]) -> None:
        by_user: dict[str, list[Submitted]] = {}
        for user, item in items:
            by_user.setdefault(user, []).append(item)
        receipts: list[Outgoing] = []
        with self._ledger.transaction() as tx:
            for user, mine in by_user.items():
                checked = [self._acceptance.check(origins[user], item, read=True) for item in mine]
                if any(isinstance(item, Event) and holdings.named(item) for item in checked):
                    checked = holdings.check(tx, origins[user], checked)
                verdicts = self._acceptance.admit(tx, origins[user], checked)
                receipts += [_receipt(user, item, verdict) for item, verdict in zip(mine, verdicts, strict=True)]
        self._send(receipts, list(by_user))

    def _send(self, receipts: Sequence[Outgoing], users: Sequence[str]) -> None:
        new = [user for user in users if user not in self._declared]
        if new:
            self._bus.declare([Queue(receipts_queue(user), "receipts") for user in new])
            self._declared.update(new)
        items = [*self._owed, *receipts]
        outcomes = list(zip(items, self._bus.publish(items), strict=True))
        if not all(outcome.taken or outcome.refused for _, outcome in outcomes):
            self._declared.clear()
            raise BusUnavailable("a receipt was not taken")
        # A package that does not read its receipts must not stop the others: it gets them when there is room again.
        owed = [item for item, outcome in outcomes if not outcome.taken]
        if owed:
            _log.error("receipts not taken", queues=sorted({item.queue for item in owed}), count=len(owed))
        self._owed = owed[-_OWED:]


def _events(message: Incoming) -> list[Submitted]:
    media = message.content_type.split(";")[0].strip().lower()
    try:
        if media not in (STRUCTURED, BATCH):
            raise InvalidMessage(f"content-type must be {STRUCTURED} or {BATCH}", code="unsupported_media_type")
        body = decode_json(message.body)
        items = body if media == BATCH else [body]
        if not isinstance(items, list) or len(items) > MAX_BATCH:
            raise InvalidMessage(f"a batch is a list of at most {MAX_BATCH} events", code="too_large")
    except InvalidMessage as error:
        return [error]
    return [_read(item) for item in items]


def _read(item: object) -> Submitted:
    try:
        return Event.from_dict(item)
    except InvalidMessage as error:
        return error


def _receipt(user: str, item: Submitted, verdict: Verdict) -> Outgoing:
    body: dict[str, Any] = {"verdict": verdict.outcome}
    if isinstance(item, Event):
        body |= {"id": item.id, "source": item.source}
    if verdict.request_id is not None:
        body["request"] = verdict.request_id
    if verdict.error is not None:
        body |= {"code": verdict.error.code, "pointer": verdict.error.pointer, "detail": verdict.error.reason}
    return Outgoing(receipts_queue(user), orjson.dumps(body))
