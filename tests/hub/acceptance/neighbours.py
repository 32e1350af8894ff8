"""A town of people who move: packages that are granted the day, the household, both or neither, each with its own
numbers, and a clock that the test moves."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import select, text, update

from bus.ledger import Finished, Ledger
from bus.tables import OPEN, deliveries
from bus.worker import Ended
from hub.acceptance.accept import Verdict
from hub.acceptance.days import take_effect
from hub.acceptance.deliveries import Deliveries
from hub.acceptance.restating import restate
from hub.citizens.identities import People
from hub.clients.origin import Origin
from hub.exchanges.corrections import Corrections
from hub.exchanges.stored_evidence import HeldEvidence
from hub.journal.entries import Journal, Justification
from hub.operations.catching_up import CatchingUp
from hub.operations.lacking import still_lacked
from hub.operations.link_import import import_links
from hub.operations.reviews import Reviews
from hub.routing.directory import ConnectionRouting, Directory
from hub.settings import procedures
from hub.settings.model import Tenant
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import catch_ups, citizen_links, citizen_reviews
from schemas.event import Event
from schemas.manifest import Consumed
from schemas.registry import Registry
from tests.support.acceptance import acceptance_of
from tests.support.clock import Clock

TOWN = "valbruyere"
BY = Justification("odile", "vu au guichet avec les deux parents")
PORTAL = Origin(f"{TOWN}.portail", TOWN, frozenset({"*"}), (f"/{TOWN}/portail",))
MOVED = "citizen.address-changed"
_SEES: dict[str, tuple[str, ...]] = {
    "agenda": ("/citizen/references", "/new_address", "/effective_on"),
    "eau": ("/citizen/references", "/new_address", "/household"),
    "famille": ("/citizen/references", "/new_address"),
    "koha": ("/citizen/references", "/new_address/value"),
}
HEADER = "family_name;given_names;gender;birthdate;birthplace;system;id;confidential\n"
PEOPLE = {
    "Aude": "Corvisart;Aude Odette;female;1987-03-09;2A004", "Bruno": "Corvisart;Bruno;male;1985-05-12;2A004",
    "Tancrède": "Corvisart;Tancrède;male;2018-11-30;2A004", "Paulette": "Verneuil;Paulette;female;1950-06-17;93066",
}  # fmt: skip


class Neighbours:
    def __init__(self, ledger: Ledger, clock: Clock, *, insee: str = "93066", portal: str = "portail") -> None:
        self.ledger, self.clock, self._events = ledger, clock, 0
        self.echoes: set[int | None] = set()
        members = [
            ConnectionRouting(
                f"{TOWN}.{name}", TOWN, name, name, {MOVED: Consumed(MOVED, 2, fields, "linked")}, publishes=("*",)
            )
            for name, fields in _SEES.items()
        ]  # fmt: skip
        tenant = Tenant(TOWN, "Valbruyère", "21930001100018", insee, {}, {})
        self.directory = Directory(members, procedures.load_procedures(), {TOWN: tenant})
        keys = PersonKeys(b"k" * 32)
        self.people = People(keys, b"pepper", b"r" * 32)
        self.journal = Journal(keys)
        corrections = Corrections(Registry.load(), self.people, HeldEvidence(keys), self.journal)
        self.acceptance = acceptance_of(self.directory, people=self.people, corrections=corrections, pepper=b"pepper")
        self.reviews = Reviews(self.acceptance, self.people, self.journal, corrections)
        self.deliveries = Deliveries(self.acceptance)
        self.catching_up = CatchingUp(
            ledger, lambda: self.acceptance.directory, partial(restate, self.acceptance),
            partial(take_effect, self.acceptance), lambda tx, missed: still_lacked(tx, self.acceptance, missed).lacked,
            per_second=1000,
        )  # fmt: skip

    # --- what happens ---------------------------------------------------------------------------------------------

    def know(self, *links: tuple[str, str]) -> None:
        """Somebody of PEOPLE in a system, under their own name there."""
        rows = "".join(f"{PEOPLE[who]};{system};{who};\n" for who, system in links)
        import_links(self.ledger, self.acceptance, TOWN, HEADER + rows)

    def say(
        self, who: str, street: str, *, by: str = "portail", date: str | None = None, on: str | None = None,
        household: Sequence[Mapping[str, Any]] = (), event_id: str = "", **more: Any,
    ) -> Verdict:  # fmt: skip
        """A change of address. `date`: when it was said, now unless told; `on`: from which day it is true."""
        self._events += 1
        said = date or datetime.fromtimestamp(self.clock.now).astimezone().isoformat()
        data: dict[str, Any] = {
            "citizen": {"references": [{"system": by, "id": who}]},
            "new_address": {"value": address(street), "source": by, "date": said, "quality": "declared"},
            **({"effective_on": on} if on else {}), **({"household": list(household)} if household else {}), **more,
        }  # fmt: skip
        event = Event(type=MOVED, version=2, source=f"/{TOWN}/{by}", id=event_id or f"e{self._events}", data=data)
        (verdict,) = self.acceptance.submit(self.ledger, self.origin(by), [event])
        self.clock.now += 1
        if verdict.outcome == "echo":
            self.echoes.add(verdict.seq)
        return verdict

    def origin(self, by: str) -> Origin:
        return PORTAL if by == "portail" else replace(self.deliveries.origin(f"{TOWN}.{by}"), types=frozenset({"*"}))

    def look(self, moment: str | None = None) -> None:
        """The hub looks what is due, at this moment."""
        if moment is not None:
            self.clock.at(moment)
        while self.catching_up.look(threading.Event(), seconds=1.0):
            pass

    def take(self) -> None:
        """All packages take what is on its way to them."""
        with self.ledger.transaction() as tx:
            tx.sql.execute(update(deliveries).where(deliveries.c.state.in_(OPEN)).values(
                state="delivered", at=self.clock.now,
            ))  # fmt: skip

    def refuse(self, package: str) -> None:
        """A package refuses all that is on its way to it."""
        with self.ledger.reading() as tx:
            rows = tx.sql.execute(select(deliveries.c.seq, deliveries.c.order_key).where(
                deliveries.c.connection == f"{TOWN}.{package}", deliveries.c.state == "expected",
            )).all()  # fmt: skip
        with self.ledger.transaction() as tx:
            name, seqs = f"{TOWN}.{package}", [row.seq for row in rows]
            tx.receive(name, seqs)
            claimed = tx.claim(name, 100)
            seen = self.deliveries.deliveries(tx, name, claimed, {}, self.deliveries.identifiers(tx, claimed))
            ended = [Finished(one.seq, one.order_key, "refused", cause="inconnu ici") for one in claimed]
            tx.finish(name, ended)
            self.deliveries.settle(tx, name, [Ended(seen[one.seq], one) for one in ended])

    def do(self, act: Any, *arguments: Any) -> Any:
        with self.ledger.transaction() as tx:
            return act(tx, *arguments)

    # --- what is seen ---------------------------------------------------------------------------------------------

    def got(self, package: str, who: str | None = None) -> list[str]:
        """The streets of which a package is told, in order; of one person alone, by their order key."""
        key = f"c:{self.who(who)}" if who is not None else None
        with self.ledger.reading() as tx:
            rows = tx.sql.execute(
                select(deliveries.c.seq)
                .where(deliveries.c.connection == f"{TOWN}.{package}")
                .order_by(deliveries.c.seq)
            ).scalars()
            stored = tx.load(list(rows))
        return [
            one.event.data["new_address"]["value"]["street"] for _, one in sorted(stored.items())
            if key is None or one.order_key == key
        ]  # fmt: skip

    def who(self, name: str, system: str | None = None) -> str:
        with self.ledger.reading() as tx:
            row = citizen_links.c
            query = select(row.citizen_id).where(row.native_id == name)
            if system is not None:
                query = query.where(row.system == system)
            return str(tx.sql.execute(query.limit(1)).scalar_one())

    def waiting(self) -> list[tuple[str, str, int, str]]:
        """What is asked of whom: person, field, event, cause."""
        with self.ledger.reading() as tx:
            rows = tx.sql.execute(select(catch_ups).order_by(catch_ups.c.due)).all()
        return [(row.citizen_id, row.field, row.seq, row.cause) for row in rows]

    def asked(self) -> list[str]:
        """Why operators are asked about values, in order."""
        with self.ledger.reading() as tx:
            found = self.reviews.open_reviews(tx, tenant=TOWN)
        return [str(one.facts.get("why")) for one in found if one.kind == "value"]

    def answer(self, *, take: bool) -> None:
        """The one open question is answered."""
        with self.ledger.reading() as tx:
            row = citizen_reviews.c
            (review,) = tx.sql.execute(select(row.id).where(row.state == "open", row.kind == "value")).scalars()
        self.do(self.reviews.accept_value if take else self.reviews.keep, review, BY)

    def events(self) -> int:
        with self.ledger.reading() as tx:
            return int(tx.sql.execute(text("SELECT count(*) FROM events")).scalar_one())


def address(street: str) -> dict[str, str]:
    return {"street": street, "house_number": "4", "postal_code": "93066", "city": "Saint-Denis", "country": "FR"}


def named(who: str, **more: Any) -> dict[str, Any]:
    """Somebody of PEOPLE by their identity."""
    family, given, gender, born, place = PEOPLE[who].split(";")
    return {"identity": {"family_name": family, "given_names": given.split(" "), "gender": gender, "birthdate": born,
                         "birthplace": place}, **more}  # fmt: skip


def by_number(system: str, who: str, **more: Any) -> dict[str, Any]:
    return {"references": [{"system": system, "id": who}], **more}


def knows(town: Neighbours, package: str) -> str:
    """Where a package holds Aude to live: what it took or said last. What it took or said of a day to come it holds
    from that day, unless it takes or says something else before that is news; where it is already, it stays."""
    name, heard = f"{TOWN}.{package}", list[tuple[float, int, Event]]()
    with town.ledger.reading() as tx:
        seqs = list(tx.sql.execute(text("SELECT seq FROM events ORDER BY seq")).scalars())
        rows = [row for row in tx.deliveries_of(seqs) if row.connection == name and row.state == "delivered"]
        taken = {row.seq: row.at for row in rows}
        for seq, stored in tx.load(seqs).items():
            if stored.event.type == MOVED and (seq in taken or stored.origin == name):
                heard.append((taken.get(seq, stored.accepted_at), seq, stored.event))
    holds, later, begins = "", "", float("inf")
    for at, seq, event in sorted(heard, key=lambda one: one[:2]):
        if begins <= at:
            holds, begins = later, float("inf")
        street, day = event.data["new_address"]["value"]["street"], event.data.get("effective_on")
        starts = datetime.fromisoformat(f"{day}T00:00:00+01:00").timestamp() if day else 0.0
        if starts > at:
            later, begins = street, starts if street != holds else float("inf")
            continue
        holds = street
        if seq not in town.echoes:
            begins = float("inf")
    return later if begins <= town.clock.now else holds
