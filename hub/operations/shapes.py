"""Drift: what packages answer is watched by its shape, so that a change is told once, before anything breaks.

A transport shows each answer to `Watched.see`. What is known costs one look; what is not waits in memory and is
learned in `Shapes.flush`, in a commit of its own, all processes taking turns. No call waits for that or fails by it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import structlog
from sqlalchemy import delete, func, select, update

from bus.ledger import Ledger, Transaction
from bus.sql import Insert
from hub.operations.known_shape import MISSING, NEW, Change, Known
from hub.operations.logs import code_places
from hub.settings.model import Drift
from hub.storage.tables import answer_shapes, shape_changes
from schemas.answer_shape import JSON, Manner, Shape, form_of, place_under, shape_of, type_of
from schemas.errors import HubError

_log = structlog.get_logger()
KIND = "drift"
_ACCEPTED = "shapes"  # the counter of what people accepted: each process reads what is known again
_OPERATIONS = 200  # of one connection
_CHANGES = 200  # of one connection that are written; more of them tell nobody more
_WAITING = 100  # answers of one operation between two commits
_DIFFERENT = 50  # shapes of these
_SETTLED = 10_000  # forms of one operation that a process remembers, as numbers
_DAY = 86_400.0
_HOUR = 3_600.0
_SHAPES, _CHANGED = answer_shapes.c, shape_changes.c
_ADD = Insert(answer_shapes, conflict="DO NOTHING")
_TELL = Insert(shape_changes, conflict="DO NOTHING")


class ToldChange(NamedTuple):
    """A change of one operation. `at`: when it was told, in seconds since 1970."""

    operation: str
    change: Change
    at: float


class _Stored(NamedTuple):
    known: Known
    told: list[Change]
    version: int
    last_at: float


@dataclass(slots=True)
class _Operation:
    """`settled`: hashes of what says nothing new. `fresh`: what is to be learned, in its order. `known`: as it was last
    read; nobody changes it."""

    name: str
    manner: Manner
    settled: set[int] = field(default_factory=set)
    fresh: list[Shape] = field(default_factory=list)
    different: dict[Shape, Shape] = field(default_factory=dict)
    known: Known | None = None
    pending: dict[str, tuple[int, bool]] = field(default_factory=dict)

    def add(self, shape: Shape) -> None:
        same = self.different.get(shape)
        if len(self.fresh) < _WAITING and (same is not None or len(self.different) < _DIFFERENT):
            self.fresh.append(self.different.setdefault(shape, shape))

    def take(self) -> list[Shape]:
        taken, self.fresh, self.different = self.fresh, [], {}
        return taken


class Shapes:
    """Those of one process. `count` is told connection, kind, code and number."""

    def __init__(self, ledger: Ledger, *, count: Callable[[str, str, str, int], None] = lambda *_: None) -> None:
        self._ledger, self._count = ledger, count
        self._watched: dict[str, Watched] = {}
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._accepted: int | None = None
        self._forgot_at = 0.0

    def of(self, connection: str, reaction: Drift) -> Watched:
        """What watches a connection; the same one for all its connectors, as long as its reaction is the same."""
        with self._lock:
            found = self._watched.get(connection)
            if found is None or found.reaction != reaction:
                found = self._watched[connection] = Watched(self._ledger, connection, reaction)
            return found

    def flush(self) -> None:
        """Learn what was seen since the last time, and tell what changed. Raises nothing: the next flush has it."""
        with self._flushing:
            if not self._watched:
                return
            try:
                self._notice_accepted()
                for watched in list(self._watched.values()):
                    self._say(watched, watched.learn())
            except Exception as error:  # whatever it is: nothing that works for the town ends because somebody watches
                _log.warning("shapes not kept", error=type(error).__name__, places=code_places(error)[-2:])

    def _notice_accepted(self) -> None:
        with self._ledger.reading() as tx:
            accepted, now = tx.counter(_ACCEPTED), tx.now
        if accepted != self._accepted or now - self._forgot_at > _HOUR:  # also so that what is told is seen to go on
            self._accepted, self._forgot_at = accepted, now
            for watched in list(self._watched.values()):
                watched.forget()

    def _say(self, watched: Watched, found: Sequence[tuple[str, Change]]) -> None:
        for operation, change in found:
            self._count(watched.connection, KIND, change.code, 1)
            _log.warning(
                "answer has changed", connection=watched.connection, operation=operation, change=change.change,
                place=change.place, was=change.was, now=change.now, reaction=watched.reaction,
            )  # fmt: skip


class Watched:
    """Implements `connectors.sdk.shapes.Shapes` for one connection."""

    def __init__(self, ledger: Ledger, connection: str, reaction: Drift) -> None:
        self.connection, self.reaction = connection, reaction
        self._ledger = ledger
        self._operations: dict[str, _Operation] = {}
        self._lock = threading.Lock()
        self._mine = threading.local()

    def see(self, operation: str, value: Any, manner: Manner = JSON) -> None:
        if self.reaction == "ignore":
            return
        try:
            self._see(operation[:200], value, manner)
        except Exception as error:  # whatever it is: no call of a package fails because somebody watches
            places = code_places(error)[-2:]
            _log.warning("shape not seen", connection=self.connection, error=type(error).__name__, places=places)

    def strange(self, record: Any) -> str:
        marks: Mapping[int, str] = getattr(self._mine, "marks", {})
        return marks.get(id(record), "")

    def _see(self, name: str, value: Any, manner: Manner) -> None:
        found = self._operation(name, manner)
        if found is None:
            return
        made = form_of(value, found.manner)
        form = hash(made)
        if form in found.settled:
            return
        shape = shape_of(made, found.manner)
        if not shape:
            return
        if self.reaction == "refuse":
            self._mark(found, value, shape)
        with self._lock:
            if hash(shape) in found.settled:
                found.settled.add(form)
            else:
                found.add(shape)

    def _operation(self, name: str, manner: Manner) -> _Operation | None:
        found = self._operations.get(name)
        if found is None and len(self._operations) < _OPERATIONS:
            if self.reaction == "refuse":  # at once: it must be known again before it is accepted
                manner = manner.whole()
            found = self._operations.setdefault(name, _Operation(name, manner))
        return found

    def _mark(self, operation: _Operation, value: Any, shape: Shape) -> None:
        """Remember, for this thread, which records of an answer are strange."""
        known = operation.known
        if known is None:
            with self._ledger.reading() as tx:
                known = operation.known = self._read(tx, operation).known
        strange = known.strange(shape)
        if strange:
            marks = {id(value): min(strange)[0]}
            _mark_all(value, "", strange, operation.manner, marks)
            self._mine.marks, self._mine.kept = marks, value  # kept: a number stands for an object that is there

    def forget(self) -> None:
        """Look at everything again: what is known may have changed."""
        with self._lock:
            for one in self._operations.values():
                one.settled.clear()
                one.known = None

    def learn(self) -> list[tuple[str, Change]]:
        """What was seen, into what is known, in one commit; the changes that nobody was told of."""
        with self._lock:
            due = [(one, one.take()) for _, one in sorted(self._operations.items()) if one.fresh]
        if not due:
            return []
        try:
            with self._ledger.transaction() as tx:
                found = [(one.name, change) for one, shapes in due for change in self._learn(tx, one, shapes)]
                if found and self.reaction == "pause" and self.connection not in tx.paused():
                    tx.pause(self.connection, sentence(*found[0]), f"{KIND}.{found[0][1].code}")
        except HubError:
            with self._lock:
                for one, shapes in due:
                    for shape in shapes:
                        one.add(shape)
            raise
        return found

    def _learn(self, tx: Transaction, operation: _Operation, shapes: Sequence[Shape]) -> list[Change]:
        _ADD.run(tx.sql, [_row(self.connection, operation.name, {}, 0, tx.now)])
        stored = self._read(tx, operation, lock=True)
        known, told, quiet = stored.known, stored.told, dict.fromkeys(shapes, True)
        fresh: list[Change] = []
        gone: list[Change] = []
        stirred = False
        for shape in shapes:
            found, back = known.learn(shape, told)
            fresh, gone = fresh + found, gone + back
            told = [one for one in [*told, *found] if one not in back]
            stirred |= known.stirred
            quiet[shape] = not (known.stirred or known.unsure)
        if stirred or tx.now - stored.last_at > _DAY:
            row = _row(self.connection, operation.name, known.to_dict(), stored.version + stirred, tx.now)
            tx.sql.execute(update(answer_shapes).where(*_this(self.connection, operation.name)).values(row))
        refuses = self.reaction == "refuse"
        settled = {hash(one) for one, calm in quiet.items() if calm and not (refuses and known.strange(one))}
        with self._lock:
            operation.known, operation.pending = known, known.pending
            keep = not stirred and not known.is_waiting() and len(operation.settled) < _SETTLED
            operation.settled = operation.settled | settled if keep else settled
        return self._tell(tx, operation.name, [one for one in fresh if one in told], gone)

    def _tell(self, tx: Transaction, operation: str, fresh: Sequence[Change], gone: Sequence[Change]) -> list[Change]:
        """Write what changed, and forget what is as it was; what was written."""
        ids = [_change_id(self.connection, operation, one) for one in gone]
        tx.sql.execute(delete(shape_changes).where(_CHANGED.id.in_(ids)))
        many = select(func.count()).select_from(shape_changes).where(_CHANGED.connection == self.connection)
        new = list(fresh)[: max(0, _CHANGES - int(tx.sql.execute(many).scalar_one()))] if fresh else []
        _TELL.run(tx.sql, [_change_row(self.connection, operation, one, tx.now) for one in new])
        return new

    def _read(self, tx: Transaction, operation: _Operation, *, lock: bool = False) -> _Stored:
        query = select(answer_shapes).where(*_this(self.connection, operation.name))
        row = tx.sql.execute(query.with_for_update() if lock else query).first()
        known = Known.of(orjson.loads(row.known) if row is not None else {}, operation.manner)
        known.pending = dict(operation.pending)
        told = [one.change for one in changes_of(tx, self.connection) if one.operation == operation.name]
        return _Stored(known, told, *((row.version, row.last_at) if row is not None else (0, tx.now)))


def sentence(operation: str, change: Change) -> str:
    """What changed, for people."""
    what = {NEW: "est apparu", MISSING: "a disparu"}.get(change.change, f"était {change.was}, devient {change.now}")
    return f"la forme des réponses a changé : {change.place} {what} ({operation})"


def changes_of(tx: Transaction, connection: str) -> list[ToldChange]:
    """The changes of a connection that nobody has accepted, the oldest first."""
    rows = tx.sql.execute(
        select(shape_changes).where(_CHANGED.connection == connection).order_by(_CHANGED.at, _CHANGED.id)
    )
    return [ToldChange(row.operation, Change(row.change, row.place, row.was, row.now), row.at) for row in rows]


def shapes_of(tx: Transaction, connection: str) -> Iterator[tuple[str, Known]]:
    """What is known of each operation of a connection."""
    rows = tx.sql.execute(select(answer_shapes).where(_SHAPES.connection == connection).order_by(_SHAPES.operation))
    return ((row.operation, Known.of(orjson.loads(row.known), JSON)) for row in rows)


def accept(tx: Transaction, connection: str) -> int:
    """What changed is how it is, for all processes; how many changes."""
    changes = changes_of(tx, connection)
    for operation in sorted({one.operation for one in changes}):
        query = select(answer_shapes).where(*_this(connection, operation)).with_for_update()
        row = tx.sql.execute(query).first()
        if row is None:
            continue
        known = Known.of(orjson.loads(row.known), JSON)
        for one in changes:
            if one.operation == operation:
                known.accept(one.change)
        values = _row(connection, operation, known.to_dict(), row.version + 1, tx.now)
        tx.sql.execute(update(answer_shapes).where(*_this(connection, operation)).values(values))
    tx.sql.execute(delete(shape_changes).where(_CHANGED.connection == connection))
    tx.count_up(_ACCEPTED)
    return len(changes)


def _mark_all(value: Any, place: str, strange: set[tuple[str, str]], manner: Manner, marks: dict[int, str]) -> str:
    """Where something strange stands in a value, "" for nowhere; noted of each object that holds it."""
    parts: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        parts = [(place_under(place, str(name), manner), part) for name, part in value.items()]
    elif isinstance(value, list):
        parts = [(f"{place}/*" if manner.repeats else place, part) for part in value]
    found = ""
    for where, part in parts:
        if (where, "") in strange or (where, type_of(part)) in strange:
            found = where
        else:
            found = _mark_all(part, where, strange, manner, marks) or found
    if found:
        marks[id(value)] = found
    return found


def _this(connection: str, operation: str) -> tuple[Any, Any]:
    return _SHAPES.connection == connection, _SHAPES.operation == operation


def _row(connection: str, operation: str, known: Mapping[str, Any], version: int, now: float) -> dict[str, Any]:
    return {
        "connection": connection, "operation": operation, "known": orjson.dumps(known).decode(), "version": version,
        "last_at": now,
    }  # fmt: skip


def _change_id(connection: str, operation: str, change: Change) -> str:
    return hashlib.sha256("\0".join((connection, operation, *change.key)).encode(errors="replace")).hexdigest()[:32]


def _change_row(connection: str, operation: str, change: Change, now: float) -> dict[str, Any]:
    return {
        "id": _change_id(connection, operation, change), "tenant": connection.partition(".")[0],
        "connection": connection, "operation": operation, "change": change.change, "place": change.place,
        "was": change.was[:100], "now": change.now[:100], "at": now,
    }  # fmt: skip
