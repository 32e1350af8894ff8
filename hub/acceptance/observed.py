"""What a connection that observes would have sent and taken in: numbers by kind and outcome, with one redacted sample
of each. Nothing here is personal: a kind is an event type, an outcome and a code are words of closed lists, a sample
has lost its values.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import delete, func, select

from bus.ledger import Transaction, parts
from bus.sql import Insert
from hub.settings.model import Mode
from hub.storage.tables import connection_modes, observed_kinds, observed_marks

OUT, IN, LATE = "out", "in", "late"  # to the package; from it; from it, and handed in when the connection went live
MOST_KINDS = 500  # of one connection; those beyond are one, under the code `other`
MOST_MARKS = 20_000  # of one connection; records beyond are not counted
LONGEST_SAMPLE = 4_000
_OTHER = "other"
_CODE = re.compile(r"[\w.-]{1,64}", re.ASCII)
_KINDS, _MARKS, _MODES = observed_kinds.c, observed_marks.c, connection_modes.c
_COUNT = Insert(
    observed_kinds,
    conflict="(connection, direction, kind, outcome, code) DO UPDATE SET"
    " number = observed_kinds.number + excluded.number, last_at = excluded.last_at,"
    " sample = COALESCE(observed_kinds.sample, excluded.sample)",
)
_MARK = Insert(observed_marks, conflict="DO NOTHING", returning="mark")
_NOTE_MODE = Insert(
    connection_modes, conflict="(connection) DO UPDATE SET mode = excluded.mode, since = excluded.since"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that would have gone out (`out`), been taken in (`in`), or was handed in later (`late`). `kind`: the
    event type; `outcome`: `delivered`, `refused`, `parked`; `accepted`, `echo`, `duplicate`, `skipped`, `refused`,
    `unreadable`; `kept`, `dropped`, `forgotten`. `code`: why, "" for what needs no reason. `sample`: None for none."""

    direction: str
    kind: str
    outcome: str
    code: str = ""
    number: int = 1
    sample: str | None = None

    @property
    def place(self) -> tuple[str, str, str, str]:
        return (self.direction, self.kind, self.outcome, self.code)


@dataclass(frozen=True, slots=True)
class ObservedKind:
    """As it is kept: how many, when the first and the last came, in seconds since 1970."""

    seen: Seen
    at: float
    last_at: float


def count_seen(tx: Transaction, connection: str, found: Iterable[Seen]) -> None:
    """Count what was seen, in the commit of `tx`."""
    sums: dict[tuple[str, str, str, str], Seen] = {}
    for one in map(_written, found):
        before = sums.get(one.place)
        sums[one.place] = replace(one, number=one.number + before.number, sample=before.sample) if before else one
    if not sums:
        return
    known = _places(tx, connection)
    room = MOST_KINDS - len(known)
    rows: dict[tuple[str, str, str, str], Seen] = {}
    for place, one in sorted(sums.items()):
        if place not in known:
            room -= 1
            one = one if room >= 0 else replace(one, kind=_OTHER, code=_OTHER, sample=None)
        before = rows.get(one.place)
        rows[one.place] = replace(one, number=one.number + before.number) if before else one
    _COUNT.run(tx.sql, [
        {"connection": connection, "direction": one.direction, "kind": one.kind, "outcome": one.outcome,
         "code": one.code, "number": one.number, "at": tx.now, "last_at": tx.now, "sample": one.sample}
        for _, one in sorted(rows.items())
    ])  # fmt: skip


def observed_of(tx: Transaction, connection: str) -> list[ObservedKind]:
    """All that was counted of a connection: by direction and kind, the most numerous first."""
    query = select(observed_kinds).where(_KINDS.connection == connection)
    rows = tx.sql.execute(query.order_by(_KINDS.direction, _KINDS.kind, _KINDS.number.desc(), _KINDS.code))
    return [
        ObservedKind(
            Seen(row.direction, row.kind, row.outcome, row.code, int(row.number), row.sample), row.at, row.last_at
        )
        for row in rows
    ]


def unmarked(tx: Transaction, connection: str, marks: Sequence[str]) -> set[str]:
    """Those that were not counted yet, as long as there is room for them."""
    known = {
        mark for some in parts(sorted(set(marks)))
        for mark in tx.sql.execute(
            select(_MARKS.mark).where(_MARKS.connection == connection, _MARKS.mark.in_(some))
        ).scalars()
    }  # fmt: skip
    new = set(marks) - known
    if not new:
        return new
    room = MOST_MARKS - marks_of(tx, connection)
    return set(sorted(new)[: max(0, room)])


def mark(tx: Transaction, connection: str, marks: Collection[str]) -> set[str]:
    """Remember that these were counted; those that nobody else marked meanwhile."""
    rows = [{"connection": connection, "mark": one, "at": tx.now} for one in sorted(marks)]
    return set(_MARK.run(tx.sql, rows))


def marks_of(tx: Transaction, connection: str) -> int:
    query = select(func.count()).select_from(observed_marks).where(_MARKS.connection == connection)
    return int(tx.sql.execute(query).scalar_one())


def note_modes(tx: Transaction, modes: Mapping[str, Mode]) -> None:
    """Note since when each connection is in its mode, of those that were ever in another than `live`. Who begins to
    observe is counted anew; who goes live keeps its numbers to be read, and needs no marks any more."""
    rows = tx.sql.execute(select(connection_modes))
    before = {row.connection: row.mode for row in rows}
    changed = {name: mode for name, mode in sorted(modes.items()) if before.get(name, "live") != mode}
    _NOTE_MODE.run(tx.sql, [{"connection": name, "mode": mode, "since": tx.now} for name, mode in changed.items()])
    if observing := [name for name, mode in changed.items() if mode == "observe" and name in before]:
        tx.sql.execute(delete(observed_kinds).where(_KINDS.connection.in_(observing)))
    if over := [name for name in changed if name in before]:
        tx.sql.execute(delete(observed_marks).where(_MARKS.connection.in_(over)))


def forget_connections(tx: Transaction, names: Sequence[str]) -> None:
    """Those that are connected no more: what was counted of them, and their modes."""
    for some in parts(sorted(names)):
        for table in (observed_kinds, observed_marks, connection_modes):
            tx.sql.execute(delete(table).where(table.c.connection.in_(some)))


def mode_since(tx: Transaction, connection: str, mode: Mode) -> float | None:
    """Since when it is in this mode, as the running hub noted it; None when it noted none or another."""
    query = select(_MODES.since).where(_MODES.connection == connection, _MODES.mode == mode)
    return tx.sql.execute(query).scalar()


def _places(tx: Transaction, connection: str) -> set[tuple[str, str, str, str]]:
    columns = (_KINDS.direction, _KINDS.kind, _KINDS.outcome, _KINDS.code)
    return {tuple(row) for row in tx.sql.execute(select(*columns).where(_KINDS.connection == connection))}


def _written(one: Seen) -> Seen:
    code = one.code if not one.code or _CODE.fullmatch(one.code) else _OTHER
    kind = one.kind if _CODE.fullmatch(one.kind) else "unknown"
    return replace(one, kind=kind, code=code, sample=one.sample[:LONGEST_SAMPLE] if one.sample else None)
