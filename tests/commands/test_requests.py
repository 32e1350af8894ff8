"""The commands about requests: each act works, is told to whom it concerns, and stands in the journal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from commands.main import app
from hub.clients.origin import Origin
from hub.requests.repository import read, timeline
from hub.storage.tables import journal
from schemas.event import Event
from tests.support.town import TENANT, Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path, {"famille": {}})
    yield made
    made.close()


def typed(town: Town, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        app, [*words, "--config", str(town.folder / "hub.toml")], env={"UNEFOIS_OPERATOR": "dominique"}
    )
    return result.exit_code, result.output


def by(name: str) -> Origin:
    return Origin(f"{TENANT}.{name}", TENANT, frozenset({"*"}), (f"/{TENANT}/{name}",))


def received(town: Town, name: str, number: str, procedure: str = "occupation-domaine-public") -> str:
    who = {"organisation": {"name": "Café des Halles", "siret": "21930001100018", "email": "cafe@courriel.example"}}
    record = {"references": [{"system": name, "id": number}], "procedure": procedure,
              "submitted_at": "2026-11-02T09:00:00Z", "intake": "mail", "requester": who}  # fmt: skip
    event = Event("request.received", f"/{TENANT}/{name}", {"request": record}, id=f"{name}-{number}")
    (verdict,) = town.hub.acceptance.submit(town.hub.ledger, by(name), [event])
    assert verdict.request_id is not None
    return verdict.request_id


def says(town: Town, name: str, reference: tuple[str, str], word: str, event_id: str, **more: Any) -> Any:
    data = {"request": {"references": [{"system": reference[0], "id": reference[1]}]}, "status": word,
            "native": {"code": "X", "label": "Libellé"}, **more}  # fmt: skip
    event = Event("request.status-changed", f"/{TENANT}/{name}", data, id=event_id)
    return town.hub.acceptance.submit(town.hub.ledger, by(name), [event])[0]


def stands(town: Town, request_id: str) -> Any:
    with town.hub.ledger.reading() as tx:
        return read(tx, TENANT, request_id)


def said(town: Town, request_id: str) -> list[Any]:
    with town.hub.ledger.reading() as tx:
        return [stored.event for stored in tx.events_of_request(request_id)]


def acts(town: Town) -> list[tuple[str, str]]:
    with town.hub.ledger.reading() as tx:
        rows = tx.sql.execute(select(journal).order_by(journal.c.at)).all()
    return [(row.act, row.actor) for row in rows if row.act.startswith("request.")]


def test_a_request_is_found_without_its_tenant_where_one_alone_has_it(town: Town) -> None:
    received(town, "portail", "2026-1")

    assert typed(town, "request", "show", "portail:2026-1")[0] == 0
    assert typed(town, "request", "show", "portail:2026-2") == (2, "unefois: no such request\n")


def test_an_operator_takes_up_again_what_is_over(town: Town) -> None:
    request = received(town, "portail", "2026-1")
    assert typed(town, "request", "reopen", "portail:2026-1", "--reason", "x")[0] == 2  # it is not over
    assert says(town, "portail", ("portail", "2026-1"), "withdrawn", "w").ok

    code, output = typed(town, "request", "reopen", "portail:2026-1", "--reason", "retrait par erreur")

    assert (code, "Reopened" in output) == (0, True)
    assert (stands(town, request).status, stands(town, request).final) == ("in_progress", False)
    assert acts(town) == [("request.reopened", "operator:dominique")]
    with town.hub.ledger.reading() as tx:
        assert [step["mark"] for step in timeline(tx, request) if step.get("mark")] == []


def test_an_act_without_a_reason_is_refused(town: Town) -> None:
    received(town, "portail", "2026-1")

    for words in (["reopen", "portail:2026-1"], ["part", "portail:2026-1"], ["join", TENANT, "a:1", "b:2"]):
        assert typed(town, "request", *words) == (2, "unefois: --reason is needed: it goes to the journal\n")


def test_a_decision_is_written_down_with_who_took_it_and_no_letter(town: Town) -> None:
    request = received(town, "portail", "2026-1")

    options = ["--status", "rejected", "--decided-by", "L'adjointe à la voirie", "--decided-on", "2026-11-20"]
    code, _ = typed(town, "request", "record", TENANT, request[:8], *options, "--reason", "Trottoir trop étroit")

    assert code == 0
    assert stands(town, request).status == "rejected"
    recorded = said(town, request)[-1]
    assert recorded.data["transcribes"] == {"by": "L'adjointe à la voirie", "on": "2026-11-20"}
    assert [event.data["template"] for event in said(town, request) if event.type == "message.requested"] == []
    assert acts(town) == [("request.recorded", "operator:dominique")]


@pytest.mark.parametrize(("status", "who", "day", "says_"), [
    ("rejected", "", "2026-11-20", "--decided-by"), ("rejected", "Le maire", "demain", "--decided-on"),
    ("rejected", "Le maire", "2999-01-01", "yet to come"), ("refused", "Le maire", "2026-11-20", "--status"),
])  # fmt: skip
def test_a_transcription_that_says_not_who_or_when_is_refused(
    town: Town, status: str, who: str, day: str, says_: str
) -> None:
    request = received(town, "portail", "2026-1")

    code, output = typed(town, "request", "record", "portail:2026-1", "--status", status, "--decided-by", who,
                         "--decided-on", day)  # fmt: skip

    assert (code, says_ in output) == (2, True)
    assert (stands(town, request).status, acts(town)) == ("received", [])


def test_two_numbers_of_one_request_are_joined_and_parted(town: Town) -> None:
    first, second = received(town, "hubee", "D-1"), received(town, "portail", "77")
    assert says(town, "portail", ("portail", "77"), "in_progress", "p1").ok

    assert typed(town, "request", "join", TENANT, "hubee:D-1", "portail:77", "--reason", "la même")[0] == 0
    assert says(town, "portail", ("portail", "77"), "withdrawn", "p2").ok
    assert [stands(town, one).status for one in (first, second)] == ["withdrawn", "withdrawn"]
    assert says(town, "hubee", ("hubee", "D-1"), "in_progress", "h1", reopened=True).ok
    assert [stands(town, one).status for one in (first, second)] == ["in_progress", "in_progress"]
    _, shown = typed(town, "request", "show", "portail:77", "--json")
    assert {reference["system"] for reference in json.loads(shown)["references"]} == {"hubee", "portail"}

    assert says(town, "hubee", ("hubee", "D-1"), "withdrawn", "h2").ok
    assert typed(town, "request", "part", "portail:77", "--reason", "deux enfants")[0] == 0
    assert [stands(town, one).status for one in (first, second)] == ["withdrawn", "in_progress"]
    assert says(town, "portail", ("hubee", "D-1"), "in_progress", "p3", reopened=True).error is not None
    assert [act for act, _ in acts(town)] == ["request.joined", "request.shown", "request.parted"]


def test_what_cannot_be_one_request_is_not_joined(town: Town) -> None:
    first = received(town, "hubee", "D-1")
    received(town, "portail", "77", "hebergement-tourisme")
    received(town, "portail", "78")

    def join(one: str, other: str) -> int:
        return typed(town, "request", "join", TENANT, one, other, "--reason", "x")[0]

    assert join("hubee:D-1", "portail:77") == 2  # two procedures
    assert join("hubee:D-1", "hubee:D-1") == 2
    assert join("hubee:D-1", "portail:79") == 2
    assert join("hubee:D-1", "portail:78") == 0
    assert join("hubee:D-1", "portail:78") == 2
    assert typed(town, "request", "part", first[:8], "--reason", "x")[0] == 2
