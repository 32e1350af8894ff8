"""A town whose packages take, refuse and say values, with what each of them holds in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, select, text, update

from bus.ledger import Claimed, Finished, Ledger
from bus.tables import DELIVERED, FINAL, OPEN, REFUSED, STARTED, deliveries, events
from bus.worker import Ended
from hub.acceptance.accept import Verdict
from hub.acceptance.deliveries import Deliveries
from hub.acceptance.restating import Restated, restate
from hub.routing.directory import ConnectionRouting, Directory
from hub.storage.tables import citizen_links
from schemas.delivery import Done
from schemas.event import Event
from schemas.manifest import Consumed
from tests.hub.citizens import town as citizens_town
from tests.hub.citizens.town import BLANCHE, TOWN, origin
from tests.support.directories import connect

ADDRESS, CONTACT = "citizen.address-changed", "citizen.contact-changed"
READERS = ("publik", "koha", "famille")


def said(content: Any, by: str, date: str = "2026-03-02", quality: str = "declared") -> dict[str, Any]:
    return {"value": content, "source": by, "date": date, "quality": quality}


def home(street: str, city: str = "Saint-Aubin") -> dict[str, str]:
    return {"street": street, "postal_code": "93001", "city": city}


class Readers(citizens_town.Town):
    """As `Town`, without a master, whose deliveries are acted on one by one."""

    def __init__(self, ledger: Ledger, *names: str) -> None:
        super().__init__(ledger)
        self.desk = Deliveries(self.acceptance)
        self.number = 0
        town = replace(self.directory.tenants[TOWN], masters={})
        self.have(*(self.directory.connections[f"{TOWN}.{name}"] for name in names or READERS), town=town)

    @property
    def directory(self) -> Directory:
        return self.acceptance.directory

    def have(self, *members: ConnectionRouting, town: Any = None) -> None:
        """These are connected from now on."""
        connect(self.acceptance.current, members, tenants={TOWN: town} if town is not None else None)

    def change(self, name: str, **changes: Any) -> None:
        """A connection is another from now on, or is new."""
        members = dict(self.directory.connections)
        full = f"{TOWN}.{name}"
        known = members.get(full) or ConnectionRouting(
            full, TOWN, name, name, {kind: Consumed(kind, 1, ("/citizen", "/new_address", "/email", "/phone"), "linked")
                                     for kind in citizens_town.TYPES})  # fmt: skip
        members[full] = replace(known, **changes)
        self.have(*members.values())

    def see(self, name: str, *fields: str, scope: str = "linked") -> None:
        """What a connection is granted."""
        kinds = {kind: Consumed(kind, 1, fields, scope) for kind in citizens_town.TYPES}
        self.change(name, consumes=kinds)

    def link(self, who: str, *names: str) -> None:
        """These packages know a person, under `<package>-<who>`."""
        row = citizen_links.c
        with self.ledger.transaction() as tx:
            known = tx.sql.execute(select(row.citizen_id).where(row.native_id.endswith(f"-{who}")))
            citizen_id = known.scalars().first()
            if citizen_id is None:
                book = self.acceptance.citizens(tx)
                person = {"identity": BLANCHE | {"given_names": [f"Blanche{who}"]},
                          "references": [{"system": names[0], "id": f"{names[0]}-{who}"}]}  # fmt: skip
                book.prefetch(TOWN, [person])
                citizen_id = book.resolve(TOWN, person).id
                book.save()
                names = names[1:]
            for name in names:
                tx.sql.execute(citizen_links.insert().values(
                    tenant=TOWN, system=name, native_id=f"{name}-{who}", citizen_id=citizen_id, since=tx.now,
                    how="import", origin="odile",
                ))  # fmt: skip

    def id_of(self, who: str) -> str:
        with self.ledger.reading() as tx:
            query = select(citizen_links.c.citizen_id).where(citizen_links.c.native_id.endswith(f"-{who}"))
            return str(tx.sql.execute(query).scalars().first())

    def tell(self, by: str, who: str, kind: str = ADDRESS, *, version: Any = 1, **values: Any) -> Verdict:
        """An event of a package about somebody it knows."""
        self.number += 1
        person = {"references": [{"system": by, "id": f"{by}-{who}"}]}
        data = {"citizen": person, **values}
        event = Event(type=kind, version=version, source=f"/{TOWN}/{by}", id=f"t{self.number}", data=data)
        return self.acceptance.submit(self.ledger, origin(by), [event])[0]

    def moves(self, by: str, who: str, street: str, date: str = "2026-03-02", **more: Any) -> list[str]:
        """Whom it reaches that a package tells of a new address."""
        return self.to(self.tell(by, who, new_address=said(home(street), by, date), **more).seq)

    def waiting(self, name: str) -> list[int]:
        """The events on their way to a connection, the first of each person."""
        row = deliveries.c
        with self.ledger.reading() as tx:
            rows = tx.sql.execute(
                select(row.seq, row.order_key)
                .where(row.connection == f"{TOWN}.{name}", row.state.in_(OPEN)).order_by(row.seq)
            ).all()  # fmt: skip
        first: dict[str, int] = {}
        for one in rows:
            first.setdefault(one.order_key, one.seq)
        return sorted(first.values())

    def end(self, name: str, seq: int, state: str = DELIVERED, answer: str = "", reference: str | None = None) -> Any:
        """A package ends its next delivery so; what it was shown."""
        connection, row = f"{TOWN}.{name}", deliveries.c
        with self.ledger.transaction() as tx:
            here = (row.connection == connection, row.seq == seq)
            key = tx.sql.execute(select(row.order_key).where(*here)).scalar_one()
            tx.sql.execute(update(deliveries).where(*here).values(state=STARTED))
            claimed = Claimed(seq, key, 1, 0, False)
            shown = self.desk.deliveries(tx, connection, [claimed], {}, self.desk.identifiers(tx, [claimed]))[seq]
            cause = "le dossier n'existe pas" if state == REFUSED else None
            ended = Finished(seq, key, state, cause, answer or None, reference)
            tx.finish(connection, [ended])
            done = Done(answer, reference=reference) if state == DELIVERED else None
            self.desk.settle(tx, connection, [Ended(shown, ended, done)])
        return shown.event.data

    def take_all(self) -> None:
        """Whatever is on its way is taken, in order."""
        for name in {one.partition(".")[2] for one in self.directory.connections}:
            while waiting := self.waiting(name):
                for seq in waiting:
                    self.end(name, seq)

    def replay(self, name: str, seq: int) -> bool:
        with self.ledger.transaction() as tx:
            return self.desk.replay(tx, f"{TOWN}.{name}", seq)

    def restate(self, who: str, *fields: str) -> Mapping[str, Restated]:
        with self.ledger.transaction() as tx:
            return restate(self.acceptance, tx, TOWN, self.id_of(who), fields or None)

    def forget_events(self) -> None:
        """As once they are old."""
        with self.ledger.transaction() as tx:
            tx.sql.execute(delete(deliveries).where(deliveries.c.state.in_(FINAL)))
            tx.sql.execute(delete(events))

    def count_events(self) -> int:
        with self.ledger.reading() as tx:
            return int(tx.sql.execute(text("SELECT count(*) FROM events")).scalar_one())
