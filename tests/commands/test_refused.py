"""`unefois refused …`: from the list to an event that is accepted after all, or given up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bus.tables import events
from hub.acceptance.refused import keep_refused
from hub.operations.retention import Keeper
from hub.settings.model import Retention
from hub.storage.tables import journal, refused_events
from schemas.errors import InvalidMessage
from tests.commands.test_operate import NAME, typed
from tests.support.town import TENANT, Town, moved


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """The family package told of a move when nobody in the hub knew the request; now it can be accepted."""
    town = Town(tmp_path, {"famille": {}})
    event = replace(moved("u1", 5, link=("famille", "F-1")), source=f"/{TENANT}/famille")
    refused = InvalidMessage("no such request", pointer="/data/request", code="unknown_request")
    with town.hub.ledger.transaction() as tx:
        keep_refused(tx, NAME, TENANT, [(event, refused)])
    yield town
    town.close()


def shown(town: Town, *words: str) -> list[dict[str, object]]:
    code, text = typed(town, "refused", *words, "--json")
    assert code == 0
    return list(json.loads(text))


def count(town: Town, table: object) -> int:
    with town.hub.ledger.reading() as tx:
        return int(tx.sql.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]


def test_the_list_says_by_cause_what_waits_and_nothing_of_its_contents(town: Town) -> None:
    (group,) = shown(town, "list")
    (one,) = shown(town, "list", NAME, "unknown_request")

    assert (group["connection"], group["code"], group["number"]) == (NAME, "unknown_request", 1)
    assert shown(town, "show", str(one["id"])) == [one]
    assert "Lilas" not in typed(town, "refused", "list", NAME, "unknown_request")[1]
    assert shown(town, "list", "--tenant", "val-fleuri") == []
    assert typed(town, "refused", "list", NAME)[0] == 2


def test_what_is_handed_in_again_and_accepted_is_gone_from_the_list(town: Town) -> None:
    (one,) = shown(town, "list", NAME, "unknown_request")

    assert typed(town, "refused", "submit", str(one["id"])) == (0, "Accepted.\n")

    assert (count(town, refused_events), count(town, events)) == (0, 1)
    assert typed(town, "refused", "submit", str(one["id"]))[0] == 2


def test_all_of_a_connection_and_a_cause_are_handed_in_as_they_came_and_what_is_refused_again_stays(
    town: Town,
) -> None:
    refused = InvalidMessage("no such request", code="unknown_request")
    with town.hub.ledger.transaction() as tx:
        for number in range(1, 130):
            event = replace(moved("u1", number, link=("famille", "F-1")), source=f"/{TENANT}/famille", id=f"m-{number}")
            if number == 7:
                event = replace(event, type="no.such-type")
            keep_refused(tx, NAME, TENANT, [(event, refused)])
    assert len(shown(town, "list", NAME, "unknown_request")) == 20

    code, text = typed(town, "refused", "submit", NAME, "unknown_request")

    assert (code, text) == (0, "129 accepted, 1 refused again.\n")
    assert [group["code"] for group in shown(town, "list")] == ["type_not_allowed"]
    assert typed(town, "refused", "submit", NAME, "type_not_allowed")[0] == 2


def test_what_is_dropped_is_in_the_journal(town: Town) -> None:
    (one,) = shown(town, "list", NAME, "unknown_request")

    assert typed(town, "refused", "drop", str(one["id"]), "doublon") == (0, "Dropped.\n")

    assert (count(town, refused_events), count(town, events)) == (0, 0)
    with town.hub.ledger.reading() as tx:
        assert "refused.dropped" in set(tx.sql.execute(select(journal.c.act)).scalars())


def test_it_is_forgotten_after_its_days(town: Town) -> None:
    ledger = town.hub.ledger
    now = ledger.now()
    keeper = Keeper(ledger, town.hub.documents, Retention(refused_days=30))
    ledger.now = lambda: now + 29 * 86_400  # type: ignore[method-assign]
    keeper.forget_expired()
    assert count(town, refused_events) == 1

    ledger.now = lambda: now + 31 * 86_400  # type: ignore[method-assign]
    keeper.forget_expired()

    assert count(town, refused_events) == 0
