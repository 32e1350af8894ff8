"""The AMQP inlet: packages publish to `unefois.in`; each gets a receipt in its own queue, after our commit."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from bus.api import INLET, Bus, Incoming, Outcome, Outgoing, Queue, QueueKind, Room, receipts_queue
from bus.ledger import Ledger
from hub.acceptance.accept import Acceptance, Verdict
from hub.acceptance.turns import Pace, admit_in_time
from hub.clients.origin import Origin
from schemas.errors import BusUnavailable, HubError, InvalidMessage
from schemas.event import BATCH, MAX_BATCH_BYTES, STRUCTURED, Event, Submitted, decode_batch, decode_json

_log = structlog.get_logger()
_TURN_BYTES = 1024 * 1024  # of one user before others have their turn
_ROOM = Room(largest=MAX_BATCH_BYTES, bytes=64 * 1024 * 1024)
_COMMIT = 1000  # events in one commit: a prefetched burst of batches may hold many more
_OWED = 5000  # receipts that are kept for queues that do not take them
_KEEP_EVERY = 5.0  # seconds after which the inlet is declared, and what is owed sent, again
STRANGERS = "inlet-strangers"  # the counter of messages that were dropped because nobody knows who sent them


class Inlet:
    """Reads the inlet. `origin_of` gives the rights of a broker user, None when the hub does not know it: the name is
    the one that the broker verified, never one that a message claims. Messages of strangers are dropped and counted.

    Memory and time are bounded before anything is parsed: what is too large is refused unread, no more than _ROOM is
    held, and users have turns, so that the backlog of one does not hold another's event. No commit is long."""

    def __init__(
        self, ledger: Ledger, bus: Bus, acceptance: Acceptance, origin_of: Callable[[str], Origin | None], *,
        keep_every: float = _KEEP_EVERY,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._bus = bus
        self._acceptance = acceptance
        self._origin_of = origin_of
        self._keep_every = keep_every
        self._pace = Pace(_COMMIT)
        self._trouble: dict[str, str] = {}
        self.trouble = ""  # why the inlet cannot be declared: the code of the error
        self._gate = threading.Lock()  # held while receipts are sent, so that those of one queue keep their order
        self._declared: set[str] = set()
        self._owed: list[Outgoing] = []
        self._full: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Read until `stop` is set. A queue that somebody deletes is there again within seconds."""
        while not (stop.is_set() or self._declare(INLET, "inlet")):
            stop.wait(1.0)
        if stop.is_set():
            return
        over = threading.Event()
        keeper = threading.Thread(target=self._keep_queues, args=(over,), name="inlet keeper", daemon=True)
        keeper.start()
        try:
            self._bus.consume(INLET, self.handle, stop=stop, room=_ROOM)
        finally:
            over.set()
            keeper.join(5)

    def handle(self, messages: Sequence[Incoming]) -> None:
        """Accept a batch, then send the receipts. If it raises, all of the batch come back; the door knows them."""
        origins = {user: self._origin_of(user) for user in {m.user for m in messages if m.user is not None}}
        known = {user: origin for user, origin in origins.items() if origin is not None}
        strangers = sum(message.user not in known for message in messages)
        if strangers:
            _log.error("messages from unknown senders dropped", count=strangers)
        items: list[_Item] = []
        size = 0
        for user, message in _in_turns([(m.user, m) for m in messages if m.user is not None and m.user in known]):
            items += [_Item(user, item, checked) for item, checked in self._checked(known[user], message)]
            size += len(message.body)
            if size >= _TURN_BYTES or len(items) >= _COMMIT:
                self._accept_in_parts(items, known)
                items, size = [], 0
        self._accept_in_parts(items, known)
        if strangers:
            with self._ledger.transaction() as tx:
                tx.count_up(STRANGERS, strangers)

    def _accept_in_parts(self, items: Sequence[_Item], known: Mapping[str, Origin]) -> None:
        """In commits of which none keeps the door from others for long."""
        left = list(items)
        while left:
            part, later = self._divided(left, known)
            left = [*self._accept_whole(part, known), *later]

    def _divided(self, items: Sequence[_Item], known: Mapping[str, Origin]) -> tuple[list[_Item], list[_Item]]:
        """What one commit takes, of each user as much as its pace allows, and the rest."""
        part: list[_Item] = []
        later: list[_Item] = []
        taken: Counter[str] = Counter()
        for item in items:
            takes = len(part) < _COMMIT and taken[item.user] < self._pace.of(known[item.user].name)
            taken[item.user] += takes
            (part if takes else later).append(item)
        return part, later

    def _checked(self, origin: Origin, message: Incoming) -> Iterator[tuple[Submitted, Submitted]]:
        """Each event of a message, as it was read and as it was checked; one refusal for a message that is no batch."""
        try:
            items = _events(message, self._acceptance.limits.event_bytes)
            yield from zip(items, self._acceptance.check(origin, items, read=True), strict=True)
        except InvalidMessage as error:
            yield error, error

    def _accept_whole(self, items: Sequence[_Item], origins: Mapping[str, Origin]) -> list[_Item]:
        """Those that are left, because there was no time for them."""
        try:
            return self._accept(items, origins)
        except HubError:
            raise
        except Exception as error:  # our own mistake over one event must not shut the door for all
            _log.error("inlet stumbles", error=type(error).__name__, count=len(items))
            if len(items) > 1:
                for item in items:
                    self._accept_whole([item], origins)
            else:
                refused = Verdict("refused", error=InvalidMessage("the hub made a mistake", code="internal_error"))
                self._send([_receipt(items[0], refused)])
            return []

    def _accept(self, items: Sequence[_Item], origins: Mapping[str, Origin]) -> list[_Item]:
        by_user: dict[str, list[_Item]] = {}
        for item in items:
            by_user.setdefault(item.user, []).append(item)
        receipts: list[Outgoing] = []
        left: list[_Item] = []
        groups = [(origins[user], [item.checked for item in mine]) for user, mine in by_user.items()]
        given = admit_in_time(self._ledger, self._acceptance, self._pace, groups)
        for mine, verdicts in zip(by_user.values(), given, strict=True):
            receipts += map(_receipt, mine, verdicts)
            left += mine[len(verdicts) :]
        self._send(receipts)
        return left

    # --- receipts -----------------------------------------------------------------------------------------------

    def _send(self, receipts: Sequence[Outgoing]) -> None:
        """Send what is owed and these. Raises BusUnavailable when the broker is away: then their events come back."""
        with self._gate:
            new = {item.queue for item in receipts} - self._declared
            if new:
                self._bus.declare([Queue(name, "receipts") for name in sorted(new)])
                self._declared |= new
            owed = [item for item in self._owed if item.queue in self._declared]
            apart = [item for item in self._owed if item.queue not in self._declared]
            outcomes = self._bus.publish([*owed, *receipts])
            left = [item for item, outcome in zip(owed, outcomes, strict=False) if not outcome.taken]
            if not all(map(_answered, outcomes)):
                self._declared.clear()
            fresh = outcomes[len(owed) :]
            if not all(map(_answered, fresh)):
                self._owe([*apart, *left])
                raise BusUnavailable("a receipt was not taken")
            # A package that does not read its receipts must not stop the others: it gets them when there is room again.
            left += [item for item, outcome in zip(receipts, fresh, strict=True) if not outcome.taken]
            self._owe([*apart, *left])

    def _owe(self, items: Sequence[Outgoing]) -> None:
        full = {item.queue for item in items}
        if full - self._full:
            _log.error("receipts not taken", queues=sorted(full), count=len(items))
        if len(items) > _OWED:
            _log.error("receipts dropped", count=len(items) - _OWED)
        self._full, self._owed = full, list(items[-_OWED:])

    def _keep_queues(self, over: threading.Event) -> None:
        """Beside the reading: make again what somebody deleted, and send what is owed although nobody speaks."""
        while not over.wait(self._keep_every):
            self._declare(INLET, "inlet")
            with self._gate:
                missing = {item.queue for item in self._owed} - self._declared
            for name in missing:
                if self._declare(name, "receipts"):
                    with self._gate:
                        self._declared.add(name)
            if self._owed:
                self._send([])

    def _declare(self, queue: str, kind: QueueKind) -> bool:
        """Whether the queue is there now. A trouble is told once for as long as it lasts."""
        try:
            self._bus.declare([Queue(queue, kind)])
        except HubError as error:
            if self._trouble.get(queue) != error.reason:
                tell = _log.warning if isinstance(error, BusUnavailable) else _log.error  # the second wants a person
                tell("queue cannot be declared", queue=queue, cause=error.reason)
            self._trouble[queue] = error.reason
            self.trouble = error.code if queue == INLET else self.trouble
            return False
        self._trouble.pop(queue, None)
        self.trouble = "" if queue == INLET else self.trouble
        return True


def _answered(outcome: Outcome) -> bool:
    return outcome.taken or outcome.refused


@dataclass(frozen=True, slots=True)
class _Item:
    """One event of a user: as it was read, and as it was checked."""

    user: str
    read: Submitted
    checked: Submitted


def _in_turns(messages: Sequence[tuple[str, Incoming]]) -> Iterator[tuple[str, Incoming]]:
    """All messages, those of one user in their order; after _TURN_BYTES the next user has its turn."""
    waiting: dict[str, deque[Incoming]] = {}
    for user, message in messages:
        waiting.setdefault(user, deque()).append(message)
    while waiting:
        for user, mine in list(waiting.items()):
            size = 0
            while mine and size < _TURN_BYTES:
                size += len(mine[0].body)
                yield user, mine.popleft()
            if not mine:
                del waiting[user]


def _events(message: Incoming, most: int) -> list[Submitted]:
    if message.oversize:
        raise InvalidMessage(f"a message takes at most {MAX_BATCH_BYTES} bytes", code="too_large")
    media = message.content_type.split(";")[0].strip().lower()
    if media == BATCH:
        return decode_batch(message.body)
    if media != STRUCTURED:
        raise InvalidMessage(f"content-type must be {STRUCTURED} or {BATCH}", code="unsupported_media_type")
    if len(message.body) > most:
        raise InvalidMessage(f"an event takes at most {most} bytes", code="too_large")
    return Event.from_batch([decode_json(message.body)])


def _receipt(item: _Item, verdict: Verdict) -> Outgoing:
    body: dict[str, Any] = {"verdict": verdict.outcome}
    if isinstance(item.read, Event):
        body |= {"id": item.read.id, "source": item.read.source}
    if verdict.request_id is not None:
        body["request"] = verdict.request_id
    if verdict.error is not None:
        body |= {"code": verdict.error.code, "pointer": verdict.error.pointer, "detail": verdict.error.reason}
    return Outgoing(receipts_queue(item.user), orjson.dumps(body))
