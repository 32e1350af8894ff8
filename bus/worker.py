"""The worker of one connection: receipts, lanes, outcomes.

It commits receipts before the bus forgets a message, runs handlers from the ledger outside any transaction, one lane
per order key, and commits outcomes in groups together with what they brought.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol

import orjson
import structlog

from bus.api import Bus, Incoming, Seal, connection_queue, delivery_context
from bus.ledger import Ask, Claimed, DatabaseFault, Finished, LeaseLost, Ledger, Started, Taken, Transaction
from bus.tables import DELIVERED, FINAL, PARKED, RECEIVED, REFUSED, WAITING
from schemas.delivery import Delivery, Done, Safety
from schemas.errors import (
    MAX_FAULT,
    AccessDenied,
    BusUnavailable,
    HubError,
    InvalidMessage,
    Refused,
    TryLater,
    Unknown,
    fault_of,
    is_fault,
)
from schemas.event import Event, version_of

_log = structlog.get_logger()
_LEASE = 10.0
_PROLONGED = 0.8  # of a lease: prolonged again once less of it is left
_NET_EVERY = 10.0
_PACED_AHEAD = 5.0  # seconds of work that are claimed for a package with a rate
_WISH = 6 * 3600.0  # seconds that a package may ask for at most: a wrong header must not stop it for ever
_IDENTIFIER = 200  # characters: as in the shared record `system-reference`
_GLANCE = 0.2
_PREFETCH = 100  # messages, of up to 20 events
_AT_ONCE = 100  # events that are received together or not at all
_STAY = 0.5  # seconds for which what arrived waits for room
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


# By tenant, system and citizen: the identifier that the system gives to the citizen.
Identifiers = Mapping[tuple[str, str, str], str]


class Desk(Protocol):
    """What the hub knows and the worker needs. The `tx` of a call is the worker's own: all or nothing with it."""

    def identifiers(self, tx: Transaction, claimed: Iterable[Claimed]) -> Identifiers:
        """What all systems call those whom these deliveries, of any connections, are about."""
        ...

    def ask_identifiers(self, tx: Transaction, keys: Iterable[str]) -> Callable[[], Identifiers]:
        """As `identifiers`, by order key; the answer is there when it is called for."""
        ...

    def deliveries(
        self, tx: Transaction, connection: str, claimed: Sequence[Claimed], views: Mapping[int, Event],
        identifiers: Identifiers,
    ) -> dict[int, Delivery]:  # fmt: skip
        """Build what the handler gets; `views` holds those that came by the bus, the others are made again."""
        ...

    def shown_since(self, tx: Transaction, connection: str) -> int:
        """Since which version of the directory this connection is shown what it is shown now; 0: since ever. A view
        that was made by an older one is made again."""
        ...

    def check(self, connection: str, events: Sequence[Event]) -> None:
        """Raises InvalidMessage when one of the events that a handler returned would be refused at the door."""
        ...

    def settle(self, tx: Transaction, connection: str, ended: Sequence[Ended]) -> None:
        """In the commit of the outcomes: accept returned events, keep references, tell of what was parked."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """`pause`: why the connection must not be used until a human has looked, None when it may; `pause_fault`: the code
    of that cause."""

    delivery: Delivery
    finished: Finished
    done: Done | None = None
    pause: str | None = None
    pause_fault: str | None = None


@dataclass(slots=True)
class _Arrival:
    """What the bus handed over at once: kept until its receipt is committed. `company`: to how many connections the
    relay sent something at that moment."""

    keys: dict[int, str]  # of each event the key that keeps it in order
    views: dict[int, Event]
    company: int
    version: int = 0  # of the directory by which the oldest of the views was made
    at: float = field(default_factory=time.monotonic)
    settled: threading.Event = field(default_factory=threading.Event)
    received: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """What one worker brings to a commit of its team: what ended, and what arrived."""

    worker: Worker
    token: int
    began: float
    ended: Sequence[Ended]
    arrived: Sequence[_Arrival]
    prolongs: bool  # the lease is to be prolonged
    reached: int  # the last event received

    @property
    def keys(self) -> list[str]:
        """Of each event that arrived its key."""
        return [key for one in self.arrived for key in one.keys.values()]

    @property
    def finished(self) -> list[Finished]:
        return [item.finished for item in self.ended]


@dataclass(slots=True)
class _Lane:
    """The deliveries of one key in hand, from the first one claimed to the last one written. Once `stopped` nothing of
    it is tried: a later one must not overtake the one that was not done."""

    items: deque[tuple[Claimed, Delivery]] = field(default_factory=deque)
    unwritten: int = 0
    running: bool = False
    stopped: bool = False


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


class Team(Protocol):
    """Commits the turns of several workers together; `bus.team.Team` does."""

    def join(self, worker: Worker) -> None: ...

    def leave(self, worker: Worker) -> None:
        """Returns when no turn of this worker is under way any more."""
        ...

    def wake(self, *, soon: bool = False) -> None: ...


class Worker:
    """Runs one connection until told to stop. Several may be started for a connection: one is active, by a lease.

    Its thread waits for the lease and holds it while `team` takes its turns; its lanes call the package. `rate`:
    deliveries per second at most, or None. `clock` is monotonic; the ledger's clock decides on due times. `count` is
    told, once it is committed, how many deliveries of a connection came to which end. `resumed` is called before the
    first delivery after a pause; it must not wait. `seal`: that of the relay; nothing else is read.
    """

    def __init__(
        self, connection: str, ledger: Ledger, bus: Bus, handler: Handler, desk: Desk, team: Team, *, owner: str,
        rate: float | None = None, patience: float = PATIENCE, lease: float = _LEASE,
        clock: Callable[[], float] = time.monotonic,
        count: Callable[[str, str, int], None] = lambda connection, state, number: None,
        resumed: Callable[[], None] = lambda: None, seal: Seal | None = None,
    ) -> None:  # fmt: skip
        self.connection = connection
        self.breaker = Breaker(clock)
        self.beat = clock()
        self.active = False
        self._ledger, self._bus, self._handler, self._desk, self._team = ledger, bus, handler, desk, team
        self._seal = seal
        # Each worker has a name of its own: one that replaces a sluggish one must wait for its lease to end.
        self._owner = f"{owner}.{next(_numbers)}"
        self._count, self._resumed = count, resumed
        self._patience, self._clock, self.lease = patience, clock, lease
        self._pace = _Pace(rate, clock)
        safety = handler.safety
        # Only what the package can tell twice apart is claimed far ahead: the rest would be in doubt after a stop.
        self._ahead = 500 if safety.idempotency == "native-key" else safety.concurrency
        if rate is not None:
            self._ahead = min(self._ahead, max(safety.concurrency, safety.batch, int(rate * _PACED_AHEAD)))
        self._single = safety.idempotency != "native-key" or safety.batch > 1
        self._views: OrderedDict[int, tuple[int, Event]] = OrderedDict()  # each with the version it was made by
        self._ended: deque[Ended] = deque()
        self._inbox: deque[_Arrival] = deque()
        self._running = 0
        self._lanes: dict[str, _Lane] = {}
        self._in_hand: dict[int, str] = {}  # seq and key of what is started and not written
        self._begun: list[tuple[int, str]] = []  # seq and key of what was started ahead in the turn under way
        self._loose: set[int] = set()  # what was tried before the commit of its start was known
        self._since = 0  # the last event when the lease was taken
        self._held: set[str] = set()  # the keys that have followers
        self._due: float | None = None  # when the next delivery that waits may be tried, as far as known
        self._more = True  # something that was received before may be ready now
        self._left = False  # or will be when something in hand has ended
        self._hasty = False  # that has ended
        self._gate = threading.Lock()  # of the lanes
        self._poked = True
        self._next_at = float("-inf")
        self._next_net = float("-inf")
        self._token = 0
        self._crew: _Crew | None = None
        self._unsure = False
        self._failure: Exception | None = None
        self._failing_over = False
        self._ours_until = float("-inf")
        self._reached = 0
        self._denied = False
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
        self._poked = True
        self._team.wake()

    # --- leading ------------------------------------------------------------------------------------------------

    def _acquire(self, stop: threading.Event) -> int | None:
        name = f"worker:{self.connection}"
        started = self._clock()
        with self._ledger.transaction() as tx:
            token = tx.take_lease(name, self._owner, self.lease)
            identity = tx.identity()
            if token is not None:
                settling = self._safety.settling.total_seconds()
                parked = tx.recover(self.connection, doubtful=self._safety.idempotency, settling=settling)
                self._tell(tx, parked)
                self._look_around(tx)
                self._since = tx.last_seq()
        self._identity, self._ours_until = identity, started + self.lease
        if token is None:
            stop.wait(min(1.0, self.lease / 3))
        return token

    def _tell(self, tx: Transaction, parked: Sequence[tuple[Claimed, str]]) -> None:
        """Say of what was found parked at the start the same as of what is parked at work."""
        if parked:
            found = [claimed for claimed, _ in parked]
            known = self._desk.identifiers(tx, found)
            deliveries = self._desk.deliveries(tx, self.connection, found, {}, known)
            ended = [Ended(deliveries[c.seq], Finished(c.seq, c.order_key, PARKED, cause)) for c, cause in parked]
            self._desk.settle(tx, self.connection, ended)

    def _lead(self, token: int, stop: threading.Event) -> None:
        self.beat, self.active = self._clock(), True
        over = threading.Event()
        receiver = threading.Thread(
            target=self._bus.consume, args=(connection_queue(self.connection), self._receive),
            kwargs={"stop": over, "prefetch": _PREFETCH}, name=f"receive {self.connection}", daemon=True,
        )  # fmt: skip
        receiver.start()
        self._crew = _Crew(self._safety.concurrency, f"lane {self.connection}")
        self._token, self._failure, self._poked, self._unsure = token, None, True, False
        self._resumed()  # perhaps it was, while another led or nobody
        self._team.join(self)
        try:
            while not stop.is_set():
                if self._failure is not None:
                    raise self._failure
                if not receiver.is_alive():
                    raise BusUnavailable("nobody receives any more")
                stop.wait(_GLANCE)
        finally:
            self._team.leave(self)
            over.set()
            self._failing_over = True
            self._crew.close()  # what has not begun ends as not tried: it did not die as started
            self._farewell()
            self._running, self._failing_over, self._denied, self._paused = 0, False, False, False
            self._ended.clear()
            self._lanes.clear()
            self._in_hand.clear()
            self._loose.clear()
            patience = self._clock() + 15
            while receiver.is_alive() and self._clock() < patience:
                self._settle([self._inbox.popleft() for _ in range(len(self._inbox))], received=False)
                receiver.join(timeout=_GLANCE)

    # --- turns: the team's thread calls these -------------------------------------------------------------------

    @property
    def urgent(self) -> bool:
        """Something could be started, or could be once what ended is written."""
        return self._more or self._hasty

    @property
    def arrived_at(self) -> float | None:
        """When the oldest of what arrived came, None when nothing did; on the clock of `time.monotonic`."""
        try:
            return self._inbox[0].at
        except IndexError:
            return None

    @property
    def company(self) -> int:
        """How many connections have got something at the same time as this one; 0 when that is not known."""
        try:
            return self._inbox[0].company
        except IndexError:
            return 0

    def waits(self) -> float:
        """Seconds until this worker wants a turn; 0 when it has something to write or to start."""
        if self._failure is not None:
            return _GLANCE  # it starts over
        if self._ended or self._poked:
            return 0.0
        if self._inbox:
            return 0.0 if self._takes() else max(0.0, self._inbox[0].at + _STAY - time.monotonic())
        return max(0.0, self._next_at - self._clock())

    def _takes(self) -> bool:
        """Whether what arrived is received at once: else it stays with the bus for a while, for what cannot start soon
        is written once more."""
        return self._stopped or self._room() > 0

    @property
    def _stopped(self) -> bool:
        """Nothing is started for a reason that may last: what arrives is received all the same."""
        return self._paused or self._denied or self.breaker.open

    def begin(self) -> Turn:
        """Take out what a turn is about; `went`, `failed` or `stumbled` must follow."""
        self.beat = self._clock()
        self._hasty = False
        if not (self._ended or self._inbox) or self._poked:
            self._more, self._poked = True, False
        ended = [self._ended.popleft() for _ in range(len(self._ended))]
        self._running -= len(ended)
        arrived: list[_Arrival] = []
        stopped, room = self._stopped, self._room()
        while self._inbox:
            one = self._inbox[0]
            if not stopped and room <= 0 and time.monotonic() - one.at < _STAY:
                break
            room -= len(one.keys)
            arrived.append(self._inbox.popleft())
        reached = max((seq for one in arrived for seq in one.keys), default=0)
        prolongs = self._ours_until - self.beat < self.lease * _PROLONGED
        return Turn(self, self._token, self.beat, ended, arrived, prolongs, max(reached, self._reached))

    @property
    def loose(self) -> list[tuple[str, int]]:
        """What was tried though the commit of its start may have failed: it is to be started again."""
        return [(self.connection, seq) for seq in self._loose]

    def alone(self, turn: Turn) -> list[int]:
        """What of the arrived can be started if nothing of its key is open before it; nothing of it is in hand."""
        due = self._due is not None and self._due <= self._ledger.now()
        if self._stopped or self._unsure or self._more or due or self._clock() >= self._next_net:
            return []
        firsts: dict[str, int] = {}
        for one in turn.arrived:
            for seq, key in one.keys.items():
                firsts.setdefault(key, seq)
        for key in self._still_in_hand(turn).values():
            firsts.pop(key, None)
        return list(firsts.values())[: self._room()]

    def settle(self, tx: Transaction, turn: Turn, *, paused: bool, begun: Started) -> Ask | None:
        """After the outcomes were written: what they bring. What this worker wants to start now, beside what was begun
        already."""
        if self._paused and not paused:
            self._resumed()
        self._paused = paused
        mine = [(seq, key) for one in turn.arrived for seq, key in one.keys.items() if (self.connection, seq) in begun]
        if paused and mine:
            tx.end({self.connection: [Finished(seq, key, RECEIVED) for seq, key in mine]})
            mine = []
        self._begun = mine
        self._conclude(tx, turn.ended)
        if self._unsure:
            tx.put_back(self.connection, self._still_in_hand(turn))
        if self._unsure or self._clock() >= self._next_net:
            self._look_around(tx, set(self._still_in_hand(turn).values()))
        return self._ask(turn)

    def ask_identifiers(self, tx: Transaction, keys: Iterable[str]) -> Callable[[], Identifiers]:
        return self._desk.ask_identifiers(tx, keys)

    def at_hand(self, turn: Turn) -> Iterable[str]:
        """Of each event that arrives its key, and of those in hand that have the same keys."""
        arrived = set(turn.keys)
        in_hand = {} if self._single else self._still_in_hand(turn)
        return [*turn.keys, *(key for key in in_hand.values() if key in arrived)]

    def show(
        self, tx: Transaction, taken: Taken, identifiers: Identifiers
    ) -> tuple[list[Claimed], dict[int, Delivery]]:
        """What of the claimed can be started, and what the handler gets."""
        if self._more:
            self._due = tx.next_due(self.connection)
        self._left = taken.more or ((self._left or self._more) and not self._room())
        self._more = False
        self._held |= taken.held
        shown = self._shown(tx, taken.claimed, identifiers)
        lost = {c.order_key: c.seq for c in reversed(taken.claimed) if c.seq not in shown}
        behind = [c for c in taken.claimed if c.seq in shown and c.seq > lost.get(c.order_key, c.seq)]
        if behind:  # what was parked just now holds them
            tx.end({self.connection: [_untried(c) for c in behind]})
            shown = {seq: made for seq, made in shown.items() if seq not in {c.seq for c in behind}}
            self._more = True
        return [c for c in taken.claimed if c.seq in shown], shown

    def went(self, turn: Turn, claimed: Sequence[Claimed], deliveries: Mapping[int, Delivery]) -> None:
        """The commit is made: go on."""
        claimed = [one for one in claimed if one.seq not in self._loose]
        self._loose.clear()
        if turn.prolongs:
            self._ours_until = turn.began + self.lease
        self._reached = turn.reached
        self._unsure = False
        self._committed(turn.ended)
        self._settle(turn.arrived, received=True)
        self._start(claimed, deliveries)
        self._next_at = self._clock() + self._timeout()

    def hasten(self, claimed: Sequence[Claimed], deliveries: Mapping[int, Delivery]) -> None:
        """Before the commit: try what was begun ahead, if doing it again changes nothing. Whatever was there when the
        lease was taken waits for the commit: it may be what stopped the last owner."""
        if self._safety.idempotency == "native-key":
            begun = {seq for seq, _ in self._begun if seq > self._since}
            hasty = [one for one in claimed if one.seq in begun]
            self._loose |= {one.seq for one in hasty}
            self._start(hasty, deliveries)

    def undone(self) -> None:
        """A commit of several turns failed: what this worker learnt in it is not so."""
        self._unsure = True

    def failed(self, turn: Turn) -> None:
        """The database is away. What ended is still to be written, by the next transaction that succeeds. This one may
        have been committed all the same: then its claims are started for the ledger and in nobody's hands."""
        self._keep(turn)
        self._unsure = True

    def broke(self, error: Exception, turn: Turn | None = None) -> None:
        """This worker made a mistake of its own: it starts over. What it had in hand is settled as after a death."""
        _log.error("worker broke", connection=self.connection, error=type(error).__name__)
        for one in turn.arrived if turn is not None else ():
            if not one.settled.is_set() and one not in self._inbox:
                self._inbox.append(one)
        self._unsure, self._failure = True, error

    def stumbled(self, turn: Turn, error: Exception) -> None:
        """A turn of this worker alone failed: what one handler returned must not stop the others."""
        if isinstance(error, LeaseLost) or not turn.ended:
            self._keep(turn)
            self._failure = error
            return
        _log.error("outcomes written apart", connection=self.connection, error=type(error).__name__)
        self._inbox.extendleft(reversed(turn.arrived))
        self._unsure = True  # it may have been committed all the same, as in `failed`
        try:
            self._commit_apart(turn.ended)
        except LeaseLost as lost:
            self._failure = lost

    def _look_around(self, tx: Transaction, running: Collection[str] = ()) -> None:
        """The net, now and then: nothing depends on what this worker remembers."""
        tx.release_orphans(self.connection, running)
        self._held = tx.held_keys(self.connection)
        self._due = tx.next_due(self.connection)
        self._more, self._next_net = True, self._clock() + _NET_EVERY

    @contextmanager
    def _fenced(self) -> Iterator[Transaction]:
        """A transaction of its own, that only the owner of the lease can commit. It prolongs the lease."""
        began = self._clock()
        with self._ledger.transaction() as tx:
            turns = tx.turn({self.connection: (self._token, 0)}, self.lease)
            if self.connection not in turns:
                raise LeaseLost(self.connection)
            yield tx
        self._ours_until = began + self.lease

    def _keep(self, turn: Turn) -> None:
        self._inbox.extendleft(reversed(turn.arrived))
        self._ended.extendleft(reversed(turn.ended))
        self._running += len(turn.ended)

    def _commit_apart(self, ended: Sequence[Ended]) -> None:
        """One by one, so that what cannot be written is parked alone."""
        left = deque(ended)
        mistake: Exception | None = None
        try:
            while left:
                try:
                    self._commit_one(left[0])
                except (LeaseLost, BusUnavailable):
                    raise
                except Exception as error:  # not even as parked: it is settled as after a death
                    mistake = error
                self._committed([left.popleft()])
        except BusUnavailable:
            self._ended.extendleft(reversed(left))
            self._running += len(left)
        if mistake is not None:
            raise mistake

    def _commit_one(self, item: Ended) -> None:
        try:
            with self._fenced() as tx:
                self._commit(tx, [item])
        except (LeaseLost, BusUnavailable):
            raise
        except Exception as error:
            reason = error.reason if isinstance(error, HubError) else type(error).__name__
            fault = f"not-recorded.{error.code if isinstance(error, HubError) else type(error).__name__}"[:MAX_FAULT]
            parked = replace(
                item.finished, fault=fault, state=PARKED, cause=f"résultat impossible à enregistrer ({reason})",
                doubt=self._safety.idempotency == "look-up-first",  # it may be done: whoever replays it looks first
            )  # fmt: skip
            with self._fenced() as tx:
                self._commit(tx, [Ended(item.delivery, parked)])

    def _timeout(self) -> float:
        longest = self.lease / 4
        if self.breaker.resting:
            return min(longest, self.breaker.resting)
        if self._paused or self._denied or not self._room():  # what ends wakes us
            return longest
        if self._more:
            return 0.0
        if self._due is None:
            return longest
        left = self._due - self._ledger.now()
        if left <= 0 and self._left and self._running:
            return longest  # it may start when what is in hand has ended
        return min(longest, max(left, 0.0))

    def _room(self) -> int:
        if self.breaker.open:
            return 1 if self._running == 0 and self.breaker.resting == 0.0 else 0
        return max(0, self._ahead - self._running)

    def _still_in_hand(self, turn: Turn) -> dict[int, str]:
        ended = {item.finished.seq for item in turn.ended}
        return {seq: key for seq, key in self._in_hand.items() if seq not in ended}

    def _ask(self, turn: Turn) -> Ask | None:
        for one in turn.arrived:
            self._remember(one.views, one.version)
        room = self._room() - len(self._begun)
        if not self._running:
            self._denied = False
        if self._paused or self._denied:
            room = 0
        if self._due is not None and self._due <= self._ledger.now():
            self._due, self._more = None, True
        known = self._in_hand.keys() | dict(self._begun).keys()
        arrived = {seq: key for one in turn.arrived for seq, key in one.keys.items() if seq not in known}
        if not (arrived or self._begun or (room and self._more)):
            return None
        in_hand = {} if self._single else self._still_in_hand(turn) | dict(self._begun)
        return Ask(
            self.connection, room, self._single, self._running + len(self._begun) > 0, list(arrived.items()),
            in_hand, self._more, self._begun,
        )  # fmt: skip

    def _shown(self, tx: Transaction, claimed: Sequence[Claimed], identifiers: Identifiers) -> dict[int, Delivery]:
        """What the handler gets; one that cannot be made is parked, and stops no other."""
        if not claimed:
            return {}
        try:
            since = self._desk.shown_since(tx, self.connection)
            known = {c.seq: self._views[c.seq] for c in claimed if c.seq in self._views}
            views = {seq: view for seq, (version, view) in known.items() if version >= since}
            return self._desk.deliveries(tx, self.connection, claimed, views, identifiers)
        except (BusUnavailable, DatabaseFault):
            raise
        except Exception as error:
            if len(claimed) > 1:
                return {seq: made for c in claimed for seq, made in self._shown(tx, [c], identifiers).items()}
            seq, kind = claimed[0].seq, type(error).__name__
            _log.error("delivery cannot be made", connection=self.connection, seq=seq, error=kind)
            cause = f"ne peut pas être préparée ({kind})"
            fault = f"not-prepared.{kind}"[:MAX_FAULT]
            tx.finish(self.connection, [Finished(seq, claimed[0].order_key, PARKED, cause, fault=fault)])
            return {}

    def _commit(self, tx: Transaction, ended: Sequence[Ended]) -> None:
        tx.start_again(self.loose)
        tx.end({self.connection: [item.finished for item in ended]})
        self._conclude(tx, ended)

    def _conclude(self, tx: Transaction, ended: Sequence[Ended]) -> None:
        """What written outcomes bring: followers that go on, events, references, a pause."""
        if not ended:
            return
        finished = [item.finished for item in ended]
        over = [one.seq for one in finished if one.state in FINAL and one.order_key in self._held]
        tx.release(self.connection, over, 1 if self._single else 500)
        self._desk.settle(tx, self.connection, ended)
        if self._hurry:
            tx.hurry(self.connection)
        denied = [(item.pause, item.pause_fault) for item in ended if item.pause]
        if denied:
            tx.pause(self.connection, *denied[0])
            self._paused = True
        news = any(one.state != DELIVERED or one.order_key in self._held for one in finished)
        self._more = self._more or self._left or self._hurry or news

    def _committed(self, ended: Sequence[Ended]) -> None:
        self._hurry = self._hurry and not ended
        with self._gate:
            for item in ended:
                self._views.pop(item.finished.seq, None)
                self._in_hand.pop(item.finished.seq, None)
                lane = self._lanes.get(item.finished.order_key)
                if lane is not None:
                    lane.unwritten -= 1
                    if not lane.unwritten:
                        del self._lanes[item.finished.order_key]
        for state, number in Counter(item.finished.state for item in ended).items():
            if state in FINAL:
                self._count(self.connection, state, number)

    def _farewell(self) -> None:
        """Write what ended and give the lease back; if we cannot, the next owner recovers."""
        ended = list(self._ended)
        try:
            with self._fenced() as tx:
                self._commit(tx, ended)
                tx.give_back(f"worker:{self.connection}", self._token)
            self._committed(ended)
        except Exception as error:  # whatever it is, this worker ends
            kind = type(error).__name__
            _log.warning("outcomes left to the next worker", connection=self.connection, count=len(ended), error=kind)

    # --- receiving ----------------------------------------------------------------------------------------------

    def _receive(self, messages: Sequence[Incoming]) -> None:
        arrivals: list[_Arrival] = []
        received: dict[int, str] = {}
        views: dict[int, Event] = {}
        company = _number(messages[-1].headers.get("to"))
        version = min(_number(message.headers.get("directory")) for message in messages)
        for message in messages:
            if len(received) >= _AT_ONCE:
                arrivals.append(_Arrival(received, views, company, version))
                received, views = {}, {}
            if message.headers.get("ledger") != self._identity:
                _log.error("message of another ledger dropped", connection=self.connection)
                continue
            try:
                items = orjson.loads(self._opened(message.body))
                keys = {int(item["seq"]): str(item["key"]) for item in items}
                seqs = {int(item["seq"]): item["event"] for item in items}
            except (InvalidMessage, ValueError, KeyError, TypeError) as error:
                # Not from our relay, or damaged: what it stood for is unreceived and will be sent again.
                _log.error("unreadable message dropped", connection=self.connection, error=type(error).__name__)
                continue
            received |= keys
            for seq, event in seqs.items():
                try:
                    views[seq] = _event_of(event)
                except (InvalidMessage, KeyError, TypeError) as error:  # it is made again from the ledger
                    _log.error("unreadable event", connection=self.connection, seq=seq, error=type(error).__name__)
        if received:
            arrivals.append(_Arrival(received, views, company, version))
        self._inbox.extend(arrivals)
        self._team.wake(soon=True)
        for arrival in arrivals:
            arrival.settled.wait()
        if not all(arrival.received for arrival in arrivals):
            raise BusUnavailable("this worker ends")

    def _opened(self, body: bytes) -> bytes:
        if self._seal is None:
            return body
        return self._seal.open(body, delivery_context(self.connection, self._identity))

    def _settle(self, arrived: Sequence[_Arrival], *, received: bool) -> None:
        for one in arrived:
            one.received = received
            one.settled.set()

    def _remember(self, views: Mapping[int, Event], version: int) -> None:
        self._views.update((seq, (version, view)) for seq, view in views.items())
        while len(self._views) > _CACHE:
            self._views.popitem(last=False)

    # --- lanes --------------------------------------------------------------------------------------------------

    def _start(self, claimed: Sequence[Claimed], deliveries: Mapping[int, Delivery]) -> None:
        if not claimed:
            return
        work: list[Callable[[], None]] = []
        with self._gate:
            self._running += len(claimed)
            self._in_hand.update((c.seq, c.order_key) for c in claimed)
            for item in claimed:
                lane = self._lanes.setdefault(item.order_key, _Lane())
                lane.unwritten += 1
                if self._safety.batch == 1:
                    lane.items.append((item, deliveries[item.seq]))
                    if not lane.running:
                        lane.running = True
                        work.append(lambda lane=lane: self._run_lane(lane))  # type: ignore[misc]
        for group in self._batches(claimed) if self._safety.batch > 1 else ():
            work.append(lambda group=group: self._together([(c, deliveries[c.seq]) for c in group]))  # type: ignore[misc]
        assert self._crew is not None
        self._crew.put(work)

    def _batches(self, claimed: Sequence[Claimed]) -> list[list[Claimed]]:
        """For packages that take many deliveries in one call: one of each key, and alone what must be looked up."""
        sure = [c for c in claimed if not c.doubt]
        size = self._safety.batch
        return [sure[i : i + size] for i in range(0, len(sure), size)] + [[c] for c in claimed if c.doubt]

    def _run_lane(self, lane: _Lane) -> None:
        while True:
            with self._gate:
                if not lane.items:
                    lane.running = False
                    return
                claimed, delivery = lane.items.popleft()
            ended = Ended(delivery, _untried(claimed)) if lane.stopped else self._alone(claimed, delivery)
            lane.stopped = ended.finished.state not in (DELIVERED, REFUSED)
            self._end(ended)

    @property
    def _hands_off(self) -> bool:
        """True when nothing must be tried now: we stop, our lease may be somebody else's, access was denied, or an
        operator paused the connection."""
        return self._failing_over or self._denied or self._paused or self._clock() >= self._ours_until

    def _together(self, lane: Sequence[tuple[Claimed, Delivery]]) -> None:
        if len(lane) == 1:
            self._end(self._alone(*lane[0]))
            return
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

    def _alone(self, claimed: Claimed, delivery: Delivery) -> Ended:
        if self._hands_off or self.breaker.resting:
            return Ended(delivery, _untried(claimed))
        return self._attempt(claimed, delivery)

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
            return TryLater(error.reason, fault="away.cut")
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
        except InvalidMessage as error:
            error.fault = "bad-return"
            return error
        except Exception as error:
            return error
        if outcome.reference is None or _is_identifier(outcome.reference):
            return outcome
        return InvalidMessage("le connecteur a rendu un identifiant invalide", fault="bad-return")

    @contextmanager
    def _called(self) -> Iterator[None]:
        lane = threading.get_ident()
        self._calls[lane] = self._clock()
        try:
            yield
        finally:
            self._calls.pop(lane, None)

    def _end(self, ended: Ended) -> None:
        one = ended.finished
        self._ended.append(ended)
        if self._left or one.state != DELIVERED or one.order_key in self._held:
            self._hasty = True
            self._team.wake(soon=True)
        else:
            self._team.wake()

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
            refused = replace(base, state=REFUSED, cause=_printable(outcome.reason), fault=_fault(outcome))
            return Ended(delivery, refused)
        if isinstance(outcome, AccessDenied):
            self._denied = True
            _log.error("connection paused", connection=self.connection, cause=outcome.code)
            return Ended(delivery, _untried(claimed), pause=_printable(outcome.reason), pause_fault=_fault(outcome))
        if isinstance(outcome, TryLater):
            if not counted:
                self.breaker.failed(outcome.after)
            return Ended(delivery, self._later(base, claimed, outcome, outcome.after, doubt=claimed.doubt))
        if isinstance(outcome, Unknown):
            return Ended(delivery, self._uncertain(base, claimed, outcome))
        _log.error("delivery parked", connection=self.connection, seq=claimed.seq, error=type(outcome).__name__)
        reason = outcome.reason if isinstance(outcome, HubError) else f"erreur du connecteur ({type(outcome).__name__})"
        # The mistake may have come after the effect: whoever replays it must look first.
        doubt = self._safety.idempotency == "look-up-first"
        return Ended(delivery, replace(base, cause=_printable(reason), doubt=doubt, fault=_fault(outcome)))

    def _uncertain(self, base: Finished, claimed: Claimed, error: Unknown) -> Finished:
        self.breaker.failed(None)
        if self._safety.idempotency == "none":
            return replace(base, cause=_printable(f"issue inconnue : {error.reason}"), fault=_fault(error))
        if self._safety.idempotency == "native-key":
            return self._later(base, claimed, error, None, doubt=False)
        return self._later(base, claimed, error, self._safety.settling.total_seconds(), doubt=True)

    def _later(
        self, base: Finished, claimed: Claimed, error: HubError, after: float | None, *, doubt: bool
    ) -> Finished:
        step = SCHEDULE[min(claimed.attempt, len(SCHEDULE)) - 1] * random.uniform(0.8, 1.2)  # noqa: S311
        reason = _printable(error.reason)
        now = self._ledger.now()
        if claimed.attempt > len(SCHEDULE) and now - self._accepted_at(claimed, now) > self._patience:
            base = replace(base, doubt=doubt, fault="given-up")
            return replace(base, cause=f"abandonné après {claimed.attempt} essais : {reason}")
        due = now + (max(step, min(after, _WISH)) if after is not None else step)
        return replace(base, state=WAITING, cause=reason, due=due, doubt=doubt, fault=_fault(error))

    def _accepted_at(self, claimed: Claimed, otherwise: float) -> float:
        try:
            with self._ledger.reading() as tx:
                return tx.load([claimed.seq])[claimed.seq].accepted_at
        except BusUnavailable:  # it will be looked at again after the next attempt
            return otherwise

    @property
    def _safety(self) -> Safety:
        return self._handler.safety


class _Crew:
    """At most so many threads, made when there is work for them, which take it in turn."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._work: deque[Callable[[], None]] = deque()
        self._there = threading.Condition()
        self._idle = 0
        self._closed = False
        self._threads: list[threading.Thread] = []

    def put(self, work: Sequence[Callable[[], None]]) -> None:
        with self._there:
            self._work.extend(work)
            self._there.notify(len(work))
            wanted = min(self._most, len(self._threads) + max(0, len(self._work) - self._idle))
        while len(self._threads) < wanted:
            thread = threading.Thread(target=self._run, name=f"{self._name} {len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Wait until all that was put is done."""
        with self._there:
            self._closed = True
            self._there.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._there:
                self._idle += 1
                self._there.wait_for(lambda: self._work or self._closed)
                self._idle -= 1
                if not self._work:
                    return
                work = self._work.popleft()
            work()


_version = lru_cache(maxsize=1024)(version_of)


def _event_of(body: Mapping[str, Any]) -> Event:
    """What our own relay wrote: its form was checked at the door."""
    rest = dict(body)
    event_type, schema = rest.pop("type"), rest.pop("dataschema", None)
    del rest["specversion"], rest["datacontenttype"]
    return Event(
        event_type, rest.pop("source"), rest.pop("data"), rest.pop("id"), rest.pop("subject", None),
        rest.pop("time", None), _version(event_type, schema), rest,
    )  # fmt: skip


def _untried(claimed: Claimed) -> Finished:
    return Finished(claimed.seq, claimed.order_key, RECEIVED, doubt=claimed.doubt)


def _as_exception(error: BaseException) -> Exception:
    """A lane goes on even when a connector wants to end the program or was cancelled by its own event loop."""
    return error if isinstance(error, Exception) else RuntimeError(type(error).__name__)


def _fault(error: Exception) -> str:
    """The code of the cause as the closed lists have it: a connector's word for it may be any."""
    known = (fault_of(error), type(error).fault if isinstance(error, HubError) else "connector", HubError.fault)
    return next(filter(is_fault, known))


def _number(header: object) -> int:
    return int(header) if isinstance(header, str) and len(header) < 9 and header.isdecimal() else 0


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
