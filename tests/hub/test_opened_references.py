"""What a package gives an identifier for is asked for until it has ended, across stops, in a whole hub."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from hub.storage.tables import request_steps
from hub.wiring import open_hub
from schemas.event import Event
from tests.connectors.sdk.kinds.agenda import EXAMPLES
from tests.connectors.sdk.kinds.encaissement import PaymentTwin
from tests.support.town import TENANT, Town

FAST = ('every = ["15s", "2m", "15m", "1h"]', 'every = ["0.2s"]')


@pytest.fixture
def twin() -> Iterator[PaymentTwin]:
    with PaymentTwin() as found:
        yield found


def town_at(folder: Path, twin: PaymentTwin) -> Town:
    connection: dict[str, Any] = {
        "connector": "encaissement", "procedures": ["occupation-domaine-public"], "settings": twin.settings(),
    }  # fmt: skip
    return Town(folder, {"regie": connection}, connectors_dir="ours")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "ours" / "encaissement"
    shutil.copytree(EXAMPLES / "encaissement", place)
    path = place / "connector.toml"
    text = path.read_text("utf-8")
    assert FAST[0] in text
    path.write_text(text.replace(*FAST), "utf-8")
    return tmp_path


def submitted(number: int) -> Event:
    data = {
        "request": {
            "references": [{"system": "portail", "id": f"cantine-{number}"}], "procedure": "occupation-domaine-public",
            "submitted_at": "2026-03-02T10:00:00Z", "intake": "online",
            "requester": {"citizen": {"identity": {"family_name": "Corvisart", "given_names": ["Maëlle"]},
                                      "email": "maelle.corvisart@courriel.example"}},
            "form": {"montant_centimes": 4550, "objet": "Cantine de mars"},
        }
    }  # fmt: skip
    return Event("request.received", f"/{TENANT}/portail", data, id=f"cantine-{number}", version=2)


def said(town: Town) -> list[str | None]:
    """The native words on the timelines."""
    with town.hub.ledger.reading() as tx:
        query = select(request_steps.c.native_code).where(request_steps.c.kind == "status")
        return list(tx.sql.execute(query.order_by(request_steps.c.id)).scalars())


def test_a_payment_opened_by_a_request_is_followed_to_its_end_across_a_stop(folder: Path, twin: PaymentTwin) -> None:
    town = town_at(folder, twin)
    town.start()
    try:
        assert [verdict.error for verdict in town.submit(submitted(1))] == [None]
        town.until(lambda: any(name == "etatEncaissement" for name, _ in twin.asked))
    finally:
        town.close()
    twin.settle("OP-1", "P", jour="02032026", heure="1409")

    again = town_at_again(folder)
    again.start()
    try:
        again.until(lambda: said(again) == ["P"])
        asked = len(twin.asked)
        again.submit(submitted(2))
        again.until(lambda: "OP-2" in twin.opened)
        again.until(lambda: len(twin.asked) > asked + 2)
        states = [request for name, request in twin.asked[asked:] if name == "etatEncaissement"]
        assert {request["arg0"]["numeroOperation"] for request in states} == {"OP-2"}
        assert said(again) == ["P"]
    finally:
        again.close()


def town_at_again(folder: Path) -> Town:
    """The hub of the same settings and the same database, started again."""
    town = Town.__new__(Town)
    town.folder = folder
    town.hub = open_hub(folder / "hub.toml", {})
    town.hub.prepare()
    return town
