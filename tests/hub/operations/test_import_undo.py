"""An import of links is taken back as one: what it linked is unlinked, and what came by it goes along."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from bus.ledger import Ledger
from hub.journal.entries import Journal
from hub.operations import import_undo
from hub.operations.import_undo import undo_import
from hub.operations.link_import import LinkImport, Report
from hub.operations.links import Links
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import citizen_blocks, citizen_identities, citizen_links, citizen_merges, citizens
from schemas.errors import InvalidMessage
from tests.hub.citizens.town import BY, TOWN, Town, person
from tests.support.town import HEADER

YANN = "Kermarec;Yann;male;1979-06-14;93001;"
YAN: dict[str, Any] = {"family_name": "Kermarec", "given_names": ["Yan"], "gender": "male", "birthdate": "1979-06-14",
                       "birthplace": "93001", "birthcountry": None}  # fmt: skip
BLANCHE = "Lœvenbruck;Blanche Marie;female;1991-11-23;93066;"
ODETTE = "GARANCE;Odette;female;1984-03-09;93001;"
LINES = (ODETTE + "famille;F-1;", ODETTE + "koha;K-2;oui", BLANCHE + "koha;K-1;")


@pytest.fixture
def town(ledger: Ledger) -> Town:
    return Town(ledger)


def imported(town: Town, *lines: str) -> Report:
    content = HEADER + "".join(f"{line}\n" for line in lines)
    return [*LinkImport(town.ledger, town.acceptance, TOWN, content).write()][-1]


def undone(town: Town, import_id: str) -> dict[str, int]:
    links = Links(town.acceptance, town.people, Journal(PersonKeys(b"k" * 32)), town.reviews)
    return dict([*undo_import(town.ledger, links, TOWN, import_id, BY)][-1])


def links(town: Town) -> set[tuple[str, str]]:
    with town.ledger.reading() as tx:
        return {(row.system, row.native_id) for row in tx.sql.execute(select(citizen_links))}


def test_an_import_that_nobody_spoke_of_is_forgotten_and_may_come_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_undo, "AT_ONCE", 2)
    first = imported(town, *LINES)
    other = imported(town, "TREMBLAY;Ilyès;male;1977-02-14;93001;publik;P-1;")

    assert undone(town, first.import_id) == {"forgotten": 3, "parted": 0}
    assert links(town) == {("publik", "P-1")}
    with pytest.raises(InvalidMessage) as refusal:
        undone(town, first.import_id)
    assert refusal.value.code == "not_found"

    assert [one.verdict for one in imported(town, *LINES).lines] == ["matched"] * 3
    assert undone(town, other.import_id)["forgotten"] == 1


def test_a_link_by_which_something_was_heard_is_parted_with_it(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    report = imported(town, *LINES)
    assert town.who("koha", "K-1") == town.who("publik", "P-1")
    town.say("koha", {"references": [{"system": "koha", "id": "K-1"}]}, email="autre@courriel.example")

    done = undone(town, report.import_id)

    assert sum(done.values()) == 3
    assert ("koha", "K-1") not in links(town) or town.who("koha", "K-1") != town.who("publik", "P-1")
    assert ("publik", "P-1") in links(town)


def test_a_mark_that_an_import_brought_stays_when_it_is_taken_back(town: Town) -> None:
    report = imported(town, *LINES)
    marked = town.who("koha", "K-2")

    undone(town, report.import_id)

    with town.ledger.reading() as tx:
        assert town.people.is_confidential(tx, marked)


def test_of_an_import_only_what_still_comes_from_it_is_taken_back(town: Town) -> None:
    town.say("koha", person("koha", "K-1"))
    report = imported(town, *LINES)  # koha:K-1 was known before: the import did not link it

    undone(town, report.import_id)

    assert links(town) == {("koha", "K-1")}


def people(town: Town) -> list[int]:
    """How many rows there are of who somebody is."""
    tables = citizens, citizen_identities, citizen_blocks, citizen_merges
    with town.ledger.reading() as tx:
        return [int(tx.sql.execute(select(func.count()).select_from(table)).scalar_one()) for table in tables]


def test_who_was_taken_for_another_by_likeness_is_forgotten_with_the_import_and_found_so_again(town: Town) -> None:
    town.say("publik", person("publik", "P-1", **YAN))
    before = people(town)
    first = imported(town, YANN + "koha;K-1;")
    assert [(one.verdict, one.reason) for one in first.lines] == [("matched", "likeness")]
    assert people(town) != before

    assert undone(town, first.import_id) == {"forgotten": 1, "parted": 0}

    assert people(town) == before
    assert town.last("citizen.unmerged") == []
    again = imported(town, YANN + "koha;K-1;")
    assert [(one.verdict, one.reason) for one in again.lines] == [("matched", "likeness")]
    assert town.who("koha", "K-1") == town.who("publik", "P-1")


def test_a_form_stays_by_which_something_was_heard_or_another_import_found_its_person(town: Town) -> None:
    town.say("publik", person("publik", "P-1", **YAN))
    first = imported(town, YANN + "koha;K-1;")
    other = imported(town, YANN + "famille;F-1;")  # by the very identity: the form is theirs by now
    town.say("koha", {"references": [{"system": "koha", "id": "K-1"}]}, email="autre@courriel.example")
    kept = people(town)

    undone(town, first.import_id)

    assert people(town)[:2] == kept[:2]  # parted, with what was heard
    assert undone(town, other.import_id)["forgotten"] == 1
    assert links(town) == {("publik", "P-1")}


def test_what_was_merged_into_another_since_loses_such_a_form_too(town: Town) -> None:
    town.say("publik", person("publik", "P-1", **YAN))
    town.say("famille", person("famille", "F-9"))
    before = people(town)
    first = imported(town, YANN + "koha;K-1;")
    with town.ledger.transaction() as tx:
        town.reviews.merge(tx, TOWN, town.who("famille", "F-9"), town.who("publik", "P-1"), BY)

    undone(town, first.import_id)

    assert people(town)[:3] == before[:3]
    assert links(town) == {("publik", "P-1"), ("famille", "F-9")}
