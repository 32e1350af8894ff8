"""The worker of one connection: receipts, lanes, outcomes.

It commits receipts before the bus forgets a message, runs handlers from the ledger outside any transaction, one lane
per order key, and commits outcomes in groups together with what they brought.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import orjson
import structlog

from bus.api import Bus, Incoming, connection_queue
from bus.ledger import Claimed, DatabaseFault, Finished, LeaseLost, Ledger, Transaction
from bus.tables import DELIVERED, PARKED, RECEIVED, REFUSED, WAITING
from schemas.delivery import Delivery, Done, Safety
from schemas.errors import AccessDenied, BusUnavailable, HubError, InvalidMessage, Refused, TryLater, Unknown
from schemas.event import Event

_log = structlog.get_logger()
_LEASE = 10.0
_NET_EVERY = 10.0
_PACED_AHEAD = 5.0  # seconds of work that are claimed for a package with a rate
_WISH = 6 * 3600.0  # seconds that a package may ask for at most: a wrong header must not stop it for ever
_IDENTIFIER = 200  # characters: as in the shared record `system-reference`
_GLANCE = 0.2
_TEXT = 1000  # characters of a cause or an answer that are kept
_LONG = 900.0  # seconds after which a call is taken for one that never comes back
_CACHE = 5000
SCHEDULE = (1, 5, 30, 120, 600, 1800, 3600, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)  # seconds, then the last one
_numbers = itertools.count(1)
PATIENCE = 5 * 86_400.0  # a delivery that waits longer than this is parked


class Handler(Protocol):
    """What acts on deliveries of one connection. Errors: see `schemas.errors`; any other error parks."""

    @property
    def safety(self) -> Safety: ...

    def handle_many(self, deliveries: Sequence[Delivery]) -> Sequence[Done | HubError]: ...

    def look_up(self, delivery: Delivery) -> Done | None: ...


class Desk(Protocol):
    """What the hub knows and the worker needs. The `tx` of a call is the worker's own: all or nothing with it."""

    def deliveries(
        self, tx: Transaction, connection: str, claimed: Sequence[Claimed], views: Mapping[int, Event]
    ) -> dict[int, Delivery]:
        """Build what the handler gets; `views` holds those that came by the bus, the others are made again."""
        ...

    def check(self, connection: str, events: Sequence[Event]) -> None:
        """Raises InvalidMessage when one of the events that a handler returned would be refused at the door."""
        ...

    def settle(self, tx: Transaction, connection: str, ended: Sequence[Ended]) -> None:
        """In the commit of the outcomes: accept returned events, keep references, tell of what was parked."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """`pause`: why the connection must not be used until a human has looked, None when it may."""

    delivery: Delivery
    finished: Finished
    done: Done | None = None
    pause: str | None = None


class Breaker:
    """Stops hammering a package that is away: after a few failures in a row one delivery at a time probes it."""

    def __init__(self, clock: Callable[[], float], *, after: int = 3, longest: float = 60.0) -> None:
        self._clock = clock
        self._after = after
        self._longest = longest
        self._failures = 0
        self._until = 0.0
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        return self._failures >= self._after

    @property
    def resting(self) -> float:
        """Seconds until the next probe is allowed."""
        return max(0.0, self._until - self._clock()) if self.open else 0.0

    def failed(self, after: float | None) -> None:
        """What fails while the breaker rests was under way before it opened: that is no further failure."""
        with self._lock:
            wish = min(after or 0.0, _WISH)
            if self.resting:
                self._until = max(self._until, self._clock() + wish)
                return
            self._failures += 1
            if self.open:
                pause = min(0.5 * 2 ** min(self._failures - self._after, 10), self._longest)
                pause *= random.uniform(0.8, 1.2)  # noqa: S311
                self._until = self._clock() + max(pause, wish)

    def succeeded(self) -> bool:
        """True when the package was away until now."""
        with self._lock:
            was_open, self._failures = self.open, 0
            return was_open


class Worker:
    """Runs one connection until told to stop. Several may be started for a connection: one is active, by a lease.

    `rate`: deliveries per second at most, or None. `clock` is monotonic; the ledger's clock decides on due times.
    """

    def __init__(
        self, connection: str, ledger: Ledger, bus: Bus, handler: Handler, desk: Desk, *, owner: str,
        rate: float | None = None, patience: float = PATIENCE, lease: float = _LEASE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.connection = connection
        self.breaker = Breaker(clock)
        self.beat = clock()
        self.active = False
        self._ledger, self._bus, self._handler, self._desk = ledger, bus, handler, desk
        # Each worker has a name of its own: one that replaces a sluggish one must wait for its lease to end.
        self._owner = f"{owner}.{next(_numbers)}"
        self._patience, self._clock, self._lease = patience, clock, lease
        self._pace = _Pace(rate, clock)
        safety = handler.safety
        # Only what the package can tell twice apart is claimed far ahead: the rest would be in doubt after a stop.
        self._ahead = 500 if safety.idempotency == "native-key" else safety.concurrency
        if rate is not None:
            self._ahead = min(self._ahead, max(safety.concurrency, safety.batch, int(rate * _PACED_AHEAD)))
        self._single = safety.idempotency != "native-key" or safety.batch > 1
        self._views: OrderedDict[int, Event] = OrderedDict()
        self._ended: deque[Ended] = deque()
        self._running = 0
        self._in_hand: set[int] = set()
        self._ready = threading.Condition()
        self._poked = True
        self._failing_over = False
        self._ours_until = float("-inf")
        self._denied = False
        self._paused = False
        self._paused = False
        self._calls: dict[int, float] = {}
        self._hurry = False
        self._identity = ""

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                token = self._acquire(stop)
                if token is not None:
                    self._lead(token, stop)
            except (LeaseLost, BusUnavailable) as error:
                _log.warning("worker starts over", connection=self.connection, error=type(error).__name__)
                stop.wait(0.5)
            finally:
                self.active = False

    def stale(self, seconds: float) -> bool:
        """True when the loop of an active worker has not turned for that long, or the package has not answered a call
        for far longer: its lanes are few, and would all end like this one. Stop it and start another."""
        now = self._clock()
        return self.active and (now - self.beat > seconds or now - min(list(self._calls.values()), default=now) > _LONG)

    def poke(self) -> None:
        """Look for work now."""
        with self._ready:
            self._poked = True
            self._ready.notify_all()

    # --- leading ------------------------------------------------------------------------------------------------

    def _acquire(self, stop: threading.Event) -> int | None:
        name = f"worker:{self.connection}"
        started = self._clock()
        with self._ledger.transaction() as tx:
            token = tx.take_lease(name, self._owner, self._lease)
            identity = tx.identity()
            if token is not None:
                settling = self._safety.settling.total_seconds()
                parked = tx.recover(self.connection, doubtful=self._safety.idempotency, settling=settling)
                self._tell(tx, parked)
                tx.release_orphans(self.connection)
        self._identity, self._ours_until = identity, started + self._lease
        if token is None:
            stop.wait(min(1.0, self._lease / 3))
        return token

    def _tell(self, tx: Transaction, parked: Sequence[tuple[Claimed, str]]) -> None:
        """Say of what was found parked at the start the same as of what is parked at work."""
        if parked:
            deliveries = self._desk.deliveries(tx, self.connection, [claimed for claimed, _ in parked], {})
            ended = [Ended(deliveries[c.seq], Finished(c.seq, c.order_key, PARKED, cause)) for c, cause in parked]
            self._desk.settle(tx, self.connection, ended)

    def _lead(self, token: int, stop: threading.Event) -> None:
        self.active = True
        over = threading.Event()
        receiver = threading.Thread(
            target=self._bus.consume, args=(connection_queue(self.connection), self._receive),
            kwargs={"stop": over}, name=f"receive {self.connection}", daemon=True,
        )  # fmt: skip
        receiver.start()
        pool = ThreadPoolExecutor(self._safety.concurrency, thread_name_prefix=f"lane {self.connection}")
        try:
            self._cycle(token, pool, stop, receiver)
        finally:
            over.set()
            self._failing_over = True
            pool.shutdown(wait=True)  # what has not begun ends as not tried: it did not die as started
            self._farewell(token)
            self._running, self._failing_over, self._denied, self._paused = 0, False, False, False
            self._ended.clear()
            self._in_hand.clear()
            receiver.join(timeout=15)

    def _cycle(self, token: int, pool: ThreadPoolExecutor, stop: threading.Event, receiver: threading.Thread) -> None:
        next_net, next_due, unsure = 0.0, None, False
        while not stop.is_set():
            if not receiver.is_alive():
                raise BusUnavailable("nobody receives any more")
            self.beat = self._clock()
            timeout = self._timeout(next_due)
            with self._ready:
                self._ready.wait_for(lambda: self._poked or self._ended or stop.is_set(), timeout)
                self._poked = False
                ended = [self._ended.popleft() for _ in range(len(self._ended))]
                self._running -= len(ended)
            try:
                with self._fenced(token) as tx:
                    self._commit(tx, ended)
                    if unsure:
                        tx.put_back(self.connection, self._in_hand)
                    self._paused = self.connection in tx.paused()
                    if self._clock() >= next_net:
                        tx.release_orphans(self.connection)
                        next_net = self._clock() + _NET_EVERY
                    claimed, deliveries = self._claim(tx)
                    next_due = tx.next_due(self.connection) if not claimed else self._ledger.now()
            except BusUnavailable:
                # What ended is still to be written, by the next transaction that succeeds. This one may have been
                # committed all the same: then its claims are started for the ledger and in nobody's hands.
                self._keep(ended)
                unsure = True
                stop.wait(0.2)
                continue
            except LeaseLost:
                raise
            except Exception as error:  # what one handler returned must not stop the others
                if not ended:
                    raise
                _log.error("outcomes written apart", connection=self.connection, error=type(error).__name__)
                self._commit_apart(token, ended)
                continue
            unsure = False
            self._committed(ended)
            self._start(pool, claimed, deliveries)

    @contextmanager
    def _fenced(self, token: int) -> Iterator[Transaction]:
        """A transaction that only the owner of the lease can commit. It prolongs the lease."""
        started = self._clock()
        with self._ledger.transaction() as tx:
            tx.fence(f"worker:{self.connection}", token, self._lease)
            yield tx
        self._ours_until = started + self._lease

    def _keep(self, ended: Sequence[Ended]) -> None:
        with self._ready:
            self._ended.extendleft(reversed(ended))
            self._running += len(ended)

    def _commit_apart(self, token: int, ended: Sequence[Ended]) -> None:
        """One by one, so that what cannot be written is parked alone."""
        left = deque(ended)
        try:
            while left:
                self._commit_one(token, left[0])
                self._committed([left.popleft()])
        except BusUnavailable:
            self._keep(left)

    def _commit_one(self, token: int, item: Ended) -> None:
        try:
            with self._fenced(token) as tx:
                self._commit(tx, [item])
        except (LeaseLost, BusUnavailable):
            raise
        except Exception as error:
            reason = error.reason if isinstance(error, HubError) else type(error).__name__
            parked = replace(item.finished, state=PARKED, cause=f"résultat impossible à enregistrer ({reason})")
            with self._fenced(token) as tx:
                self._commit(tx, [Ended(item.delivery, parked)])

    def _timeout(self, next_due: float | None) -> float:
        longest = self._lease / 4
        if self.breaker.resting:
            return min(longest, self.breaker.resting)
        if next_due is None or self._paused or not self._room():  # what ends wakes us
            return longest
        return min(longest, max(next_due - self._ledger.now(), 0.0))

    def _room(self) -> int:
        if self.breaker.open:
            return 1 if self._running == 0 and self.breaker.resting == 0.0 else 0
        return max(0, self._ahead - self._running)

    def _claim(self, tx: Transaction) -> tuple[list[Claimed], dict[int, Delivery]]:
        room = self._room()
        if not self._running:
            self._denied = False
        if self._paused or self._denied or not room:
            return [], {}
        claimed = tx.claim(self.connection, room, one_per_key=self._single, busy=self._running > 0)
        shown = self._shown(tx, claimed)
        return [c for c in claimed if c.seq in shown], shown

    def _shown(self, tx: Transaction, claimed: Sequence[Claimed]) -> dict[int, Delivery]:
        """What the handler gets; one that cannot be made is parked, and stops no other."""
        if not claimed:
            return {}
        views = {c.seq: self._views[c.seq] for c in claimed if c.seq in self._views}
        try:
            return self._desk.deliveries(tx, self.connection, claimed, views)
        except (BusUnavailable, DatabaseFault):
            raise
        except Exception as error:
            if len(claimed) > 1:
                return {seq: made for c in claimed for seq, made in self._shown(tx, [c]).items()}
            seq, kind = claimed[0].seq, type(error).__name__
            _log.error("delivery cannot be made", connection=self.connection, seq=seq, error=kind)
            cause = f"ne peut pas être préparée ({kind})"
            tx.finish(self.connection, [Finished(seq, claimed[0].order_key, PARKED, cause)])
            return {}

    def _commit(self, tx: Transaction, ended: Sequence[Ended]) -> None:
        if not ended:
            return
        tx.finish(self.connection, [item.finished for item in ended], followers=1 if self._single else 500)
        self._desk.settle(tx, self.connection, ended)
        if self._hurry:
            tx.hurry(self.connection)
        denied = [item.pause for item in ended if item.pause]
        if denied:
            tx.pause(self.connection, denied[0])

    def _committed(self, ended: Sequence[Ended]) -> None:
        self._hurry = self._hurry and not ended
        with self._ready:
            for item in ended:
                self._views.pop(item.finished.seq, None)
                self._in_hand.discard(item.finished.seq)

    def _farewell(self, token: int) -> None:
        """Write what ended and give the lease back; if we cannot, the next owner recovers."""
        ended = list(self._ended)
        try:
            with self._fenced(token) as tx:
                self._commit(tx, ended)
                tx.give_back(f"worker:{self.connection}", token)
        except (LeaseLost, BusUnavailable):
            _log.warning("outcomes left to the next worker", connection=self.connection, count=len(ended))

    # --- receiving ----------------------------------------------------------------------------------------------

    def _receive(self, messages: Sequence[Incoming]) -> None:
        received: set[int] = set()
        views: dict[int, Event] = {}
        for message in messages:
            if message.headers.get("ledger") != self._identity:
                _log.error("message of another ledger dropped", connection=self.connection)
                continue
            try:
                seqs = {int(item["seq"]): item["event"] for item in orjson.loads(message.body)}
            except (ValueError, KeyError, TypeError) as error:
                # Not from our relay, or damaged: what it stood for is unreceived and will be sent again.
                _log.error("unreadable message dropped", connection=self.connection, error=type(error).__name__)
                continue
            received.update(seqs)
            for seq, event in seqs.items():
                try:
                    views[seq] = Event.from_dict(event)
                except InvalidMessage as error:  # it is made again from the ledger
                    _log.error("unreadable event", connection=self.connection, seq=seq, code=error.code)
        if received:
            with self._ledger.transaction() as tx:
                tx.receive(self.connection, sorted(received))
            self._remember(views)
            self.poke()

    def _remember(self, views: Mapping[int, Event]) -> None:
        with self._ready:
            self._views.update(views)
            while len(self._views) > _CACHE:
                self._views.popitem(last=False)

    # --- lanes --------------------------------------------------------------------------------------------------

    def _start(self, pool: ThreadPoolExecutor, claimed: Sequence[Claimed], deliveries: Mapping[int, Delivery]) -> None:
        with self._ready:
            self._running += len(claimed)
            self._in_hand.update(c.seq for c in claimed)
        for group in self._groups(claimed):
            pool.submit(self._lane, [(c, deliveries[c.seq]) for c in group])

    def _groups(self, claimed: Sequence[Claimed]) -> list[list[Claimed]]:
        """Lanes: the deliveries of one key in order; or, for packages that take batches, many keys at once."""
        if self._safety.batch > 1:
            sure = [c for c in claimed if not c.doubt]
            size = self._safety.batch
            return [sure[i : i + size] for i in range(0, len(sure), size)] + [[c] for c in claimed if c.doubt]
        lanes: dict[str, list[Claimed]] = {}
        for item in claimed:
            lanes.setdefault(item.order_key, []).append(item)
        return list(lanes.values())

    def _lane(self, lane: Sequence[tuple[Claimed, Delivery]]) -> None:
        if self._safety.batch > 1 and len(lane) > 1:
            self._together(lane)
            return
        stopped = False
        for claimed, delivery in lane:
            if stopped or self._hands_off or self.breaker.resting:
                self._end(Ended(delivery, _untried(claimed)))
                continue
            ended = self._attempt(claimed, delivery)
            stopped = ended.finished.state not in (DELIVERED, REFUSED)
            self._end(ended)

    @property
    def _hands_off(self) -> bool:
        """True when nothing must be tried now: we stop, our lease may be somebody else's, access was denied, or an
        operator paused the connection."""
        return self._failing_over or self._denied or self._paused or self._clock() >= self._ours_until

    def _together(self, lane: Sequence[tuple[Claimed, Delivery]]) -> None:
        self._pace.wait(len(lane), lambda: self._hands_off)
        if self._hands_off or self.breaker.resting:
            for claimed, delivery in lane:
                self._end(Ended(delivery, _untried(claimed)))
            return
        outcomes = self._outcomes([d for _, d in lane])
        away = [o for o in outcomes if isinstance(o, TryLater)]
        if away:  # one call that failed is one failure, however many deliveries it carried
            self.breaker.failed(away[0].after)
        for (claimed, delivery), outcome in zip(lane, outcomes, strict=True):
            self._end(self._judge(claimed, delivery, outcome, counted=bool(away)))

    def _attempt(self, claimed: Claimed, delivery: Delivery) -> Ended:
        self._pace.wait(1, lambda: self._hands_off)
        if self._hands_off:
            return Ended(delivery, _untried(claimed))
        if claimed.doubt:
            found = self._looked_up(delivery)
            if found is not None:
                return self._judge(claimed, delivery, found)
        return self._judge(claimed, delivery, self._outcomes([delivery])[0])

    def _looked_up(self, delivery: Delivery) -> Done | Exception | None:
        try:
            with self._called():
                found = self._handler.look_up(delivery)
        except Unknown as error:  # looking is harmless: look again later
            return TryLater(error.reason)
        except BaseException as error:
            return _as_exception(error)
        return None if found is None else self._checked(found)

    def _outcomes(self, deliveries: Sequence[Delivery]) -> Sequence[Done | Exception]:
        try:
            with self._called():
                outcomes = self._handler.handle_many(deliveries)
            if len(outcomes) != len(deliveries):
                raise RuntimeError("the connector gave fewer or more outcomes than deliveries")
        except BaseException as raised:  # the one broad except: whatever a handler raises ends as an outcome
            error = _as_exception(raised)
            if len(deliveries) == 1 or isinstance(error, HubError) or self._safety.idempotency != "native-key":
                return [error] * len(deliveries)
            # A mistake over one delivery must not park those beside it; doing the others again changes nothing.
            _log.error("batch taken apart", connection=self.connection, error=type(error).__name__)
            return [self._outcomes([delivery])[0] for delivery in deliveries]
        return [self._checked(outcome) for outcome in outcomes]

    def _checked(self, outcome: Done | Exception) -> Done | Exception:
        """What a connector returned, or the error that it is not what it may return."""
        if not isinstance(outcome, Done):
            return outcome
        try:
            self._desk.check(self.connection, outcome.events)
        except Exception as error:
            return error
        if outcome.reference is None or _is_identifier(outcome.reference):
            return outcome
        return InvalidMessage("le connecteur a rendu un identifiant invalide")

    @contextmanager
    def _called(self) -> Iterator[None]:
        lane = threading.get_ident()
        self._calls[lane] = self._clock()
        try:
            yield
        finally:
            self._calls.pop(lane, None)

    def _end(self, ended: Ended) -> None:
        with self._ready:
            self._ended.append(ended)
            self._ready.notify_all()

    # --- judging ------------------------------------------------------------------------------------------------

    def _judge(
        self, claimed: Claimed, delivery: Delivery, outcome: Done | Exception, *, counted: bool = False
    ) -> Ended:
        base = Finished(claimed.seq, claimed.order_key, PARKED)
        if isinstance(outcome, Done | Refused) and not counted:
            self._hurry = self.breaker.succeeded() or self._hurry
        if isinstance(outcome, Done):
            answer, reference = _printable(outcome.answer) or None, outcome.reference
            return Ended(delivery, replace(base, state=DELIVERED, answer=answer, reference=reference), outcome)
        if isinstance(outcome, Refused):
            return Ended(delivery, replace(base, state=REFUSED, cause=_printable(outcome.reason)))
        if isinstance(outcome, AccessDenied):
            self._denied = True
            _log.error("connection paused", connection=self.connection, cause=outcome.code)
            return Ended(delivery, _untried(claimed), pause=_printable(outcome.reason))
        if isinstance(outcome, TryLater):
            if not counted:
                self.breaker.failed(outcome.after)
            return Ended(delivery, self._later(base, claimed, outcome.reason, outcome.after, doubt=claimed.doubt))
        if isinstance(outcome, Unknown):
            return Ended(delivery, self._uncertain(base, claimed, outcome))
        _log.error("delivery parked", connection=self.connection, seq=claimed.seq, error=type(outcome).__name__)
        reason = outcome.reason if isinstance(outcome, HubError) else f"erreur du connecteur ({type(outcome).__name__})"
        # The mistake may have come after the effect: whoever replays it must look first.
        doubt = self._safety.idempotency == "look-up-first"
        return Ended(delivery, replace(base, cause=_printable(reason), doubt=doubt))

    def _uncertain(self, base: Finished, claimed: Claimed, error: Unknown) -> Finished:
        if self._safety.idempotency == "none":
            return replace(base, cause=_printable(f"issue inconnue : {error.reason}"))
        self.breaker.failed(None)
        if self._safety.idempotency == "native-key":
            return self._later(base, claimed, error.reason, None, doubt=False)
        return self._later(base, claimed, error.reason, self._safety.settling.total_seconds(), doubt=True)

    def _later(self, base: Finished, claimed: Claimed, reason: str, after: float | None, *, doubt: bool) -> Finished:
        step = SCHEDULE[min(claimed.attempt, len(SCHEDULE)) - 1] * random.uniform(0.8, 1.2)  # noqa: S311
        reason = _printable(reason)
        now = self._ledger.now()
        if claimed.attempt > len(SCHEDULE) and now - self._accepted_at(claimed, now) > self._patience:
            return replace(base, cause=f"abandonné après {claimed.attempt} essais : {reason}", doubt=doubt)
        due = now + (max(step, min(after, _WISH)) if after is not None else step)
        return replace(base, state=WAITING, cause=reason, due=due, doubt=doubt)

    def _accepted_at(self, claimed: Claimed, otherwise: float) -> float:
        try:
            with self._ledger.reading() as tx:
                return tx.load([claimed.seq])[claimed.seq].accepted_at
        except BusUnavailable:  # it will be looked at again after the next attempt
            return otherwise

    @property
    def _safety(self) -> Safety:
        return self._handler.safety


def _untried(claimed: Claimed) -> Finished:
    return Finished(claimed.seq, claimed.order_key, RECEIVED, doubt=claimed.doubt)


def _as_exception(error: BaseException) -> Exception:
    """A lane goes on even when a connector wants to end the program or was cancelled by its own event loop."""
    return error if isinstance(error, Exception) else RuntimeError(type(error).__name__)


def _is_identifier(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= _IDENTIFIER and text.isprintable()


def _printable(text: str) -> str:
    """What a package said, fit for a database, a log and a page: no control characters, not too long."""
    return "".join(c if c.isprintable() else " " for c in str(text))[:_TEXT]


class _Pace:
    """At most `rate` calls a second, evenly."""

    def __init__(self, rate: float | None, clock: Callable[[], float]) -> None:
        self._gap = 1 / rate if rate else 0.0
        self._clock = clock
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, number: int, given_up: Callable[[], bool]) -> None:
        """Wait for the turn of so many, unless given up first."""
        if not self._gap:
            return
        with self._lock:
            now = self._clock()
            start = max(now, self._next)
            self._next = start + number * self._gap
        left = start - now
        while left > 0 and not given_up():
            time.sleep(min(left, _GLANCE))
            left -= _GLANCE
