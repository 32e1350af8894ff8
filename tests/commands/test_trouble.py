"""`unefois trouble …`: from the list to the command that mends, as it is typed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from bus.tables import deliveries
from hub.operations import trouble
from hub.storage.tables import citizen_reviews, journal
from schemas.delivery import RecordFault
from tests.commands.test_operate import NAME, typed
from tests.support.town import TENANT, Town, moved


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path, {"famille": {}})
    town.link(("SORBIER", "famille", "F-1"), ("SORBIER", "portail", "u1"))
    yield town
    town.close()


def shown(town: Town, *words: str) -> Any:
    code, text = typed(town, "trouble", *words, "--json")
    assert code == 0, text
    return json.loads(text)


def parked(town: Town) -> int:
    (verdict,) = town.submit(moved("u1", 5))
    with town.hub.ledger.transaction() as tx:
        tx.sql.execute(update(deliveries).values(state="parked", cause="issue inconnue après un arrêt"))
    assert verdict.seq is not None
    return verdict.seq


def asked(town: Town) -> None:
    with town.hub.ledger.transaction() as tx:
        review = {"id": "5f3a9c0d", "tenant": TENANT, "kind": "person", "state": "open", "citizen_id": "somebody",
                  "other_id": "other", "facts": "{}", "origin": NAME, "opened_at": tx.now}  # fmt: skip
        tx.sql.execute(insert(citizen_reviews), [review])


def test_a_file_that_was_set_aside_is_settled_by_who_saw_to_it(town: Town) -> None:
    town.hub.signals.tell(NAME, "file-aside", [RecordFault("encoding", "retours.csv", "le fichier n'est pas en UTF-8")])
    (one,) = shown(town, "list")
    (item,) = shown(town, "show", one["id"])["items"]
    assert (one["kind"], item["name"], item["reason"]) == ("file-aside", "retours.csv", "le fichier n'est pas en UTF-8")

    assert typed(town, *shlex.split(item["do"][0].replace("…", "redéposé"))[1:]) == (0, "Settled.\n")

    assert shown(town, "list") == []
    assert typed(town, "trouble", "settle", one["id"], "encore")[0] == 2
    with town.hub.ledger.reading() as tx:
        assert "trouble.settled" in set(tx.sql.execute(select(journal.c.act)).scalars())


def acts(town: Town) -> list[tuple[str, str | None]]:
    with town.hub.ledger.reading() as tx:
        return [(row.act, row.citizen_id) for row in tx.sql.execute(select(journal)) if row.act == "trouble.shown"]


def test_what_is_shown_says_the_command_that_mends_it_and_then_it_is_gone(town: Town) -> None:
    seq = parked(town)

    (one,) = shown(town, "list")
    found = shown(town, "show", one["id"])

    assert (one["kind"], one["about"], one["count"], one["urgent"]) == ("parked", NAME, 1, False)
    (item,) = found["items"]
    assert (item["event"], item["connection"]) == (seq, NAME)
    program, *words = shlex.split(item["do"][0])
    assert program == "unefois"
    assert typed(town, *words)[0] == 0
    assert shown(town, "list") == []
    closed = shown(town, "show", one["id"])
    assert (closed["items"], "closed" in closed) == ([], True)
    assert acts(town) == []


def test_a_look_at_what_concerns_a_person_is_in_the_journal_with_that_person(town: Town) -> None:
    asked(town)
    (one,) = shown(town, "list")
    assert acts(town) == []

    found = shown(town, "show", one["id"])

    assert found["items"][0]["do"][0] == 'unefois citizen reviews 5f3a9c0d --reason "…"'
    assert acts(town) == [("trouble.shown", "somebody")]


def test_people_read_it_as_a_table_that_names_nobody(town: Town) -> None:
    parked(town)
    (one,) = shown(town, "list")

    code, listed = typed(town, "trouble", "list")
    _, whole = typed(town, "trouble", "show", one["id"])

    assert code == 0
    assert "issue inconnue après un arrêt" in listed
    assert "unefois parked replay" in whole
    assert "Lilas" not in listed + whole


def test_another_tenant_sees_none_of_it_and_what_is_not_there_is_said(town: Town) -> None:
    parked(town)

    assert len(shown(town, "list", "--tenant", TENANT)) == 1
    assert typed(town, "trouble", "list", "--tenant", "val-fleuri")[0] == 2
    assert typed(town, "trouble", "show", "0" * 16)[0] == 2


def test_the_hub_at_work_opens_and_closes_by_itself_and_its_figures_say_so(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "EVERY", 0.05)
    parked(town)

    def figures() -> str:
        return town.hub.metrics.render(town.hub.ledger, town.hub.status()).decode()

    line = f'unefois_trouble{{kind="parked",tenant="{TENANT}"}} 1.0'
    assert line not in figures()
    town.hub.start_relay()
    town.until(lambda: line in figures())
    assert f'unefois_trouble_items{{kind="parked",tenant="{TENANT}"}} 1.0' in figures()

    with town.hub.ledger.transaction() as tx:
        tx.sql.execute(update(deliveries).values(state="delivered"))

    town.until(lambda: "unefois_trouble{" not in figures())
