"""A town whose systems know the same people under their own identifiers, with the events that reach each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, text, update

from bus.ledger import Ledger
from bus.tables import DELIVERED, OPEN, deliveries
from hub.acceptance.accept import Verdict
from hub.citizens.identities import People
from hub.citizens.lookup import Found, find_citizen
from hub.clients.origin import Origin
from hub.exchanges.corrections import Corrections
from hub.exchanges.stored_evidence import HeldEvidence
from hub.journal.entries import Journal, Justification
from hub.operations.links import Links
from hub.operations.reviews import Reviews
from hub.routing.directory import ConnectionRouting, Directory
from hub.settings import procedures
from hub.settings.model import Numbers, Tenant
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import citizen_links
from schemas.event import Event
from schemas.manifest import Consumed
from schemas.registry import Registry
from tests.support.acceptance import acceptance_of

TOWN = "saint-aubin"
BY = Justification("odile", "le guichet a vu les deux pièces d'identité")
TYPES = ("citizen.address-changed", "citizen.contact-changed", "citizen.merged", "citizen.unmerged")
SECTORS = {"cantine": "school", "ccas": "social", "listes": "elections"}
BLANCHE: dict[str, Any] = {
    "family_name": "Lœvenbruck", "given_names": ["Blanche", "Marie"], "gender": "female", "birthdate": "1991-11-23",
    "birthplace": "93066", "birthcountry": "99100",
}  # fmt: skip


def origin(name: str) -> Origin:
    return Origin(f"{TOWN}.{name}", TOWN, frozenset({"*"}), (f"/{TOWN}/{name}",))


class Town:
    """A hub's door that keeps identities, with packages that know people by their own numbers."""

    def __init__(
        self, ledger: Ledger, *, sectors: bool = False, link: tuple[tuple[str, ...], ...] = (),
        numbers: Mapping[str, Numbers] = {},
    ) -> None:  # fmt: skip
        self.ledger = ledger
        with ledger.reading() as tx:  # those of a town that was here before
            self._events = int(tx.sql.execute(text("SELECT count(*) FROM events")).scalar_one())
        fields = ("/citizen", "/new_address", "/email", "/phone", "/other")
        consumed = {kind: Consumed(kind, 1, fields, "linked") for kind in TYPES}
        members = [
            ConnectionRouting(
                f"{TOWN}.{name}",
                TOWN,
                name,
                name,
                consumed,
                publishes=("*",),
                sector=SECTORS.get(name, "general") if sectors else "general",
            )
            for name in ("publik", "koha", "famille", *SECTORS)
        ]
        tenant = Tenant(TOWN, "Ville", "21930001100018", "93001", {}, {}, {"address": "publik"}, link,
                        identifiers=numbers)  # fmt: skip
        directory = Directory(members, procedures.load_procedures(), {TOWN: tenant})
        keys = PersonKeys(b"k" * 32)
        self.people = People(keys, b"pepper", b"r" * 32, grouping=directory.grouping,
                             households=directory.households)  # fmt: skip
        journal = Journal(keys)
        corrections = Corrections(Registry.load(), self.people, HeldEvidence(keys), journal)
        self.acceptance = acceptance_of(directory, people=self.people, corrections=corrections, pepper=b"pepper")
        self.reviews = Reviews(self.acceptance, self.people, journal, corrections)
        self.links = Links(self.acceptance, self.people, journal, self.reviews)

    def say(self, by: str, person: dict[str, Any], email: str | None = None, **values: Any) -> Verdict:
        """An event of a package about somebody."""
        self._events += 1
        kind = "citizen.address-changed" if "new_address" in values else "citizen.contact-changed"
        data = {"citizen": person, **values}
        if "new_address" not in values:
            data["email"] = value(email or f"{self._events}@courriel.example", by)
        event = Event(type=kind, source=f"/{TOWN}/{by}", id=f"e{self._events}", data=data)
        return self.acceptance.submit(self.ledger, origin(by), [event])[0]

    def who(self, system: str, native: str) -> str:
        with self.ledger.reading() as tx:
            query = select(citizen_links.c.citizen_id).where(
                citizen_links.c.system == system, citizen_links.c.native_id == native
            )
            return str(tx.sql.execute(query).scalar_one())

    def to(self, seq: int | None) -> list[str]:
        with self.ledger.reading() as tx:
            return sorted(row.connection.partition(".")[2] for row in tx.deliveries_of([seq or 0]))

    def take(self) -> None:
        """Whatever is on its way is taken."""
        with self.ledger.transaction() as tx:
            tx.sql.execute(update(deliveries).where(deliveries.c.state.in_(OPEN)).values(state=DELIVERED, at=tx.now))

    def asked(self) -> list[Any]:
        with self.ledger.reading() as tx:
            return self.reviews.open_reviews(tx, tenant=TOWN)

    def find(self, identity: dict[str, Any] | None = None, **more: Any) -> Found:
        said = {"references": (), "reference": None, "client_id": "portail"} | more
        with self.ledger.reading() as tx:
            return find_citizen(tx, self.people, TOWN, identity=identity, **said)

    def do(self, act: Any, *arguments: Any) -> Any:
        with self.ledger.transaction() as tx:
            return act(tx, *arguments)

    def last(self, kind: str) -> list[tuple[int, dict[str, Any]]]:
        """The events of a type, each with its number."""
        with self.ledger.reading() as tx:
            seqs = [row.seq for row in tx.sql.execute(text("SELECT seq FROM events ORDER BY seq"))]
            return [(seq, dict(s.event.data)) for seq, s in tx.load(seqs).items() if s.event.type == kind]


def value(content: Any, by: str, *, date: str = "2026-03-02", quality: str = "declared") -> dict[str, Any]:
    return {"value": content, "source": by, "date": date, "quality": quality}


def address(street: str, by: str, **more: str) -> dict[str, Any]:
    return value({"street": street, "postal_code": "93001", "city": "Saint-Aubin"}, by, **more)


def person(system: str | None = None, native: str = "", **changed: Any) -> dict[str, Any]:
    identity = {name: value for name, value in (BLANCHE | changed).items() if value is not None}
    return {"identity": identity} | ({"references": [{"system": system, "id": native}]} if system else {})


def two(town: Town) -> str:
    """Two people about whom the hub asks; the question's id."""
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person("koha", "K-1", birthdate="1991-11-24"))
    return str(town.asked()[0].id)
