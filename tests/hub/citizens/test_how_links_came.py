"""Each link says since when it holds, how it came about and who spoke."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from bus.ledger import Ledger
from hub.storage.tables import citizen_links
from schemas.event import Event
from tests.hub.citizens.town import TOWN, Town, origin, person, value


@pytest.fixture
def town(ledger: Ledger) -> Town:
    return Town(ledger)


def came(town: Town, system: str) -> tuple[str, str, int | None]:
    with town.ledger.reading() as tx:
        row = tx.sql.execute(select(citizen_links).where(citizen_links.c.system == system)).one()
    assert row.since > 0
    return row.how, row.origin, row.score


def test_who_comes_new_was_told_and_the_very_same_identity_is_said_to_be_that(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person("koha", "K-1"))

    assert came(town, "publik") == ("told", f"{TOWN}.publik", None)
    assert came(town, "koha") == ("identity", f"{TOWN}.koha", None)


def test_a_likeness_keeps_its_score(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person("koha", "K-1", given_names=["Blanche"]))

    how, by, score = came(town, "koha")
    assert (how, by) == ("likeness", f"{TOWN}.koha")
    assert score is not None
    assert score >= 90


def test_what_is_named_beside_a_known_identifier_was_told(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    named = {"references": [{"system": "publik", "id": "P-1"}, {"system": "koha", "id": "K-1"}]}
    data = {"citizen": named, "email": value("a@courriel.example", "publik")}
    event = Event(type="citizen.contact-changed", source=f"/{TOWN}/publik", id="both", data=data)
    speaks = replace(origin("publik"), others=frozenset({"koha"}))
    town.acceptance.submit(town.ledger, speaks, [event])

    assert town.who("koha", "K-1") == town.who("publik", "P-1")
    assert came(town, "koha") == ("told", f"{TOWN}.publik", None)
