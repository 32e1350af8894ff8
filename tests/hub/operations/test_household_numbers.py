"""A system is declared to number households while its links are there, and no more later."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from sqlalchemy import select

from bus.ledger import Ledger
from hub.journal.entries import Journal
from hub.operations.household_numbers import settle_households
from hub.settings.model import Numbers
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import citizen_links, household_links, journal
from tests.hub.citizens.test_households import CARD, FOYER, HER, HIM, of
from tests.hub.citizens.town import TOWN, Town


def rows(ledger: Ledger, table: Any) -> set[str]:
    with ledger.reading() as tx:
        return {f"{one.system}:{one.native_id}" for one in tx.sql.execute(select(table))}


def declared(ledger: Ledger, numbers: Numbers | None) -> Town:
    """The town as it starts with this declaration."""
    town = Town(ledger, numbers={"famille": numbers} if numbers else {})
    settle_households(ledger, town.acceptance.directory, Journal(PersonKeys(b"k" * 32)))
    return town


@pytest.fixture
def before(ledger: Ledger) -> Town:
    town = declared(ledger, None)
    town.say("koha", of(HER, CARD))
    town.say("famille", of(HER, FOYER))
    town.say("famille", of(None, {"system": "famille", "id": "foyer-12"}))
    return town


def test_links_that_are_there_name_nobody_any_more(before: Town) -> None:
    ledger, mother = before.ledger, before.who("koha", "11")
    town = declared(ledger, "household")

    assert (rows(ledger, citizen_links), rows(ledger, household_links)) == (
        {"koha:11"}, {"famille:foyer-77", "famille:foyer-12"},
    )  # fmt: skip
    assert town.find(references=[FOYER]).verdict == "new"
    assert town.to(town.say("famille", of(HIM, FOYER)).seq) == []
    assert town.to(town.say("koha", of(HER, CARD)).seq) == ["famille"]
    assert town.find(HER).citizen_id == mother


def test_the_journal_says_how_many(before: Town) -> None:
    declared(before.ledger, "household")
    declared(before.ledger, "household")

    with before.ledger.reading() as tx:
        lines = [(row.act, orjson.loads(row.facts)) for row in tx.sql.execute(select(journal))]
    assert lines == [("links.household", {"system": "famille", "numbers": 2, "kept": 2})]


def test_taken_back_a_number_of_one_person_is_theirs_again_and_one_of_several_is_forgotten(before: Town) -> None:
    declared(before.ledger, "household").say("famille", of(HIM, FOYER))
    town = declared(before.ledger, "own")

    assert rows(town.ledger, citizen_links) == {"koha:11", "famille:foyer-12"}
    assert rows(town.ledger, household_links) == set()
    assert town.find(references=[{"system": "famille", "id": "foyer-12"}]).verdict == "matched"


def test_other_towns_and_packages_that_are_gone_keep_theirs(before: Town) -> None:
    with before.ledger.transaction() as tx:
        for tenant, system in (("ailleurs", "famille"), (TOWN, "gone")):
            row = {"tenant": tenant, "system": system, "native_id": "1", "citizen_id": "who", "since": 1.0}
            tx.sql.execute(household_links.insert().values(row))
            tx.sql.execute(citizen_links.insert().values({n: v for n, v in row.items() if n != "since"}))

    declared(before.ledger, "household")
    declared(before.ledger, "own")

    assert rows(before.ledger, household_links) == {"famille:1", "gone:1"}
    assert {"famille:1", "gone:1"} < rows(before.ledger, citizen_links)
