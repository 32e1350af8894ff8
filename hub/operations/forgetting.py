"""A package that was restored from its own backup: what it was given and said since is forgotten, and so told again.

By parts, each in its own commit. The act that was begun is noted where polls note how far they read: a second call goes
on from there, and what the package was given since the act began is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select

from bus.ledger import Ledger, Transaction
from bus.tables import OPEN, cursors, deliveries
from hub.acceptance.accept import Acceptance
from hub.citizens.catch_ups import ask_for_reader
from hub.citizens.news import OBSERVES, SEQ, Known, short
from hub.journal.entries import Entry, Journal, Justification
from hub.operations.heard import first_since

PART = 500  # records in one commit


@dataclass(slots=True)
class Forgotten:
    """How many fields of people (`records`) and entries of them were forgotten; `resumed`: an act that was begun
    before was gone on with."""

    records: int = 0
    entries: int = 0
    resumed: bool = False


def forget_reader(
    ledger: Ledger, acceptance: Acceptance, journal: Journal, connection: str, by: Justification,
    since: float | None = None, *, part: int = PART,
) -> Forgotten:  # fmt: skip
    """Forget all that a connection (`tenant.name`) was given or said; with `since` (seconds since 1970) what came after
    that alone. What is on its way to it stays known. What is known of people stays too, and is asked for at the
    end: it is told what it lacks then. Written into the journal when it begins."""
    done, tenant = Forgotten(), connection.partition(".")[0]
    with ledger.transaction() as tx:
        begun = tx.cursor(_place(connection))
        done.resumed = begun is not None
        if begun is None:
            begun = _begin(tx, journal, connection, tenant, by, since)
        tx.move_cursor(_place(connection), begun)
    while begun is not None:
        with ledger.transaction() as tx:
            tx.hold_door()
            begun = _forget_part(tx, acceptance, connection, begun, done, part)
    return done


def _begin(
    tx: Transaction, journal: Journal, connection: str, tenant: str, by: Justification, since: float | None
) -> Mapping[str, Any]:
    first = 0 if since is None else first_since(tx, since)
    begun = {"after": "", "first": tx.last_seq() + 1 if first is None else first, "last": tx.last_seq()}
    facts = {"connection": connection} | ({"since": since} if since is not None else {})
    journal.write(tx, Entry(
        tenant=tenant, kind="operator", act="connection.forgotten", actor=by.actor, outcome="done", facts=facts,
        personal={"reason": by.reason},
    ))  # fmt: skip
    return begun


def _forget_part(
    tx: Transaction, acceptance: Acceptance, connection: str, begun: Mapping[str, Any], done: Forgotten, part: int
) -> Mapping[str, Any] | None:
    """How far it came; None when it is done."""
    open_ones = _open(tx, connection)
    names = short(connection), OBSERVES + short(connection)

    def forget(known: Known) -> None:
        number = known.drop(names, lambda e: begun["first"] <= e[SEQ] <= begun["last"] and e[SEQ] not in open_ones)
        done.entries += number
        done.records += bool(number)

    tenant = connection.partition(".")[0]
    after = acceptance.news.pass_by(tx, tenant, begun["after"], part, forget)
    if after is None:
        ask_for_reader(tx, tenant, connection, cause="forgotten")
        tx.sql.execute(delete(cursors).where(cursors.c.connection == _place(connection)))
        return None
    begun = {**begun, "after": after}
    tx.move_cursor(_place(connection), begun)
    return begun


def _open(tx: Transaction, connection: str) -> set[int]:
    row = deliveries.c
    mine = select(row.seq).where(
        row.connection == connection, row.state.in_(OPEN), func.substr(row.order_key, 1, 2) == "c:"
    )
    return {one.seq for one in tx.sql.execute(mine)}


def _place(connection: str) -> str:
    return f"~{connection}"  # no name of a connection begins so
