"""`unefois connection report`: what an operator reads of a connection that observes, and how its calls are given up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bus.tables import deliveries
from hub.storage.tables import connection_modes, journal, observed_calls
from schemas.delivery import Polled, RecordFault
from tests.commands.test_operate import typed
from tests.connectors.publik.scene import town_settings
from tests.hub.acceptance.test_poller import opened, status
from tests.support.town import PORTAL, TENANT, Town, moved

NAME = f"{TENANT}.famille"
PERSONAL = ("Lilas", "SORBIER", "F-1", "u1", "Aubin", "93001", "case-1", "Tilleuls")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path, {"famille": {"mode": "observe"}})
    town.link(("SORBIER", "famille", "F-1"), ("SORBIER", "portail", "u1"))
    yield town
    town.close()


def observe(town: Town) -> None:
    """One delivery, one poll and two calls."""
    town.submit(moved("u1", 5))
    town.start()
    town.until(lambda: town.counts("famille").get("delivered") == 1)
    observation = town.hub.observation
    faults = [RecordFault("bad_date", "ligne 3", "illisible", "F-3")]
    observation.look_at(NAME, PORTAL, Polled([moved("u2", 1), status(1)], faults=faults))
    for number in (1, 2):
        observation.keep(NAME, PORTAL, Polled([opened(f"case-{number}")]))


def report(town: Town, *words: str) -> dict[str, Any]:
    code, text = typed(town, "connection", "report", NAME, "--json", *words)
    assert code == 0, text
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_report_says_what_would_have_gone_out_and_been_taken_in(town: Town) -> None:
    observe(town)
    found = report(town)

    assert (found["connection"], found["connector"], found["mode"]) == (NAME, "filedrop", "observe")
    assert found["since"] <= found["counted_since"]
    assert [(one["kind"], one["outcome"], one["number"]) for one in found["out"]] == [
        ("citizen.address-changed", "delivered", 1)
    ]
    assert {(one["kind"], one["outcome"], one["code"]): one["number"] for one in found["in"]} == {
        ("call", "kept", None): 2, ("citizen.address-changed", "accepted", None): 1,
        ("record", "unreadable", "bad_date"): 1, ("request.received", "accepted", None): 2,
        ("request.status-changed", "refused", "unknown_request"): 1,
    }  # fmt: skip
    assert found["late"] == []
    assert (found["calls"]["kept"], found["calls"]["events"], found["calls"]["full"]) == (2, 2, False)
    assert (found["all_counted"], found["questions"]) == (True, None)
    assert found["out"][0]["sample"]
    assert not [word for word in PERSONAL if word in json.dumps(found, ensure_ascii=False)]


def test_people_read_the_same_in_french(town: Town) -> None:
    observe(town)
    code, text = typed(town, "connection", "report", NAME)

    assert code == 0
    for said in (
        f"{NAME} (filedrop) : observation, depuis le 20", "Vers le logiciel, ce qui serait parti :",
        "1  citizen.address-changed : serait remis", "Depuis le logiciel, ce qui serait entré :",
        "request.status-changed : serait refusé (unknown_request)", "enregistrement : illisible (bad_date)",
        "2  appel : gardé",
        "Appels gardés : 2 (2 événements",
    ):  # fmt: skip
        assert said in text
    assert not [word for word in PERSONAL if word in text]


def test_a_connection_that_observed_nothing_says_so(town: Town) -> None:
    assert "Rien n'a été compté." in typed(town, "connection", "report", NAME)[1]
    assert typed(town, "connection", "report", f"{TENANT}.inconnue")[0] == 2


def test_who_gives_up_what_is_kept_says_why_and_it_is_in_the_journal(town: Town) -> None:
    observe(town)
    assert typed(town, "connection", "report", NAME, "--drop")[0] == 2
    assert report(town)["calls"]["kept"] == 2

    found = report(town, "--drop", "--reason", "jeu d'essai")

    assert (found["calls"]["kept"], found["calls"]["oldest"]) == (0, None)
    assert [(one["kind"], one["outcome"], one["number"]) for one in found["late"]] == [("call", "dropped", 2)]
    with town.hub.ledger.reading() as tx:
        assert tx.sql.execute(select(observed_calls.c.number)).all() == []
        (line,) = tx.sql.execute(select(journal).where(journal.c.act == "observed.dropped")).all()
    assert json.loads(line.facts)["calls"] == 2
    assert typed(town, "connection", "report", NAME, "--drop", "--reason", "encore")[0] == 2


@pytest.mark.parametrize("mode", ["observe", "live"])
def test_whether_the_package_is_asked_is_said_where_it_answers_for_anything(tmp_path: Path, mode: str) -> None:
    publik = {"connector": "publik", "mode": mode, "settings": town_settings()}
    town = Town(tmp_path, {"publik": publik, "famille": {"mode": mode}})
    try:
        found = json.loads(typed(town, "connection", "report", f"{TENANT}.publik", "--json")[1])
        assert found["questions"] is (mode == "live")
        said = typed(town, "connection", "report", f"{TENANT}.publik")[1]
        assert ("le logiciel n'est pas interrogé" in said) == (mode == "observe")
        assert "Questions" not in typed(town, "connection", "report", f"{TENANT}.famille")[1]
        assert town.hub.sources.served() == ([f"{TENANT}.publik"] if mode == "live" else [])
    finally:
        town.close()


def test_a_command_notes_no_mode_and_changes_nothing(town: Town) -> None:
    def noted() -> list[Any]:
        with town.hub.ledger.reading() as tx:
            return [tuple(row) for row in tx.sql.execute(select(connection_modes))]

    before = noted()
    assert report(town)["since"]  # since the directory named it

    assert noted() == before
    with town.hub.ledger.reading() as tx:
        assert tx.sql.execute(select(deliveries.c.seq)).all() == []
