"""Packages that pull their deliveries: what each is shown under a number of its own, and what it answers.

What a package was shown and has not answered is `started` in the ledger, as a call under way is: one delivery of each
key, so that whatever it answers, no later one is overtaken. No time takes it back: it is shown again, the same, until
it is answered, kept from the package by a mark, or too old. No bus carries anything: both modes read the ledger alike.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import orjson
import structlog
from sqlalchemy import Row, bindparam, exists, insert, select, text, update

from bus.ledger import Ask, Claimed, DatabaseFault, Finished, Ledger, Raced, Transaction
from bus.tables import DELIVERED, FINAL, PARKED, REFUSED, STARTED, WAITING, deliveries
from bus.upkeep import keep_up
from bus.worker import SCHEDULE, Ended
from hub.acceptance.deliveries import OBSERVED, Deliveries
from hub.routing.directory import ConnectionRouting
from hub.settings.model import Pulling
from hub.storage.tables import pulled_deliveries, pulling_clients
from schemas.delivery import Delivery, Done
from schemas.errors import BusUnavailable, InvalidMessage, Refused, TryLater
from schemas.times import to_rfc3339

_log = structlog.get_logger()
MOST = 500  # that a client may have before it without an answer: a larger page is not given
COUNTED = 1000  # of what waits beside; more is not counted
LONGEST = 6 * 3600  # seconds for which a package may put a delivery off
EVERY = 30.0  # seconds between two looks at all of them
_ROUNDS = 20  # of one call: deliveries that are only observed make room for others
_NOTED = 60.0  # seconds after which it is noted again that a client called
_PARKED_AT_ONCE = 200
_DAY, _HOUR = 86_400.0, 3_600.0
_ROW = pulled_deliveries.c
# Written out, so that the partial indexes serve.
_IS = {state: text(f"deliveries.state = '{state}'") for state in ("expected", "received", "waiting")}
SILENT, BACKLOG = "silent", "backlog"  # what is wrong: nobody calls, or too much waits

_RACES = 3
_T = TypeVar("_T")
Outcome = Literal["delivered", "refused", "later"]
Verdict = Literal["recorded", "repeated"]


@dataclass(frozen=True, slots=True)
class Item:
    """A delivery as its package is shown it. `attempt`: how often it was shown anew; `since`: since when this time."""

    number: int
    delivery: Delivery
    attempt: int
    since: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "number": self.number, "attempt": self.attempt, "since": to_rfc3339(self.since),
            "event": self.delivery.event.to_dict(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """`waiting`: how many more there are, COUNTED for that or more. `paused`: the connection is: nothing is shown."""

    items: Sequence[Item] = ()
    waiting: int = 0
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a package says of one number. `attempt`: of which showing, None for the last one. `after`: seconds. The
    shapes are the caller's to check."""

    number: int
    outcome: Outcome
    attempt: int | None = None
    reason: str = ""
    after: float | None = None
    reference: str | None = None

    @property
    def digest(self) -> bytes:
        said = [self.outcome, self.reason, self.after, self.reference]
        return hashlib.sha256(orjson.dumps(said)).digest()


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a client has before it, as the ledger has it."""

    row: Any
    claimed: Claimed


class NotPulling(InvalidMessage):
    """No connection of a package that pulls names this client, or not any more."""

    def __init__(self) -> None:
        super().__init__("no connection of a package that pulls names you as its client", code="not_found")


class Pulls:
    """`count` is told how many deliveries of a connection came to which end, once that is committed."""

    def __init__(
        self, ledger: Ledger, deliveries: Deliveries, settings: Pulling,
        members: Callable[[], Iterable[ConnectionRouting]],
        count: Callable[[str, str, int], None] = lambda connection, state, number: None,
    ) -> None:  # fmt: skip
        self._ledger, self._desk, self._settings, self._count = ledger, deliveries, settings, count
        self._all = members

    # --- pages --------------------------------------------------------------------------------------------------

    def page(self, member: ConnectionRouting, limit: int) -> Page:
        """What the package has not answered, by number, filled up with what may run now. Raises NotPulling, and
        TryLater while a worker of another process still serves the connection."""
        page = self._as_it_stands(member, limit)
        return page if page is not None else _again_where_raced(lambda: self._new_page(member, limit))

    def ready(self, member: ConnectionRouting) -> bool:
        """Whether a page would show more than what is unanswered."""
        with self._ledger.reading() as tx:
            return member.name not in tx.paused() and _has_more(tx, member.name)

    def _new_page(self, member: ConnectionRouting, limit: int) -> Page:
        with self._ledger.transaction() as tx:
            self._alone(tx, member)
            self._still(tx, member)
            self._note_call(tx, member)
            if member.name in tx.paused():
                return Page(waiting=tx.still_to_come(member.name, COUNTED), paused=True)
            shown = self._open(tx, member, limit)
            ended = self._fill(tx, member, limit - len(shown))
            shown = self._open(tx, member, limit)
            found = self._page(tx, member, shown, self._made(tx, member, [one.claimed for one in shown]))
        self._counted(member, ended)
        return found

    def _as_it_stands(self, member: ConnectionRouting, limit: int) -> Page | None:
        """The page where nothing has to be written for it."""
        with self._ledger.reading() as tx:
            self._still(tx, member)
            client = tx.sql.execute(
                select(pulling_clients.c.called_at).where(pulling_clients.c.client_id == member.client)
            ).scalar()
            if client is None or tx.now - client > _NOTED or member.name in tx.paused():
                return None
            shown = self._open(tx, member, limit)
            if len(shown) < limit and _has_more(tx, member.name):
                return None
            try:
                return self._page(tx, member, shown, self._seen(tx, member, [one.claimed for one in shown]))
            except (BusUnavailable, DatabaseFault):
                raise
            except Exception:  # one cannot be shown any more: it is parked where we write
                return None

    def _page(
        self, tx: Transaction, member: ConnectionRouting, shown: Sequence[_Shown], made: Mapping[int, Delivery]
    ) -> Page:  # fmt: skip
        items = [
            Item(one.row.number, made[one.row.seq], one.row.showings, one.row.shown_at)
            for one in shown if one.row.seq in made
        ]  # fmt: skip
        return Page(items, tx.still_to_come(member.name, COUNTED))

    def _open(self, tx: Transaction, member: ConnectionRouting, limit: int) -> list[_Shown]:
        """What it was shown and has not answered, and may still have."""
        beside = pulled_deliveries.join(
            deliveries, (deliveries.c.seq == _ROW.seq) & (deliveries.c.connection == _ROW.connection)
        )
        query = select(pulled_deliveries, deliveries.c.order_key, deliveries.c.attempts).select_from(beside)
        query = query.where(
            _ROW.client_id == member.client, _ROW.outcome.is_(None), _ROW.connection == member.name,
            deliveries.c.state == STARTED,
        )  # fmt: skip
        return [_shown(row) for row in tx.sql.execute(query.order_by(_ROW.number).limit(limit))]

    def _fill(self, tx: Transaction, member: ConnectionRouting, room: int) -> list[Finished]:
        """Show it so many more; what ended at once, because the connection only observes it."""
        over: list[Finished] = []
        for _ in range(_ROUNDS):
            arrived = tx.expected_keys(member.name, max(room, 100)) if room > 0 else []
            if room <= 0 or not (arrived or _has_more(tx, member.name)):
                break
            ask = Ask(member.name, room, one_per_key=True, arrived=arrived)
            claimed = tx.take([ask])[member.name].claimed
            made = self._made(tx, member, claimed)
            seen = [one for one in claimed if one.seq in made and not made[one.seq].live]
            ended = [Ended(made[c.seq], _finished(c, DELIVERED, answer=OBSERVED), Done(OBSERVED)) for c in seen]
            self._settle(tx, member, ended)
            over += [item.finished for item in ended]
            self._give_numbers(tx, member, [c for c in claimed if c.seq in made and made[c.seq].live])
            room -= len(claimed) - len(seen)
            if not claimed and not arrived:
                break
        return over

    def _made(
        self, tx: Transaction, member: ConnectionRouting, claimed: Sequence[Claimed]
    ) -> dict[int, Delivery]:  # fmt: skip
        """What the package sees of these; one that cannot be made is parked, and stops no other."""
        try:
            return self._seen(tx, member, claimed)
        except (BusUnavailable, DatabaseFault):
            raise
        except Exception as error:
            if len(claimed) > 1:
                return {seq: made for one in claimed for seq, made in self._made(tx, member, [one]).items()}
            kind = type(error).__name__
            _log.error("delivery cannot be made", connection=member.name, seq=claimed[0].seq, error=kind)
            cause, fault = f"ne peut pas être préparée ({kind})", f"not-prepared.{kind}"[:64]
            tx.finish(member.name, [_finished(claimed[0], PARKED, cause=cause, fault=fault)])
            return {}

    def _seen(self, tx: Transaction, member: ConnectionRouting, claimed: Sequence[Claimed]) -> dict[int, Delivery]:
        if not claimed:
            return {}
        return self._desk.deliveries(tx, member.name, claimed, {}, self._desk.identifiers(tx, claimed))

    def _give_numbers(self, tx: Transaction, member: ConnectionRouting, claimed: Sequence[Claimed]) -> None:
        """Each a number of its client's own, or the one that it had."""
        if not claimed:
            return
        mine = (_ROW.client_id == member.client, _ROW.connection == member.name)
        seqs = [one.seq for one in claimed]
        known = set(tx.sql.execute(select(_ROW.seq).where(*mine, _ROW.seq.in_(seqs))).scalars())
        if known:
            again = update(pulled_deliveries).where(*mine, _ROW.seq.in_(sorted(known)))
            values = {"showings": _ROW.showings + 1, "shown_at": tx.now, "outcome": None, "digest": None}
            tx.sql.execute(again.values(values))
        fresh = [seq for seq in seqs if seq not in known]
        if fresh:
            client = pulling_clients.c
            grown = update(pulling_clients).where(client.client_id == member.client)
            grown = grown.values(number=client.number + len(fresh)).returning(client.number)
            first = int(tx.sql.execute(grown).scalar_one()) - len(fresh) + 1
            rows = [
                {"client_id": member.client, "number": number, "connection": member.name, "seq": seq, "showings": 1,
                 "shown_at": tx.now, "outcome": None, "digest": None}
                for number, seq in enumerate(fresh, first)
            ]  # fmt: skip
            tx.sql.execute(insert(pulled_deliveries), rows)

    # --- answers ------------------------------------------------------------------------------------------------

    def answer(self, member: ConnectionRouting, answers: Sequence[Answer]) -> list[Verdict | InvalidMessage]:
        """Record what the package says, each by itself; a verdict for each, in order. The errors: `not_found` for a
        number that it was never given, `answered_otherwise` for one that it answered in other words, and
        `delivery_withdrawn` for one that it may have no longer, or not now. Raises NotPulling."""
        try:
            return _again_where_raced(lambda: self._answer(member, answers))
        except NotPulling:
            raise
        except InvalidMessage as error:  # what one of them brings cannot be written: each by itself
            if len(answers) == 1:
                return [error]
            return [verdict for one in answers for verdict in self.answer(member, [one])]

    def _answer(self, member: ConnectionRouting, answers: Sequence[Answer]) -> list[Verdict | InvalidMessage]:
        with self._ledger.transaction() as tx:
            self._alone(tx, member)
            self._still(tx, member)
            self._note_call(tx, member)
            rows = self._rows(tx, member, [one.number for one in answers])
            verdicts: list[Verdict | InvalidMessage] = []
            ending: dict[int, tuple[Answer, _Shown]] = {}
            for one in answers:
                verdicts.append(_judged(one, rows.get(one.number), ending))
                if verdicts[-1] == "recorded":
                    ending[one.number] = (one, _shown(rows[one.number]))
            ended = self._end(tx, member, list(ending.values()))
        self._counted(member, ended)
        return verdicts

    def _rows(self, tx: Transaction, member: ConnectionRouting, numbers: Sequence[int]) -> dict[int, Row[Any]]:
        beside = pulled_deliveries.outerjoin(
            deliveries, (deliveries.c.seq == _ROW.seq) & (deliveries.c.connection == _ROW.connection)
        )
        query = select(pulled_deliveries, deliveries.c.order_key, deliveries.c.attempts, deliveries.c.state)
        query = query.select_from(beside).where(
            _ROW.client_id == member.client, _ROW.connection == member.name, _ROW.number.in_(sorted(set(numbers)))
        )
        return {row.number: row for row in tx.sql.execute(query)}

    def _end(
        self, tx: Transaction, member: ConnectionRouting, ending: Sequence[tuple[Answer, _Shown]]
    ) -> list[Finished]:  # fmt: skip
        if not ending:
            return []
        made = self._made(tx, member, [shown.claimed for _, shown in ending])
        ended: list[Ended] = []
        for answer, shown in ending:
            one = _ended(tx.now, answer, shown)
            done = Done(reference=answer.reference) if answer.outcome == "delivered" else None
            if shown.row.seq in made:
                ended.append(Ended(made[shown.row.seq], one, done))
        said = update(pulled_deliveries).where(_ROW.client_id == member.client, _ROW.number == bindparam("answered"))
        tx.sql.execute(said, [
            {"answered": answer.number, "outcome": answer.outcome, "digest": answer.digest} for answer, _ in ending
        ])  # fmt: skip
        self._settle(tx, member, ended)
        return [item.finished for item in ended]

    def _settle(self, tx: Transaction, member: ConnectionRouting, ended: Sequence[Ended]) -> None:
        if ended:
            tx.finish(member.name, [item.finished for item in ended], followers=1)  # one of each key is shown
            self._desk.settle(tx, member.name, ended)
            tx.woke = True

    def _counted(self, member: ConnectionRouting, ended: Iterable[Finished]) -> None:
        for one in ended:
            if one.state in FINAL:
                self._count(member.name, one.state, 1)

    # --- upkeep -------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event, active: Callable[[], bool]) -> None:
        """Look after all of them until `stop` is set, and only while `active`."""
        keep_up("look at pulling packages put off", self.look_after, stop, active, every=EVERY)

    def look_after(self) -> None:
        """Of each package: end what is only observed, park what is too old, and note whether it calls."""
        for member in [one for one in self._all() if one.pulled]:
            try:
                while self._look_after(member):
                    pass
            except TryLater:
                _log.warning("still served by a worker", connection=member.name)

    def _look_after(self, member: ConnectionRouting) -> bool:
        """Whether there is more to do at once."""
        with self._ledger.transaction() as tx:
            self._alone(tx, member)
            shown = self._open(tx, member, MOST)
            self._close_withdrawn(tx, member)
            tx.release_orphans(member.name, [one.claimed.order_key for one in shown])
            tx.put_back(member.name, [one.row.seq for one in shown])  # what another client was shown, or a worker began
            ended: list[Finished] = []
            if member.mode == "observe" and member.name not in tx.paused():
                ended = self._fill(tx, member, MOST)
            before = tx.now - self._settings.keep_days * _DAY
            old = tx.open_before(member.name, before, _PARKED_AT_ONCE)
            self._park(tx, member, old)
            self._note_state(tx, member)
        self._counted(member, ended)
        return len(old) == _PARKED_AT_ONCE or len(ended) >= MOST

    def _close_withdrawn(self, tx: Transaction, member: ConnectionRouting) -> None:
        """What was shown and ended without an answer, as by a mark, is no open showing any more."""
        over = exists().where(
            deliveries.c.seq == _ROW.seq, deliveries.c.connection == _ROW.connection, deliveries.c.state.in_(FINAL)
        )
        mine = update(pulled_deliveries).where(_ROW.client_id == member.client, _ROW.outcome.is_(None), over)
        tx.sql.execute(mine.values(outcome="withdrawn"))

    def _park(self, tx: Transaction, member: ConnectionRouting, seqs: Sequence[int]) -> None:
        if not seqs:
            return
        cause = f"pas relevé par le logiciel en {self._settings.keep_days} jours"
        tx.park_open(member.name, seqs, cause, "not-pulled")
        rows = [row for row in tx.deliveries_of(seqs) if row.connection == member.name and row.state == PARKED]
        claimed = [Claimed(row.seq, row.order_key, row.attempts, row.deaths, False) for row in rows]
        made = self._made(tx, member, claimed)
        ended = [
            Ended(made[one.seq], _finished(one, PARKED, cause=cause, fault="not-pulled"))
            for one in claimed if one.seq in made
        ]  # fmt: skip
        self._desk.settle(tx, member.name, ended)

    def _note_state(self, tx: Transaction, member: ConnectionRouting) -> None:
        """How many wait, and whether that is a trouble: since when it is."""
        client = pulling_clients.c
        mine = client.client_id == member.client
        row = tx.sql.execute(select(pulling_clients).where(mine)).one()
        waiting = tx.still_to_come(member.name, self._settings.waiting + 1) + len(self._open(tx, member, MOST))
        alarm = ""
        if waiting and tx.now - row.called_at > self._settings.silent_hours * _HOUR:
            alarm = SILENT
        elif waiting >= self._settings.waiting:
            alarm = BACKLOG
        if (waiting, alarm) != (row.waiting, row.alarm):
            since = row.alarm_at if alarm == row.alarm else (row.called_at if alarm == SILENT else tx.now)
            values = {"waiting": waiting, "alarm": alarm, "alarm_at": since if alarm else None}
            tx.sql.execute(update(pulling_clients).where(mine).values(values))

    def _alone(self, tx: Transaction, member: ConnectionRouting) -> None:
        """Nobody else acts for the connection until the commit: other gateways, operators, or a worker."""
        if tx.take_lease(f"worker:{member.name}", "pull", 0.0) is None:
            raise TryLater("a worker of another process still serves this connection", after=10)
        row = {"client_id": member.client, "tenant": member.tenant, "connection": member.name, "number": 0,
               "called_at": tx.now, "waiting": 0, "alarm": ""}  # fmt: skip
        client = pulling_clients.c
        known = select(client.connection).where(client.client_id == member.client)
        before = tx.sql.execute(known).scalar()
        if before is None:
            tx.sql.execute(insert(pulling_clients), [row])
        elif before != member.name:  # it speaks for another package now; its numbers go on
            mine = update(pulling_clients).where(client.client_id == member.client)
            tx.sql.execute(mine.values(connection=member.name, tenant=member.tenant, called_at=tx.now))

    def _still(self, tx: Transaction, member: ConnectionRouting) -> None:
        if not self._desk.pulls(tx, member):
            raise NotPulling

    def _note_call(self, tx: Transaction, member: ConnectionRouting) -> None:
        mine = update(pulling_clients).where(pulling_clients.c.client_id == member.client)
        tx.sql.execute(mine.values(called_at=tx.now))


def seq_of(tx: Transaction, member: ConnectionRouting, number: int) -> int | None:
    """Which event has this number for the client of a connection; None for one that it was never given."""
    query = select(_ROW.seq).where(
        _ROW.client_id == member.client, _ROW.connection == member.name, _ROW.number == number
    )
    found = tx.sql.execute(query).scalar()
    return None if found is None else int(found)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a package that pulls is: the last number that it was given, when it called last (seconds since 1970), and
    what the last look found wrong: `silent`, `backlog`, or "" for nothing."""

    connection: str
    number: int
    called_at: float
    alarm: str


def standing_pulls(tx: Transaction) -> list[Standing]:
    client = pulling_clients.c
    rows = tx.sql.execute(select(client.connection, client.number, client.called_at, client.alarm))
    return [Standing(*row) for row in rows]


def _judged(answer: Answer, row: Row[Any] | None, ending: Mapping[int, Any]) -> Verdict | InvalidMessage:
    if row is None or row.state is None:
        return InvalidMessage("no delivery of this number was given to you", code="not_found")
    if answer.attempt is not None and answer.attempt > row.showings:
        return InvalidMessage(f"it was shown {row.showings} times", code="schema_violation", pointer="/attempt")
    first = ending.get(answer.number)
    said = row.digest if first is None else first[0].digest
    late = answer.attempt is not None and answer.attempt < row.showings
    if said is not None and said == answer.digest and not late:
        return "repeated"
    if said is not None:
        return InvalidMessage("you answered this one otherwise before", code="answered_otherwise")
    if late:
        return InvalidMessage("it was shown to you again since: answer that", code="answered_otherwise")
    if row.state != STARTED:
        return InvalidMessage("this delivery was taken back: drop what you have of it", code="delivery_withdrawn")
    return "recorded"


def _ended(now: float, answer: Answer, shown: _Shown) -> Finished:
    one = shown.claimed
    if answer.outcome == "delivered":
        return _finished(one, DELIVERED, reference=answer.reference)
    if answer.outcome == "refused":
        return _finished(one, REFUSED, cause=answer.reason, fault=Refused.fault)
    step = float(SCHEDULE[min(shown.row.showings, len(SCHEDULE)) - 1])
    after = min(answer.after if answer.after is not None else step, LONGEST)
    reason = answer.reason or "le logiciel le prendra plus tard"
    return _finished(one, WAITING, cause=reason, fault="away.busy", due=now + after)


def _finished(claimed: Claimed, state: str, **more: Any) -> Finished:
    return Finished(claimed.seq, claimed.order_key, state, **more)


def _shown(row: Row[Any]) -> _Shown:
    return _Shown(row, Claimed(row.seq, row.order_key, row.attempts, 0, False))


def _again_where_raced(act: Callable[[], _T]) -> _T:
    """Another transaction wrote the same: what it did is seen the next time."""
    for _ in range(_RACES):
        try:
            return act()
        except Raced:
            continue
    return act()


def _has_more(tx: Transaction, connection: str) -> bool:
    """Whether something may be shown that was not: new, free again, or due."""
    mine = select(deliveries.c.seq).where(deliveries.c.connection == connection).limit(1)
    for state in ("expected", "received"):
        if tx.sql.execute(mine.where(_IS[state])).first() is not None:
            return True
    return tx.sql.execute(mine.where(_IS["waiting"], deliveries.c.due <= tx.now)).first() is not None
