"""Commands of operators, as they are typed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from bus.tables import deliveries
from commands.main import app
from tests.support.town import TENANT, Town, moved

NAME = f"{TENANT}.famille"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path, {"famille": {}})
    town.link(("SORBIER", "famille", "F-1"), ("SORBIER", "portail", "u1"))
    yield town
    town.close()


def typed(town: Town, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*words, "--config", str(town.folder / "hub.toml")])
    return result.exit_code, result.output


def waiting(town: Town, seconds: float) -> None:
    later = town.hub.ledger.now() + seconds
    with town.hub.ledger.transaction() as tx:
        tx.sql.execute(update(deliveries).values(state="waiting", due=later))


def dues(town: Town) -> list[float]:
    with town.hub.ledger.reading() as tx:
        return [row.due for row in tx.sql.execute(select(deliveries.c.due))]


def test_what_waits_for_a_package_that_is_back_is_due_at_once(town: Town) -> None:
    town.submit(moved("u1", 5))
    waiting(town, 3600)

    assert typed(town, "connection", "retry", NAME) == (0, "1 due now.\n")

    assert max(dues(town)) <= town.hub.ledger.now()
    assert typed(town, "connection", "retry", "saint-aubin.inconnue")[0] == 2


def test_a_cause_is_shown_with_its_code(town: Town) -> None:
    town.submit(moved("u1", 5))
    with town.hub.ledger.transaction() as tx:
        tx.sql.execute(update(deliveries).values(state="parked", cause="coupé", fault="unknown.cut"))
        tx.pause(NAME, "accès refusé", "denied.login")
        seq = tx.troubles()[0]["seq"]

    (listed,) = json.loads(typed(town, "parked", "list", "--json")[1])
    (shown,) = json.loads(typed(town, "parked", "show", NAME, str(seq), "--json")[1])
    paused = {row["connection"]: row["fault"] for row in json.loads(typed(town, "connection", "list", "--json")[1])}

    assert (listed["fault"], shown["fault"], paused[NAME]) == ("unknown.cut", "unknown.cut", "denied.login")


def test_whoever_retries_a_paused_connection_is_told_that_it_is_paused(town: Town) -> None:
    assert typed(town, "connection", "pause", NAME)[0] == 0

    code, said = typed(town, "connection", "retry", NAME)

    assert (code, said) == (0, "0 due now. This connection is paused: resume it.\n")


def test_what_was_due_in_an_hour_goes_out_within_seconds_of_the_command(town: Town) -> None:
    town.submit(moved("u1", 5))
    waiting(town, 3600)
    town.start()
    town.until(lambda: all(worker.active for worker in town.hub.workers.values()))
    assert town.dropped("famille") == []

    typed(town, "connection", "retry", NAME)

    town.until(lambda: town.counts("famille") == {"delivered": 1}, 10)
    assert len(town.dropped("famille")) == 1
