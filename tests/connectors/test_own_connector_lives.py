"""A connector of the town's own, from `connector new` to a request that it closes, with the commands of the guide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from commands.main import app
from connectors.sdk import find_manifests
from connectors.sdk.discovery import folder_module
from hub.storage.tables import request_steps
from schemas.event import Event
from tests.support.town import TENANT, Town

NAME = f"{TENANT}.piscine"
REQUEST = {
    "references": [{"system": "portail", "id": "terrasse/7"}],
    "procedure": "occupation-domaine-public",
    "submitted_at": "2026-11-02T09:00:00Z",
    "intake": "online",
    "requester": {"citizen": {"identity": {
        "family_name": "SORBIER", "given_names": ["Ana"], "gender": "female", "birthdate": "1990-04-02",
    }}},
    "form": {},
}  # fmt: skip


def typed(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    (tmp_path / "ours").mkdir()
    code, said = typed("connector", "new", "piscine", "--folder", str(tmp_path / "ours"))
    assert code == 0, said
    return tmp_path / "ours"


@pytest.fixture
def twin(ours: Path) -> Iterator[Any]:
    with folder_module(ours / "piscine", "twin").PiscineTwin() as twin:
        yield twin


@pytest.fixture
def town(ours: Path, twin: Any) -> Iterator[Town]:
    (ours.parent / "token").write_text("jeton-essai", encoding="utf-8")
    settings = {"base_url": twin.url, "token": {"file": str(ours.parent / "token")}}
    town = Town(ours.parent, {"piscine": {"connector": "piscine", "settings": settings}}, connectors_dir="ours")
    yield town
    town.close()


def test_its_commands_work_wherever_its_folder_is(town: Town, ours: Path) -> None:
    config = ["--config", str(town.folder / "hub.toml")]
    sample = town.folder / "sample.json"
    sample.write_text(json.dumps({"type": "request.received", "version": 2, "data": {"request": REQUEST}}))

    assert "piscine" in {row["name"] for row in json.loads(typed("connector", "list", "--json", *config)[1])}
    code, said = typed("check", *config)
    assert (code, said) == (0, "No fault found.\n")
    code, said = typed("connector", "test", "piscine", "--folder", str(ours))
    assert code == 0, said
    assert "tier: gold" in said
    code, said = typed("connector", "try", NAME, *config)
    assert (code, said.splitlines()[0]) == (0, "OK : Piscine répond et accepte notre jeton.")
    code, said = typed("connector", "try", NAME, "--event", str(sample), "--twin", *config)
    assert code == 0, said
    assert "POST /files" in said
    assert "fait : Dossier" in said


def test_a_running_hub_gives_it_a_request_and_hears_its_end(town: Town, twin: Any) -> None:
    request = Event("request.received", f"/{TENANT}/portail", {"request": REQUEST}, id="d-7")
    town.start()

    assert [verdict.outcome for verdict in town.submit(request)] == ["accepted"]
    town.until(lambda: town.counts("piscine") == {"delivered": 1})
    (file,) = twin.files.values()
    twin.change("fini", file["number"])
    for poller in town.hub.pollers.values():
        poller.hurry()

    town.until(lambda: "Dossier terminé" in steps(town))


def steps(town: Town) -> list[str]:
    """The words of the steps of the one request."""
    with town.hub.ledger.reading() as tx:
        return [str(step.native_label) for step in tx.sql.execute(select(request_steps)).all()]


def test_what_is_wrong_with_it_is_told_with_file_and_line(town: Town, ours: Path) -> None:
    statuses = ours / "piscine" / "statuses.csv"
    statuses.write_text(statuses.read_text("utf-8").replace("fulfilled", "fullfilled"), "utf-8")
    find_manifests.cache_clear()

    code, said = typed("check", "--config", str(town.folder / "hub.toml"))

    assert code == 1
    assert f"{statuses}:3: canonical:" in said
    assert 'did you mean "fulfilled"' in said
