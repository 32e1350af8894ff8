"""A → B → A → B through the door: each package spells in its own way what it is given, and says it at another instant.
Only the first time is it news."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import update

from bus.ledger import Ledger
from bus.tables import DELIVERED, OPEN, deliveries
from connectors.sdk import find_manifests
from hub.citizens.identities import People
from hub.clients.origin import Origin
from hub.routing.directory import ConnectionRouting, Directory
from hub.settings import procedures
from hub.settings.model import Tenant
from hub.storage.person_keys import PersonKeys
from schemas.event import Event
from schemas.manifest import Consumed
from tests.support.acceptance import acceptance_of
from tests.test_echo_pairs import BOTH, MOVED, PACKAGES, Package, told_back, told_first

TOWN, REACHED = "saint-aubin", "citizen.contact-changed"
WHO: dict[str, Any] = {
    "family_name": "Quenneville", "given_names": ["Solène"], "gender": "female", "birthdate": "1991-11-23",
    "birthplace": "93066", "birthcountry": "99100",
}  # fmt: skip
ALL = ("/citizen", "/new_address", "/email", "/phone")
Reads = Mapping[str, Consumed]


def reads(*fields: str, version: int = 1) -> Reads:
    return {kind: Consumed(kind, version, fields or ALL, "linked") for kind in (MOVED, REACHED)}


class Packages:
    """Connections by name, with what they read; all know one person."""

    def __init__(self, ledger: Ledger, named: Mapping[str, Reads], *, insee: str = "93001") -> None:
        self.ledger, self._said = ledger, 0
        members = [
            ConnectionRouting(f"{TOWN}.{name}", TOWN, name, name, consumed, publishes=("*",))
            for name, consumed in named.items()
        ]
        tenant = Tenant(TOWN, "Ville", "21930001100018", insee, {}, {}, {}, ())
        directory = Directory(members, procedures.load_procedures(), {TOWN: tenant})
        people = People(PersonKeys(b"k" * 32), b"pepper", b"r" * 32, grouping=directory.grouping,
                        households=directory.households)  # fmt: skip
        self.acceptance = acceptance_of(directory, people=people, pepper=b"pepper")
        for name in named:  # the same value: whoever is linked later lacks nothing of this address
            self.say(name, "email", "solene@courriel.example")
            self.take()

    def say(self, by: str, field: str, value: Any) -> tuple[str, list[str]]:
        """What the door makes of it, and who gets it. Each is said a minute after the one before."""
        self._said += 1
        said = {"value": value, "source": by, "date": f"2026-03-02T09:{self._said:02}:00Z", "quality": "declared"}
        citizen = {"identity": WHO, "references": [{"system": by, "id": f"{by}-1"}]}
        kind = MOVED if field == "new_address" else REACHED
        event = Event(kind, f"/{TOWN}/{by}", {"citizen": citizen, field: said}, id=f"e{self._said}")
        origin = Origin(f"{TOWN}.{by}", TOWN, frozenset({"*"}), (f"/{TOWN}/{by}",), connection=True)
        verdict = self.acceptance.submit(self.ledger, origin, [event])[0]
        assert verdict.error is None, verdict.error
        with self.ledger.reading() as tx:
            rows = tx.deliveries_of([verdict.seq or 0])
        return verdict.outcome, sorted(row.connection.partition(".")[2] for row in rows)

    def take(self) -> None:
        """Whatever is on its way is taken."""
        with self.ledger.transaction() as tx:
            tx.sql.execute(update(deliveries).where(deliveries.c.state.in_(OPEN)).values(state=DELIVERED, at=tx.now))

    def turns(self, field: str, said: Sequence[tuple[str, Any]]) -> list[tuple[str, list[str]]]:
        """What becomes of each of these, said one after the other, each taken before the next."""
        found = []
        for by, value in said:
            found.append(self.say(by, field, value))
            self.take()
        return found


def consumed_of(package: Package) -> Reads:
    return {one.type: one for one in find_manifests()[package[0]].consumes if one.type in (MOVED, REACHED)}


def spellings(first: Package, second: Package) -> list[tuple[str, Mapping[str, Any]]]:
    """What the first tells of its own accord, and what each makes of what the other says."""
    said: list[tuple[str, Mapping[str, Any]]] = [("first", told_first(first)[0])]
    for name, package in (("second", second), ("first", first), ("second", second)):
        back = told_back(package, said[-1][1]) if package in BOTH else said[-1][1]
        assert back is not None
        said.append((name, back))
    return said


@pytest.mark.parametrize("second", BOTH, ids=str)
@pytest.mark.parametrize("first", PACKAGES, ids=str)
def test_two_packages_bounce_no_address(ledger: Ledger, first: Package, second: Package) -> None:
    town = Packages(ledger, {"first": consumed_of(first), "second": consumed_of(second), "third": reads()})

    told = town.turns("new_address", spellings(first, second))

    assert told == [("accepted", ["second", "third"]), *[("echo", [])] * 3]


STREETS = (
    {"house_number": "12 bis", "street": "avenue du Docteur Saint-Jean", "complement": "Bâtiment C"},
    {"street": "12BIS AV DU DR ST JEAN BAT C"}, {"street": "Bât. C 12 bis, av. du Dr St-Jean"},
    {"house_number": "12B", "street": "AV DU DR ST JEAN"},
)  # fmt: skip
IN_TOWN = {"postal_code": "93001", "city": "Saint-Aubin"}


def test_lines_and_parts_of_an_address_are_silent_and_another_number_is_news(ledger: Ledger) -> None:
    town = Packages(ledger, {"un": reads(), "deux": reads(), "trois": reads()})
    said = [(by, {**street, **IN_TOWN}) for by, street in zip(("un", "deux", "trois", "un"), STREETS, strict=True)]

    told = town.turns("new_address", said)

    assert told == [("accepted", ["deux", "trois"]), ("echo", []), ("echo", []), ("accepted", ["deux", "trois"])]


@pytest.mark.parametrize("street", [{"house_number": "5", "street": "Hauptstrasse"}, {"street": "5 Hauptstraße"}])
def test_the_same_street_in_another_country_is_news(ledger: Ledger, street: dict[str, str]) -> None:
    town = Packages(ledger, {"un": reads(), "deux": reads()})
    place = {"postal_code": "77694", "city": "Kehl"}
    said = [("un", {**street, **place, "country": "DE"}), ("deux", {**street, **place, "country": "FR"}),
            ("un", {**street, **place})]  # fmt: skip

    assert town.turns("new_address", said) == [("accepted", ["deux"]), ("accepted", ["un"]), ("echo", [])]


@pytest.mark.parametrize(("insee", "spelt"), [
    ("93001", ["06 12 34 56 78", "+33 6 12 34 56 78", "0033612345678", "06.12.34.56.78"]),
    ("98818", ["78 12 34", "+687 78 12 34", "781234", "00687781234"]),
    ("97411", ["0692 11 22 33", "+262 692 11 22 33", "+262 (0)692112233", "0692112233"]),
])  # fmt: skip
def test_two_packages_bounce_no_number(ledger: Ledger, insee: str, spelt: Sequence[str]) -> None:
    town = Packages(ledger, {"un": reads(), "deux": reads(), "trois": reads()}, insee=insee)

    told = town.turns("phone", [*zip(("un", "deux", "un", "deux"), spelt, strict=True)])

    assert told == [("accepted", ["deux", "trois"]), *[("echo", [])] * 3]


def test_six_digits_are_another_number_elsewhere(ledger: Ledger) -> None:
    town = Packages(ledger, {"un": reads(), "deux": reads()})

    told = town.turns("phone", [("un", "78 12 34"), ("deux", "+687 78 12 34")])

    assert told == [("accepted", ["deux"]), ("accepted", ["un"])]


def test_two_packages_bounce_no_mailbox(ledger: Ledger) -> None:
    town = Packages(ledger, {"un": reads(), "deux": reads()})
    spelt = ["Solene.Q@Élan.example", "solene.q@xn--lan-9la.example", "SOLENE.Q@ÉLAN.EXAMPLE", "soleneq@élan.example"]

    told = town.turns("email", [*zip(("un", "deux", "un", "deux"), spelt, strict=True)])

    assert told == [("accepted", ["deux"]), ("echo", []), ("echo", []), ("accepted", ["un"])]


TOWN_ALONE = ("/citizen", "/new_address/value/postal_code", "/new_address/value/city")


@pytest.mark.parametrize("back", [
    {"postal_code": "93001", "city": "SAINT AUBIN CEDEX"},
    {"postal_code": "93001", "city": "St-Aubin", "country": "FR"},
])  # fmt: skip
def test_who_sees_the_town_alone_and_says_it_back_takes_no_street_away(ledger: Ledger, back: dict[str, str]) -> None:
    town = Packages(ledger, {"un": reads(), "ville": reads(*TOWN_ALONE), "trois": reads()})
    said = [("un", {**STREETS[0], **IN_TOWN}), ("ville", back), ("un", {**STREETS[1], **IN_TOWN}), ("ville", back)]

    told = town.turns("new_address", said)

    assert told == [("accepted", ["trois", "ville"]), *[("echo", [])] * 3]


@pytest.mark.parametrize("part", ["house_number", "street", "complement"])
def test_who_sees_one_part_of_a_street_is_told_each_move(ledger: Ledger, part: str) -> None:
    """The number that another package tells within the street is the number still."""
    town = Packages(ledger, {"un": reads(), "part": reads("/citizen", f"/new_address/value/{part}")})
    lines = ("12 rue des Tilleuls", "12 R DES TILLEULS", "14 rue des Tilleuls", "14 rue des Tilleuls, bât. B")

    told = town.turns("new_address", [("un", {"street": line, **IN_TOWN}) for line in lines])

    assert told == [("accepted", ["part"]), ("echo", []), ("accepted", ["part"]), ("accepted", ["part"])]
