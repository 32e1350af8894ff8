"""The people a hub knows: who is linked by itself, who is asked about, what is undone, and what clients call them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import event as hooks
from sqlalchemy import func, select, text

from bus.ledger import Ledger
from hub.acceptance.accept import Verdict
from hub.acceptance.deliveries import Deliveries
from hub.citizens.identities import People, citizen_of, reference_of
from hub.citizens.lookup import Found, find_citizen
from hub.clients.origin import Origin
from hub.documents.files import DocumentStore
from hub.documents.repository import DocumentBook
from hub.exchanges.corrections import Corrections
from hub.exchanges.stored_evidence import HeldEvidence
from hub.journal.entries import Journal, Justification
from hub.operations.link_import import import_links
from hub.operations.retention import Keeper
from hub.operations.reviews import Reviews
from hub.routing.directory import ConnectionRouting, Directory
from hub.settings import procedures
from hub.settings.model import Retention, Tenant
from hub.settings.reading import settings_faults
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import (
    citizen_blocks,
    citizen_identities,
    citizen_links,
    citizen_merges,
    citizen_reviews,
    citizens,
    journal,
    requests,
)
from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.manifest import Consumed
from schemas.registry import Registry
from tests.support.acceptance import acceptance_of
from tests.support.words import alone

TOWN = "saint-aubin"
BY = Justification("odile", "le guichet a vu les deux pièces d'identité")
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.database)]
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

    def __init__(self, ledger: Ledger, *, sectors: bool = False, link: tuple[tuple[str, ...], ...] = ()) -> None:
        self.ledger, self._events = ledger, 0
        fields = ("/citizen", "/new_address", "/email", "/phone", "/other")
        consumed = {kind: Consumed(kind, 1, fields, "linked") for kind in TYPES}
        members = [
            ConnectionRouting(
                f"{TOWN}.{name}",
                TOWN,
                name,
                name,
                consumed,
                sector=SECTORS.get(name, "general") if sectors else "general",
            )
            for name in ("publik", "koha", "famille", *SECTORS)
        ]
        tenant = Tenant(TOWN, "Ville", "21930001100018", "93001", {}, {}, {"address": "publik"}, link)
        directory = Directory(members, procedures.load_procedures(), {TOWN: tenant})
        keys = PersonKeys(b"k" * 32)
        self.people = People(keys, b"pepper", b"r" * 32, grouping=directory.grouping)
        journal = Journal(keys)
        corrections = Corrections(Registry.load(), self.people, HeldEvidence(keys), journal)
        self.acceptance = acceptance_of(directory, people=self.people, corrections=corrections, pepper=b"pepper")
        self.reviews = Reviews(self.acceptance, self.people, journal, corrections)

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


@pytest.fixture(params=DATABASES)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "sqlite":
        made = Ledger(f"sqlite:///{tmp_path}/hub.db")
    else:
        made = Ledger(str(request.getfixturevalue("postgres").fresh_database()))
    made.create()
    yield made
    made.close()


@pytest.fixture
def town(ledger: Ledger) -> Town:
    return Town(ledger)


def value(content: Any, by: str, *, date: str = "2026-03-02", quality: str = "declared") -> dict[str, Any]:
    return {"value": content, "source": by, "date": date, "quality": quality}


def address(street: str, by: str, **more: str) -> dict[str, Any]:
    return value({"street": street, "postal_code": "93001", "city": "Saint-Aubin"}, by, **more)


def person(system: str | None = None, native: str = "", **changed: Any) -> dict[str, Any]:
    identity = {name: value for name, value in (BLANCHE | changed).items() if value is not None}
    return {"identity": identity} | ({"references": [{"system": system, "id": native}]} if system else {})


# --- matching --------------------------------------------------------------------------------------------------------


def test_who_is_surely_the_same_is_linked_and_hears_of_the_other_system(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))

    verdict = town.say("koha", person("koha", "K-1", family_name="LOEVEN BRUCK", given_names=["Blanche"]))

    assert town.who("koha", "K-1") == town.who("publik", "P-1")
    assert town.to(verdict.seq) == ["publik"]
    assert town.asked() == []


def test_another_spelling_is_known_the_next_time_without_being_compared(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person(family_name="LOEVEN BRUCK", given_names=["Blanche"]))
    compared: list[str] = []
    hooks.listen(town.ledger.engine, "before_cursor_execute", lambda *args: compared.append(args[2]))

    verdict = town.say("koha", person(family_name="LOEVEN BRUCK", given_names=["Blanche"]))

    assert town.to(verdict.seq) == ["publik"]
    assert not [statement for statement in compared if "citizen_blocks" in statement]


@pytest.mark.parametrize("named", ["by link", "by pivot"])
def test_who_is_known_costs_no_statement_more_than_without_matching(ledger: Ledger, named: str) -> None:
    known = person("publik", "P-1") if named == "by link" else person()
    with_people = Town(ledger)
    with_people.say("publik", person("publik", "P-1"))
    statements: list[str] = []
    hooks.listen(ledger.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    with_people.say("publik", known)
    matching, statements[:] = len(statements), []
    with_people.acceptance.people = None
    with_people.say("publik", known)

    assert matching == len(statements)


def test_who_may_be_the_same_is_a_question_that_holds_no_name(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))

    town.say("koha", person("koha", "K-1", birthdate="1991-11-24"))

    (review,) = town.asked()
    assert town.who("koha", "K-1") != town.who("publik", "P-1")
    assert (review.kind, review.facts["score"], review.origin) == ("person", 87, f"{TOWN}.koha")
    assert {one["field"]: one["level"] for one in review.facts["fields"]}["birthdate"] == "close"
    assert not alone("1991-11-24", str(review))
    assert "BRUCK" not in str(review).upper()


def test_twins_are_two_people_and_no_question(town: Town) -> None:
    town.say("publik", person("publik", "P-1", given_names=["Léa"]))
    town.say("publik", person("publik", "P-2", given_names=["Maud"]))

    assert town.who("publik", "P-1") != town.who("publik", "P-2")
    assert town.asked() == []


def test_two_files_of_one_system_are_a_question_however_alike(town: Town) -> None:
    town.say("koha", person("koha", "K-1"))
    town.say("koha", person("koha", "K-2", family_name="LOEVENBRUK"))

    assert town.who("koha", "K-1") != town.who("koha", "K-2")
    assert [review.facts["fields"][-1]["field"] for review in town.asked()] == ["identifier"]


def test_two_who_come_in_one_batch_are_compared_with_each_other(town: Town) -> None:
    events = [
        Event(type="citizen.contact-changed", source=f"/{TOWN}/koha", id=f"b{place}",
              data={"citizen": one, "email": value(f"{place}@courriel.example", "koha")})
        for place, one in enumerate([person(), person(family_name="Loeven Bruck", given_names=["Blanche"])])
    ]  # fmt: skip

    verdicts = town.acceptance.submit(town.ledger, origin("koha"), events)

    assert all(verdict.ok for verdict in verdicts)
    with town.ledger.reading() as tx:
        assert tx.sql.execute(select(func.count()).where(citizens.c.merged_into.is_(None))).scalar_one() == 1


def test_a_crowd_that_shares_everything_but_a_name_is_not_compared_without_end(town: Town) -> None:
    for number in range(45):
        name = "Nom" + chr(97 + number % 26) + chr(97 + number // 26)
        town.say("koha", person("koha", f"K-{number}", family_name=name))

    with town.ledger.reading() as tx:
        assert len({row.citizen_id for row in tx.sql.execute(select(citizen_links))}) == 45
        assert tx.sql.execute(select(func.count()).select_from(citizen_reviews)).scalar_one() < 45 * 3


def test_the_tables_tell_nobody_who_is_in_them(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person("koha", "K-1", birthdate="1991-11-24"))

    with town.ledger.reading() as tx:
        kept = [
            tx.sql.execute(select(table)).all()
            for table in (citizens, citizen_identities, citizen_blocks, citizen_reviews)
        ]
    written = str(kept).upper()
    assert not any(part in written for part in ("BRUCK", "BLANCHE"))
    assert not any(alone(number, written) for number in ("1991", "1991-11-24", "93066"))


# --- reviews ---------------------------------------------------------------------------------------------------------


def two(town: Town) -> str:
    """Two people about whom the hub asks; the question's id."""
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person("koha", "K-1", birthdate="1991-11-24"))
    return str(town.asked()[0].id)


def test_names_are_shown_for_a_reason_that_goes_to_the_journal(town: Town) -> None:
    review = two(town)

    shown = town.do(town.reviews.read_review, review, BY)

    assert {one["identity"]["family_name"] for one in shown["people"]} == {"Lœvenbruck"}
    with town.ledger.reading() as tx:
        line = tx.sql.execute(select(journal)).one()
    assert (line.kind, line.act, line.actor) == ("read", "review.read", "odile")
    assert "guichet" not in str(line)


@pytest.mark.parametrize("reason", ["", "  "])
def test_nobody_looks_without_a_reason(reason: str) -> None:
    with pytest.raises(InvalidMessage, match="reason"):
        Justification("odile", reason)


def test_two_people_who_are_not_the_same_are_never_asked_about_again(town: Town) -> None:
    review = two(town)

    town.do(town.reviews.declare_distinct, review, BY)
    town.say("koha", person("koha", "K-1", birthdate="1991-11-24"))

    assert town.asked() == []
    with pytest.raises(InvalidMessage, match="two people"):
        town.do(town.reviews.merge, TOWN, town.who("publik", "P-1"), town.who("koha", "K-1"), BY)


def test_a_merge_moves_all_and_tells_the_systems_of_either(town: Town) -> None:
    review = two(town)

    kept = town.do(town.reviews.merge_reviewed, review, BY)

    assert town.who("koha", "K-1") == town.who("publik", "P-1") == kept
    ((seq, data),) = town.last("citizen.merged")
    assert town.to(seq) == ["koha", "publik"]
    assert len(data["citizen"]["references"]) == 2
    assert town.to(town.say("koha", person(birthdate="1991-11-24")).seq) == ["publik"]


def test_a_merge_that_is_taken_back_leaves_two_people_as_they_were(town: Town) -> None:
    review = two(town)
    before = [town.who("publik", "P-1"), town.who("koha", "K-1")]
    kept = town.do(town.reviews.merge_reviewed, review, BY)
    (gone,) = set(before) - {kept}

    town.do(town.reviews.unmerge, gone, BY)

    assert [town.who("publik", "P-1"), town.who("koha", "K-1")] == before
    assert sorted(town.to(seq) for seq, _ in town.last("citizen.unmerged")) == [["koha"], ["publik"]]
    assert town.asked() == []
    assert town.to(town.say("koha", person(birthdate="1991-11-24")).seq) == []


def test_merges_upon_merges_come_back_one_by_one(town: Town) -> None:
    names = ["A-1", "B-1", "C-1"]
    for number, name in enumerate(names):
        town.say("koha", person("koha", name, birthdate=f"1991-0{number + 1}-14"))
    a, b, c = (town.who("koha", name) for name in names)

    town.do(town.reviews.merge, TOWN, a, b, BY)
    town.do(town.reviews.merge, TOWN, c, a, BY)
    assert {town.who("koha", name) for name in names} == {c}
    town.do(town.reviews.unmerge, b, BY)
    assert [town.who("koha", name) for name in names] == [c, b, c]
    town.do(town.reviews.unmerge, a, BY)

    assert [town.who("koha", name) for name in names] == [a, b, c]
    with town.ledger.reading() as tx:
        assert [town.people.members(tx, one) for one in (a, b, c)] == [[a], [b], [c]]


def test_a_question_that_others_have_answered_is_closed(town: Town) -> None:
    review = two(town)
    town.say("famille", person("famille", "F-1", birthdate="1991-12-23"))
    first, second, third = town.who("publik", "P-1"), town.who("koha", "K-1"), town.who("famille", "F-1")

    town.do(town.reviews.merge, TOWN, third, first, BY)
    town.do(town.reviews.merge, TOWN, third, second, BY)
    town.do(town.reviews.merge_reviewed, review, BY)

    assert review not in {one.id for one in town.asked()}


def test_who_was_erased_holds_up_nobody(town: Town) -> None:
    settled(town)
    town.do(town.people.keys.destroy, town.who("koha", "K-1"))

    said = address("rue Vieille", "koha", date="2025-01-01")
    verdict = town.say("koha", person("koha", "K-1"), new_address=said)

    assert verdict.ok


def test_the_hub_takes_back_what_it_linked_by_itself(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person("koha", "K-1", family_name="LOEVEN BRUCK", given_names=["Blanche"]))
    with town.ledger.reading() as tx:
        (merge,) = town.reviews.merges(tx, tenant=TOWN)
    assert (merge.actor, merge.score) == ("hub", 96)

    town.do(town.reviews.unmerge, merge.id, BY)

    assert town.who("koha", "K-1") != town.who("publik", "P-1")
    assert town.to(town.say("koha", person("koha", "K-1")).seq) == []


def test_requests_follow_a_merge_and_come_back(town: Town) -> None:
    record = {
        "references": [{"system": "koha", "id": "D-1"}], "procedure": "acte-naissance",
        "submitted_at": "2026-11-02T09:00:00Z", "intake": "online",
        "requester": {"citizen": person("koha", "K-1", birthdate="1991-11-24")},
    }  # fmt: skip
    event = Event(type="request.received", source=f"/{TOWN}/koha", id="r1", data={"request": record})
    town.acceptance.submit(town.ledger, origin("koha"), [event])
    gone = town.who("koha", "K-1")
    town.say("publik", person("publik", "P-1"))
    kept = town.who("publik", "P-1")

    def whose() -> str:
        with town.ledger.reading() as tx:
            return str(tx.sql.execute(select(requests.c.citizen_id)).scalar_one())

    town.do(town.reviews.merge, TOWN, kept, gone, BY)
    assert whose() == kept
    town.do(town.reviews.unmerge, gone, BY)
    assert whose() == gone


def test_a_mark_of_one_holds_for_both_and_stays_when_they_part(town: Town) -> None:
    town.say("publik", person("publik", "P-1") | {"confidential": True})
    town.say("koha", person("koha", "K-1", birthdate="1991-11-24"))
    kept, gone = town.who("publik", "P-1"), town.who("koha", "K-1")

    town.do(town.reviews.merge, TOWN, kept, gone, BY)
    assert town.to(town.say("koha", person("koha", "K-1")).seq) == []
    town.do(town.reviews.unmerge, gone, BY)

    with town.ledger.reading() as tx:
        assert town.people.is_confidential(tx, kept)
        assert town.people.is_confidential(tx, gone)


def test_what_was_delivered_is_an_echo_after_a_merge_too(town: Town) -> None:
    town.say("publik", person("publik", "P-1"), "neuf@courriel.example")
    town.say("koha", person("koha", "K-1", birthdate="1991-11-24"), "vieux@courriel.example")
    kept, gone = town.who("publik", "P-1"), town.who("koha", "K-1")

    town.do(town.reviews.merge, TOWN, kept, gone, BY)

    assert town.say("koha", person("koha", "K-1"), "neuf@courriel.example").outcome == "echo"
    assert town.say("koha", person("koha", "K-1"), "autre@courriel.example").outcome == "accepted"


def test_an_event_in_flight_finds_its_recipient_after_a_merge(town: Town) -> None:
    from hub.citizens.repository import identifiers_of

    town.do(town.reviews.merge_reviewed, two(town), BY)

    with town.ledger.reading() as tx:
        gone = tx.sql.execute(select(citizens.c.id).where(citizens.c.merged_into.is_not(None))).scalar_one()
        assert identifiers_of(tx, [gone]) == {
            (TOWN, "koha", gone): "K-1", (TOWN, "publik", gone): "P-1",
        }  # fmt: skip


def test_who_is_forgotten_leaves_nothing_behind(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person("koha", "K-1", family_name="LOEVEN BRUCK", given_names=["Blanche"]))
    town.say("koha", person("koha", "K-2", birthdate="1991-11-24"))
    with town.ledger.transaction() as tx:
        tx.sql.execute(text("UPDATE deliveries SET state = 'delivered'"))
    later = town.ledger.now() + 400 * 86_400
    town.ledger.now = lambda: later

    store = DocumentStore("memory://people", None, DocumentBook(town.ledger))
    keeper = Keeper(town.ledger, store, Retention(events_days=30, links_days=90))
    keeper.forget_expired()
    keeper.forget_expired()

    with town.ledger.reading() as tx:
        for table in (citizens, citizen_links, citizen_identities, citizen_blocks, citizen_reviews, citizen_merges):
            assert tx.sql.execute(select(func.count()).select_from(table)).scalar_one() == 0, table.name


# --- sectors ---------------------------------------------------------------------------------------------------------


def test_systems_of_two_sectors_do_not_know_a_person_as_the_same(ledger: Ledger) -> None:
    town = Town(ledger, sectors=True)

    town.say("ccas", person("ccas", "S-1"))
    verdict = town.say("cantine", person("cantine", "C-1"))

    assert town.who("ccas", "S-1") != town.who("cantine", "C-1")
    assert town.to(verdict.seq) == []
    assert town.asked() == []


def test_sectors_that_the_tenant_links_do(ledger: Ledger) -> None:
    town = Town(ledger, sectors=True, link=(("social", "school"),))

    town.say("ccas", person("ccas", "S-1"))
    town.say("cantine", person("cantine", "C-1"))
    town.say("listes", person("listes", "L-1"))

    assert town.who("ccas", "S-1") == town.who("cantine", "C-1") != town.who("listes", "L-1")


def test_nobody_links_two_sectors_by_naming_both(ledger: Ledger) -> None:
    town = Town(ledger, sectors=True)
    both = {"references": [{"system": "ccas", "id": "S-1"}, {"system": "listes", "id": "L-1"}]}

    verdict = town.say("publik", both)

    assert verdict.error is not None
    assert (verdict.error.code, verdict.error.pointer) == ("sectors_not_linked", "/data/citizen/references")


def test_what_a_package_answers_links_no_two_sectors(ledger: Ledger) -> None:
    town = Town(ledger, sectors=True, link=(("social", "school"),))
    town.say("ccas", person("ccas", "S-1"))
    desk, members = Deliveries(town.acceptance), town.acceptance.directory.connections

    with ledger.reading() as tx:
        who = town.who("ccas", "S-1")
        assert desk._may_link(tx, members[f"{TOWN}.cantine"], who)
        assert not desk._may_link(tx, members[f"{TOWN}.listes"], who)


def test_no_operator_merges_over_sectors(ledger: Ledger) -> None:
    town = Town(ledger, sectors=True)
    town.say("ccas", person("ccas", "S-1"))
    town.say("listes", person("listes", "L-1"))

    with pytest.raises(InvalidMessage, match="sectors"):
        town.do(town.reviews.merge, TOWN, town.who("ccas", "S-1"), town.who("listes", "L-1"), BY)


# --- values ----------------------------------------------------------------------------------------------------------


def settled(town: Town, quality: str = "declared") -> None:
    """The master has said an address, of 2 March 2026, and the library knows the same person."""
    town.say("koha", person("koha", "K-1"))
    town.say("publik", person("publik", "P-1"), new_address=address("rue des Tilleuls", "publik", quality=quality))


def test_what_stands_against_the_master_is_held_and_asked_about(town: Town) -> None:
    settled(town)

    verdict = town.say("koha", person("koha", "K-1"), new_address=address("rue Vieille", "koha", date="2025-01-01"))

    assert (verdict.outcome, verdict.review, town.to(verdict.seq)) == ("accepted", ("new_address",), [])
    (review,) = town.asked()
    assert (review.kind, review.field) == ("value", "new_address")
    assert "Vieille" not in str(review)
    assert "rue Vieille" in str(town.do(town.reviews.read_review, review.id, BY))


@pytest.mark.parametrize(
    ("quality", "date", "held"),
    [("declared", "2026-05-01", False), ("verified", "2025-01-01", False), ("declared", "2026-03-02", True)],
)
def test_better_or_newer_news_passes(town: Town, quality: str, date: str, held: bool) -> None:
    settled(town)

    said = address("rue Neuve", "koha", quality=quality, date=date)
    verdict = town.say("koha", person("koha", "K-1"), new_address=said)

    assert bool(verdict.review) is held
    assert town.to(verdict.seq) == ([] if held else ["publik"])


def test_nothing_declared_is_better_than_what_a_master_has_authority_for(town: Town) -> None:
    settled(town, quality="authoritative")

    said = address("rue Neuve", "koha", quality="verified", date="2026-10-01")

    assert town.say("koha", person("koha", "K-1"), new_address=said).review == ("new_address",)


def test_the_master_is_never_held_and_an_echo_stays_silent(town: Town) -> None:
    settled(town)

    again = town.say("koha", person("koha", "K-1"), new_address=address("Rue des TILLEULS", "koha"))
    older = town.say("publik", person("publik", "P-1"), new_address=address("rue Vieille", "publik", date="2024-01-01"))

    assert (again.outcome, again.review) == ("echo", ())
    assert town.to(older.seq) == ["koha"]


def test_a_held_value_that_is_taken_goes_to_all(town: Town) -> None:
    settled(town)
    said = address("rue Vieille", "koha", date="2025-01-01")
    town.say("koha", person("koha", "K-1"), new_address=said)

    town.do(town.reviews.accept_value, town.asked()[0].id, BY)

    seq, data = town.last("citizen.address-changed")[-1]
    assert data["new_address"] == said
    assert "publik" in town.to(seq)
    assert town.asked() == []


def test_a_held_value_that_is_not_taken_is_not_asked_about_again(town: Town) -> None:
    settled(town)
    said = address("rue Vieille", "koha", date="2025-01-01")
    town.say("koha", person("koha", "K-1"), new_address=said)

    town.do(town.reviews.keep_master, town.asked()[0].id, BY)
    town.say("koha", person("koha", "K-1"), new_address=said)

    assert town.asked() == []


# --- the door --------------------------------------------------------------------------------------------------------


def test_a_nir_is_refused_at_the_door(town: Town) -> None:
    verdict = town.say("koha", {"references": [{"system": "koha", "id": "1850578006084"}]})

    assert verdict.error is not None
    assert (verdict.error.code, verdict.error.pointer) == ("nir_not_allowed", "/data/citizen/references/0/id")
    with town.ledger.reading() as tx:
        assert tx.sql.execute(select(func.count()).select_from(citizen_links)).scalar_one() == 0


# --- finding, and references -----------------------------------------------------------------------------------------


def test_finding_somebody_changes_nothing(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))

    assert town.find(BLANCHE) == Found(town.who("publik", "P-1"), "matched")
    assert town.find(BLANCHE | {"family_name": "LOEVENBRUK"}).verdict == "matched"
    assert town.find(BLANCHE | {"birthdate": "1991-11-24"}) == Found(None, "ambiguous")
    assert town.find(BLANCHE | {"given_names": ["Maud"]}) == Found(None, "new")
    assert town.find(references=[{"system": "publik", "id": "P-1"}]).verdict == "matched"
    assert town.find(references=[{"system": "publik", "id": "P-2"}]).verdict == "new"
    with town.ledger.reading() as tx:
        assert tx.sql.execute(select(func.count()).select_from(citizens)).scalar_one() == 1


def test_a_reference_beside_the_identity_of_somebody_else_is_ambiguous(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    reference = town.people.reference_of("portail", town.who("publik", "P-1"))
    other = BLANCHE | {"given_names": ["Maud"], "birthdate": "1964-02-11"}

    assert town.find(BLANCHE, reference=reference).verdict == "matched"
    assert town.find(other, reference=reference) == Found(None, "ambiguous")
    assert town.find(other, references=[{"system": "publik", "id": "P-1"}]) == Found(None, "ambiguous")
    assert town.find(reference="x" * 43) == Found(None, "new")
    assert town.find(reference=reference, client_id="another") == Found(None, "new")


def test_references_follow_a_merge_and_what_is_known_with_them(town: Town) -> None:
    review = two(town)
    references = [town.people.reference_of("portail", town.who(*link)) for link in (("publik", "P-1"), ("koha", "K-1"))]

    kept = town.do(town.reviews.merge_reviewed, review, BY)

    assert {town.find(reference=reference).citizen_id for reference in references} == {kept}
    with town.ledger.reading() as tx:
        for reference in references:
            citizen_id = town.people.citizen_of("portail", reference) or ""
            assert town.people.native_ids(tx, TOWN, citizen_id) == {"koha": "K-1", "publik": "P-1"}
            assert len(town.people.members(tx, citizen_id)) == 2
            assert town.people.tenant_of(tx, citizen_id) == TOWN
        assert (town.people.identity_of(tx, kept) or {})["family_name"] == "Lœvenbruck"


def test_two_clients_cannot_join_on_their_references() -> None:
    key, citizen = secrets.token_bytes(32), "550e8400-e29b-41d4-a716-446655440000"

    mine, theirs = reference_of(key, "portail", citizen), reference_of(key, "ecole", citizen)

    assert mine == reference_of(key, "portail", citizen) != theirs
    assert citizen_of(key, "portail", mine) == citizen
    assert citizen_of(key, "ecole", mine) is None
    assert citizen_of(secrets.token_bytes(32), "portail", mine) is None
    assert citizen_of(key, "portail", mine[:-2] + "é") is None


def test_who_was_erased_is_compared_with_nobody(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    who = town.who("publik", "P-1")

    town.do(town.people.keys.destroy, who)
    town.say("koha", person("koha", "K-1", family_name="LOEVENBRUK"))

    assert town.who("koha", "K-1") != who
    with town.ledger.reading() as tx:
        assert town.people.identity_of(tx, who) is None


def test_a_review_says_what_it_costs_in_whole_numbers(town: Town) -> None:
    two(town)

    (review,) = town.asked()
    assert review.facts["score"] == 100 - sum(one["cost"] for one in review.facts["fields"])
    assert orjson.dumps(review.facts)


# --- commands --------------------------------------------------------------------------------------------------------


def test_an_operator_decides_from_the_command_line(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from commands.main import app
    from hub.wiring import open_hub

    settings = (
        'mode = "development"\n[tenants.saint-aubin]\nlabel = "Ville"\nsiret = "21930001100018"\ninsee = "93001"\n'
    )
    config = tmp_path / "hub.toml"
    config.write_text(settings, encoding="utf-8")
    hub = open_hub(config, {})
    hub.prepare()
    book = "family_name;given_names;gender;birthdate;birthplace;system;id;confidential\n"
    for line in (
        "Sorbier;Blanche Marie;female;1991-11-23;93001;koha;K-1;",
        "Sorbier;Blanche Marie;female;1991-11-24;93001;publik;P-1;",
    ):
        import_links(hub.ledger, hub.acceptance, TOWN, book + line + "\n")
    hub.close()

    def run(*words: str, fails: bool = False) -> str:
        done = CliRunner().invoke(app, ["citizen", *words, "--config", str(config)])
        assert bool(done.exit_code) is fails, done.output
        return done.output

    (review,) = orjson.loads(run("reviews", "--json"))
    assert (review["kind"], review["why"]) == ("person", "birthdate: close (-13)")
    run("reviews", review["review"], fails=True)
    assert "Sorbier" in run("reviews", review["review"], "--reason", "appel")
    run("merge", review["review"], "--reason", "vu au guichet", "--by", "odile")
    (merge,) = orjson.loads(run("reviews", "--merges", "--json"))
    assert merge["by"] == "odile"
    run("unmerge", merge["merge"], "--reason", "deux soeurs")
    run("merge", "koha:K-1", "publik:P-1", "--tenant", TOWN, "--reason", "erreur", fails=True)
    assert orjson.loads(run("reviews", "--json")) == []


def test_settings_that_link_a_sector_twice_or_name_no_movements_are_faults(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    (tmp_path / "communes.csv").write_text("a,b\n", encoding="utf-8")
    config.write_text(
        'mode = "development"\ncommunes_file = "communes.csv"\n'
        '[tenants.saint-aubin]\nlabel = "Ville"\nsiret = "21930001100018"\ninsee = "93001"\n'
        'link_sectors = [["social", "school"], ["school", "sport"]]\nmasters = { street = "publik" }\n',
        encoding="utf-8",
    )

    found = {fault.key: fault.message for fault in settings_faults(config, {}, {})}

    assert found["tenants.saint-aubin.link_sectors[1]"] == '"school" is in another group already'
    assert "DATE_EFF" in found["communes_file"]
    assert any(key.startswith("tenants.saint-aubin.masters") for key in found)


def test_a_sector_by_itself_is_not_the_general_one() -> None:
    tenant = Tenant(TOWN, "Ville", "21930001100018", "93001", link_sectors=(("social", "school"),))

    assert [tenant.linked_with(sector) for sector in ("general", "social", "school", "elections")] == [
        "", "school+social", "school+social", "elections",
    ]  # fmt: skip
