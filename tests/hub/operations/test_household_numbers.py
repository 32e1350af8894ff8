"""A system is declared to number households while its links are there, and no more later."""

from __future__ import annotations

from pathlib import Path
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
from tests.support.town import TENANT, moved
from tests.support.town import Town as WholeTown


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
    town.take()
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


def whole_town(folder: Path, connections: dict[str, Any], **identifiers: str) -> WholeTown:
    town = {"label": "Ville de Saint-Aubin", "siret": "21930001100018", "insee": "93001", "identifiers": identifiers}
    return WholeTown(folder, connections, tenants={TENANT: town})


def test_a_hub_starts_with_what_its_connectors_and_its_town_declare(tmp_path: Path) -> None:
    parascol = {"parascol": {"connector": "parascol", "settings": {"folder": str(tmp_path)}}}
    town = whole_town(tmp_path, parascol, parascol="own", caf="own")
    town.link(("Maillard", "parascol", "1204"), ("Orsoni", "caf", "7654321"), ("Vasseur", "koha", "11"))
    town.close()

    town = whole_town(tmp_path, parascol, caf="household")
    try:
        assert rows(town.hub.ledger, citizen_links) == {"koha:11"}
        assert rows(town.hub.ledger, household_links) == {"parascol:1204", "caf:7654321"}
    finally:
        town.close()


def test_the_family_package_is_told_of_both_under_their_number(tmp_path: Path) -> None:
    town = whole_town(tmp_path, {"famille": {}}, famille="household")
    for number, identity in ((1, HER), (2, HIM)):
        event = moved("", number, event_id=f"e{number}")
        own = {"system": "portail", "id": f"u{number}"}
        verdicts = town.submit(event.with_data({**event.data, "citizen": of(identity, own, FOYER)}))
        assert verdicts[0].ok
    town.start()
    try:
        town.until(lambda: len(town.dropped("famille")) == 2)
        told = {(row["Famille_Identifiant"], row["Responsable_1_Nom"]) for row in town.dropped("famille")}
        assert told == {("foyer-77", "Maillard"), ("foyer-77", "Orsoni")}
    finally:
        town.close()
