"""Corrections: what changed at its source reaches all who obtained it (RGPD art. 19).

A source says `evidence.changed`, without the value. In the same commit stored values and open previews of it go, and
each past recipient within the retention of its grant gets an event of its own, which no other client gets. A recipient
has been told once a delivery of that event ended well, or once it acknowledged; until then the correction is open.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, delete, exists, func, insert, select, update

from bus.ledger import Transaction
from bus.tables import DELIVERED, deliveries
from hub.citizens.identities import People
from hub.exchanges.stored_evidence import HeldEvidence
from hub.journal.entries import Entry, Journal
from hub.storage.tables import evidence_corrections, evidence_recipients, exchange_previews
from schemas.errors import HubError, InvalidMessage
from schemas.event import Event
from schemas.registry import Registry
from schemas.times import to_rfc3339

_TOGETHER = 200  # exchanges that one event names
_ROWS = evidence_corrections.c
_OPEN = (_ROWS.told_at.is_(None), _ROWS.acknowledged_at.is_(None))
_delivered = exists().where(deliveries.c.seq == _ROWS.seq, deliveries.c.state == DELIVERED)

Publish = Callable[[str, Sequence[Event]], Sequence[int]]
"""Accepts events of the hub itself in a tenant; their numbers."""


class NotTold(HubError):
    """The hub could not say what it must; the whole is undone."""

    code = "hub_error"


@dataclass(frozen=True, slots=True)
class Change:
    """What recipients are told of. `name` makes it unique: the same name tells once. `fields` and `evidence`: None is
    all; `connection`: the source, None is any. `since`: what was obtained from then on."""

    name: str
    actor: str
    change: str  # corrected, erased
    cause: str  # source, identity, person
    effective: str
    evidence: str | None = None
    fields: frozenset[str] | None = None
    connection: str | None = None
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Told:
    """One event on its way to one client, and the row that follows it."""

    event: Event
    row: Mapping[str, Any]


class Corrections:
    def __init__(self, registry: Registry, people: People, held: HeldEvidence, journal: Journal) -> None:
        self._registry, self._people, self._held, self._journal = registry, people, held, journal

    def changed(
        self, tx: Transaction, tenant: str, origin: str, connections: Collection[str], event: Event,
        citizen_id: str | None,
    ) -> list[Told]:  # fmt: skip
        """Of an `evidence.changed` that `origin` published about this citizen, None for one whom nobody knows: whom to
        tell what. `connections`: those of the hub, as `tenant.name`. Raises InvalidMessage for evidence that there is
        not, and for a source that the origin may not speak for."""
        data = event.data
        kind, version = str(data["evidence"]), int(data["version"])
        connection = _source_of(tenant, origin, connections, data.get("connection"))
        try:
            known = set(self._registry.evidence_fields(kind, version))
        except InvalidMessage as error:
            pointer = "/data/version" if error.pointer == "/version" else "/data/evidence"
            raise InvalidMessage(error.reason, pointer=pointer, code=error.code) from None
        if unknown := sorted(set(data.get("fields", ())) - known):
            place = list(data["fields"]).index(unknown[0])
            message = "this type of evidence has no such field"
            raise InvalidMessage(message, pointer=f"/data/fields/{place}", code="schema_violation")
        if citizen_id is None:
            return []
        fields = frozenset(data["fields"]) if "fields" in data else None
        return self.about(tx, tenant, self._people.members(tx, citizen_id), Change(
            f"{event.source} {event.id}", origin, data["change"], "source", data["effective"], kind, fields, connection,
        ))  # fmt: skip

    def about(self, tx: Transaction, tenant: str, citizens: Sequence[str], change: Change) -> list[Told]:
        """Forget what is kept of it about this person, whatever ids they have, and say whom to tell."""
        for citizen_id in citizens:
            self._held.forget(tx, citizen_id, change.evidence)
        if citizens:
            # What the person looks at now would be given to a client as it was: the client asks again.
            tx.sql.execute(delete(exchange_previews).where(exchange_previews.c.citizen_id.in_(citizens)))
        told = []
        for (client_tenant, client_id, citizen_id, kind, version), rows in self._received(tx, tenant, citizens, change):
            for some in _parts(rows):
                fields = sorted({name for row in some for name in _touched(row, change)})
                name = f"{tenant} {change.name} {client_tenant} {client_id} {some[0].exchange_id}"
                row = {
                    "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)), "tenant": tenant, "citizen_id": citizen_id,
                    "client_tenant": client_tenant, "client_id": client_id, "change": change.change,
                    "cause": change.cause, "type": kind, "version": version, "fields": " ".join(fields),
                    "exchanges": " ".join(item.exchange_id for item in some), "effective": change.effective,
                    "at": tx.now, "until": max(item.until for item in some), "told_at": None, "acknowledged_at": None,
                }  # fmt: skip
                told.append(Told(self._event(row), row))
                self._write(tx, change, row)
        return told

    def publish(self, tx: Transaction, told: Sequence[Told], publish: Publish) -> None:
        """Send these events, and follow them."""
        by_tenant: dict[str, list[Told]] = {}
        for item in told:
            by_tenant.setdefault(str(item.row["client_tenant"]), []).append(item)
        for tenant, items in by_tenant.items():
            numbers = publish(tenant, [item.event for item in items])
            if len(numbers) != len(items):
                raise NotTold("the hub refused its own word to a recipient")
            rows = [{**item.row, "seq": seq} for item, seq in zip(items, numbers, strict=True)]
            tx.sql.execute(insert(evidence_corrections), rows)

    # --- clients ------------------------------------------------------------------------------------------------

    def open_of(self, tx: Transaction, tenant: str, client_id: str, limit: int) -> list[dict[str, Any]]:
        """What this client was not told of yet, the oldest first."""
        query = self._of(tenant, client_id).where(*_OPEN, ~_delivered).order_by(_ROWS.at, _ROWS.id).limit(limit)
        return [self.correction_view(tx, row) for row in tx.sql.execute(query).all()]

    def one_of(self, tx: Transaction, tenant: str, client_id: str, correction: str) -> dict[str, Any] | None:
        """One of this client, told of or not; None when it has no such correction."""
        row = tx.sql.execute(self._of(tenant, client_id).where(_ROWS.id == correction)).first()
        return self.correction_view(tx, row) if row is not None else None

    def acknowledge(self, tx: Transaction, tenant: str, client_id: str, correction: str) -> dict[str, Any] | None:
        """The client has taken note; the first time counts. None when it has no such correction."""
        mine = (_ROWS.id == correction, _ROWS.client_tenant == tenant, _ROWS.client_id == client_id)
        row = tx.sql.execute(select(evidence_corrections).where(*mine)).first()
        if row is None:
            return None
        first = update(evidence_corrections).where(*mine, _ROWS.acknowledged_at.is_(None))
        if tx.sql.execute(first.values(acknowledged_at=tx.now)).rowcount:
            entry = Entry(
                row.tenant, "correction", "correction.acknowledged", f"{tenant}.{client_id}", "acknowledged",
                citizen_id=row.citizen_id, facts=_facts(row._mapping),
            )  # fmt: skip
            self._journal.write(tx, *_both(entry, tenant))
        return self.one_of(tx, tenant, client_id, correction)

    def correction_view(self, tx: Transaction, row: Row[Any]) -> dict[str, Any]:
        """A correction as its client may read it."""
        told_at = row.told_at
        if told_at is None:
            query = select(func.min(deliveries.c.at)).where(deliveries.c.seq == row.seq)
            told_at = tx.sql.execute(query.where(deliveries.c.state == DELIVERED)).scalar()
        return self._members(row._mapping) | {
            "change": row.change, "at": _moment(row.at), "told_at": _moment(told_at),
            "acknowledged_at": _moment(row.acknowledged_at),
        }  # fmt: skip

    def _of(self, tenant: str, client_id: str) -> Select[Any]:
        return select(evidence_corrections).where(_ROWS.client_tenant == tenant, _ROWS.client_id == client_id)

    # --- recipients ---------------------------------------------------------------------------------------------

    def _received(
        self, tx: Transaction, tenant: str, citizens: Sequence[str], change: Change
    ) -> Iterator[tuple[tuple[str, str, str, str, int], list[Row[Any]]]]:
        """Who obtained some of it and may still have it: by client, what it calls the citizen, and kind."""
        table = evidence_recipients.c
        query = select(evidence_recipients).where(
            table.tenant == tenant, table.citizen_id.in_(citizens), table.until > tx.now, table.at >= change.since
        )
        if change.evidence is not None:
            query = query.where(table.type == change.evidence)
        if change.connection is not None:
            query = query.where(table.connection == change.connection)
        found: dict[tuple[str, str, str, str, int], list[Row[Any]]] = {}
        for row in tx.sql.execute(query.order_by(table.at, table.exchange_id)):
            if _touched(row, change):
                key = (row.client_tenant, row.client_id, row.citizen_id, row.type, row.version)
                found.setdefault(key, []).append(row)
        yield from found.items()

    def _members(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        return {
            "correction": row["id"], "client": row["client_id"],
            "reference": self._people.reference_of(row["client_id"], row["citizen_id"]), "evidence": row["type"],
            "version": row["version"], "fields": row["fields"].split(), "exchanges": row["exchanges"].split(),
            "effective": row["effective"], "cause": row["cause"],
        }  # fmt: skip

    def _event(self, row: Mapping[str, Any]) -> Event:
        return Event(
            type=f"evidence.{row['change']}", source=f"/{row['client_tenant']}/hub", id=row["id"],
            data=self._members(row),
        )  # fmt: skip

    def _write(self, tx: Transaction, change: Change, row: Mapping[str, Any]) -> None:
        entry = Entry(
            row["tenant"], "correction", f"evidence.{change.change}", change.actor, "told", id=row["id"],
            citizen_id=row["citizen_id"], facts=_facts(row),
        )  # fmt: skip
        self._journal.write(tx, *_both(entry, row["client_tenant"]))


def settle(tx: Transaction) -> int:
    """Keep when recipients were told, before the deliveries that say so are forgotten; how many they were."""
    told_at = (
        select(func.min(deliveries.c.at))
        .where(deliveries.c.seq == _ROWS.seq, deliveries.c.state == DELIVERED)
        .scalar_subquery()
    )
    settled = update(evidence_corrections).where(*_OPEN, _delivered).values(told_at=told_at)
    return int(tx.sql.execute(settled).rowcount)


def standing(tx: Transaction) -> dict[str, int]:
    """By the tenant of the client, how many corrections it was not told of."""
    query = select(_ROWS.client_tenant, func.count().label("number")).where(*_OPEN, ~_delivered)
    return {row.client_tenant: row.number for row in tx.sql.execute(query.group_by(_ROWS.client_tenant))}


def of_citizen(tx: Transaction, citizens: Sequence[str]) -> list[Row[Any]]:
    """All corrections about a person, the oldest first."""
    query = select(evidence_corrections).where(_ROWS.citizen_id.in_(citizens)).order_by(_ROWS.at, _ROWS.id)
    return list(tx.sql.execute(query))


def received_by(tx: Transaction, citizens: Sequence[str]) -> list[Row[Any]]:
    """Who received what about a person, the oldest first, for as long as it is followed."""
    table = evidence_recipients.c
    query = select(evidence_recipients).where(table.citizen_id.in_(citizens)).order_by(table.at, table.exchange_id)
    return list(tx.sql.execute(query))


def _source_of(tenant: str, origin: str, connections: Collection[str], named: str | None) -> str:
    """The connection that an origin speaks for: itself; a client may name one of its tenant."""
    if named is None:
        return origin
    wanted = f"{tenant}.{named}"
    if wanted == origin or (origin not in connections and wanted in connections):
        return wanted
    raise InvalidMessage("you do not speak for this connection", pointer="/data/connection", code="source_not_allowed")


def _touched(row: Row[Any], change: Change) -> set[str]:
    received = set(row.fields.split())
    return received if change.fields is None else received & change.fields


def _facts(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "correction": row["id"], "client": f"{row['client_tenant']}.{row['client_id']}", "evidence": row["type"],
        "version": row["version"], "fields": row["fields"].split(), "exchanges": row["exchanges"].split(),
        "change": row["change"], "cause": row["cause"], "effective": row["effective"],
    }  # fmt: skip


def _both(entry: Entry, client_tenant: str) -> Iterable[Entry]:
    """In the journal of whose data it is, and in that of the client when it is another's."""
    yield entry
    if client_tenant != entry.tenant:
        own = str(uuid.uuid5(uuid.UUID(entry.id), client_tenant))
        yield Entry(
            client_tenant, entry.kind, entry.act, entry.actor, entry.outcome, id=own, citizen_id=entry.citizen_id,
            facts={**entry.facts, "of": entry.tenant},
        )  # fmt: skip


def _moment(at: float | None) -> str | None:
    return to_rfc3339(at) if at is not None else None


def _parts(rows: Sequence[Row[Any]]) -> Iterator[Sequence[Row[Any]]]:
    return (rows[at : at + _TOGETHER] for at in range(0, len(rows), _TOGETHER))
