"""The commands of the journal, and what operators leave in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from commands.main import app
from hub.journal.verify import main
from hub.settings.reading import settings_faults
from hub.storage.tables import journal, requests
from schemas.event import Event
from tests.support.town import TENANT, Town


def test_no_setting_keeps_the_lines_for_less_than_twelve_months_or_more_than_three_years(tmp_path: Path) -> None:
    written_down = tmp_path / "hub.toml"

    def faults_of(days: int) -> list[str]:
        written_down.write_text(f'mode = "development"\n[retention]\njournal_days = {days}\n', encoding="utf-8")
        return [
            fault.message for fault in settings_faults(written_down, {}, {}) if fault.key == "retention.journal_days"
        ]

    assert "2022/1463" in faults_of(365)[0]
    assert "2021-122" in faults_of(1097)[0]
    assert faults_of(366) == faults_of(1096) == []


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path, {"famille": {}})
    yield made
    made.close()


def typed(town: Town, *words: str) -> tuple[int, str]:
    config = [] if words[:2] == ("journal", "verify") else ["--config", str(town.folder / "hub.toml")]
    result = CliRunner().invoke(app, [*words, *config], env={"UNEFOIS_OPERATOR": "dominique"})
    return result.exit_code, result.output


def acts(town: Town) -> list[tuple[str, str, str]]:
    with town.hub.ledger.reading() as tx:
        rows = tx.sql.execute(select(journal).where(journal.c.kind != "deliveries").order_by(journal.c.at)).all()
    return [(row.act, row.actor, row.outcome) for row in rows]


def test_what_operators_do_is_in_the_journal_with_their_name(town: Town) -> None:
    name, who = f"{TENANT}.famille", "operator:dominique"
    for words in (
        ("connection", "pause", name, "--cause", "travaux"), ("connection", "resume", name),
        ("connection", "retry", name), ("client", "add", TENANT, "portail2", "--scope", "requests:read"),
        ("client", "disable", "portail2"),
    ):  # fmt: skip
        assert typed(town, *words)[0] == 0

    assert acts(town) == [
        ("connection.paused", who, "done"), ("connection.resumed", who, "done"), ("connection.retried", who, "done"),
        ("client.added", who, "asked"), ("client.disabled", who, "asked"),
    ]  # fmt: skip


def a_request(town: Town, number: str = "1") -> str:
    """The hub's number of a request that the portal calls `number`."""
    town.link(("SORBIER", "famille", "F-1"), ("SORBIER", "portail", "u1"))
    record = {
        "references": [{"system": "portail", "id": number}], "procedure": "acte-naissance", "intake": "online",
        "submitted_at": "2026-11-02T09:00:00Z",
        "requester": {"citizen": {"references": [{"system": "portail", "id": "u1"}]}},
    }  # fmt: skip
    event = Event(type="request.received", source=f"/{TENANT}/portail", id=f"r{number}", data={"request": record})
    (verdict,) = town.submit(event)
    assert verdict.outcome == "accepted"
    return str(verdict.request_id)


def test_who_looks_at_a_request_is_in_the_journal(town: Town) -> None:
    a_request(town)
    with town.hub.ledger.reading() as tx:
        (found,) = tx.sql.execute(select(requests)).all()

    assert typed(town, "request", "show", TENANT, found.id)[0] == 0
    assert typed(town, "request", "show", TENANT, "unknown-request")[0] == 2

    with town.hub.ledger.reading() as tx:
        (line,) = [row for row in tx.sql.execute(select(journal)) if row.kind == "read"]
    assert (line.act, line.citizen_id, json.loads(line.facts)) == (
        "request.shown", found.citizen_id, {"request": found.id},
    )  # fmt: skip


def test_a_request_is_shown_by_the_number_that_another_system_gave_it(town: Town) -> None:
    request, other = a_request(town, "2026:00-1"), a_request(town, "2026:00-2")

    code, said = typed(town, "request", "show", TENANT, "portail:2026:00-1", "--json")
    assert (code, json.loads(said)["id"]) == (0, request)
    assert json.loads(typed(town, "request", "show", TENANT, f"{other[:8]}", "--json")[1])["id"] == other
    with town.hub.ledger.reading() as tx:
        read = [json.loads(row.facts) for row in tx.sql.execute(select(journal)) if row.kind == "read"]
    assert read == [{"request": request}, {"request": other}]


@pytest.mark.parametrize(
    ("tenant", "named"),
    [(TENANT, "portail:2026-9"), (TENANT, "famille:2026-1"), (TENANT, "portail:"), (TENANT, ":2026-1"),
     (TENANT, "portail:2026-%"), (TENANT, "portail"), ("val-fleuri", "portail:2026-1")],
)  # fmt: skip
def test_a_number_that_no_system_gave_here_is_no_request_and_no_look(town: Town, tenant: str, named: str) -> None:
    a_request(town, "2026-1")

    by_hub = typed(town, "request", "show", tenant, "00000000")
    assert typed(town, "request", "show", tenant, named) == by_hub
    assert by_hub[0] == 2
    with town.hub.ledger.reading() as tx:
        assert not [row for row in tx.sql.execute(select(journal)) if row.kind == "read"]


def test_an_export_is_verified_by_the_command_and_a_change_is_found(town: Town) -> None:
    typed(town, "connection", "pause", f"{TENANT}.famille")
    file = town.folder / "journal.jsonl"

    assert typed(town, "journal", "export", str(file)) == (0, "1 line(s) written.\n")
    assert typed(town, "journal", "export", str(file))[0] == 2  # nothing is overwritten
    key = json.loads(typed(town, "journal", "status", "--json")[1])["key"]
    code, said = typed(town, "journal", "verify", str(file), "--key", key, "--json")
    assert (code, json.loads(said)["ok"], json.loads(said)["lines"]) == (0, True, 1)
    assert typed(town, "journal", "verify", str(file), "--key", "another")[0] == 1
    part = town.folder / "part.jsonl"
    assert typed(town, "journal", "export", str(part), "--tenant", TENANT, "--since", "2020-01-01")[0] == 0
    assert typed(town, "journal", "verify", str(part))[0] == 0
    assert main([str(file), key]) == 0

    file.write_bytes(file.read_bytes().replace(b"dominique", b"dominiqee"))

    code, said = typed(town, "journal", "verify", str(file), "--json")
    assert (code, json.loads(said)["ok"]) == (1, False)
    assert json.loads(said)["first_fault"]
    assert typed(town, "journal", "verify", str(town.folder / "nothing"))[0] == 2


def test_a_running_hub_seals_by_itself_and_its_metrics_show_the_debt(town: Town) -> None:
    typed(town, "connection", "pause", f"{TENANT}.famille")
    rendered = town.hub.metrics.render(town.hub.ledger, {}).decode()
    assert "unefois_journal_unsealed 1.0" in rendered

    town.start()

    town.until(lambda: b"unefois_journal_unsealed 0.0" in town.hub.metrics.render(town.hub.ledger, {}), 20)
