"""A payment that a portal asks for is told to its end as that payment, and no other, in a whole hub."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from connectors import conformance
from connectors.conformance import Bench
from connectors.conformance.case import Case
from connectors.conformance.finding import stands_of
from connectors.sdk import Manifest
from connectors.sdk.mapping import fields_of
from hub.requests.followed import order_key_of
from hub.storage.tables import followed_subjects
from schemas.event import Event
from tests.support.town import TENANT, Town

PAYFIP = Path(__file__).parents[2] / "connectors" / "payfip"
ASK = "recupererDetailPaiementSecurise"
REFERENCE = {"system": "portail", "id": "F-2026-0417"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The connector, with less patience."""
    place = tmp_path / "ours" / "paiements"
    shutil.copytree(PAYFIP, place)
    path = place / "connector.toml"
    text = path.read_text("utf-8").replace('id = "payfip"', 'id = "paiements"')
    text = text.replace('every = ["1m", "2m", "5m", "15m"]', 'every = ["0.2s"]')
    path.write_text(text.replace('until = "135m"', 'until = "3s"'), "utf-8")
    return tmp_path


@pytest.fixture
def case(folder: Path) -> Iterator[Case]:
    manifest = Manifest.load(folder / "ours" / "paiements" / "connector.toml", fields_of)
    with stands_of(manifest)[0](Bench(manifest, timeout=2)) as found:
        yield found


@pytest.fixture
def town(folder: Path, case: Case) -> Iterator[Town]:
    settings = dict(case.connect().settings)
    found = Town(folder, {"regie": {"connector": "paiements", "settings": settings}}, connectors_dir="ours")
    found.start()
    yield found
    found.close()


def asked() -> Event:
    payment = {"reference": REFERENCE, "amount": {"cents": 1250, "currency": "EUR"}, "subject": "Cantine"}
    citizen = {"email": "odile.mercoeur@courriel.example", "references": [{"system": "portail", "id": "17"}]}
    return Event("payment.requested", f"/{TENANT}/portail", {"payment": payment, "citizen": citizen}, id="F-2026-0417")


def stand(town: Town) -> list[tuple[str, str]]:
    with town.hub.ledger.reading() as tx:
        query = select(followed_subjects.c.order_key, followed_subjects.c.state)
        return [tuple(row) for row in tx.sql.execute(query)]


def test_a_payment_that_is_made_is_the_one_that_was_asked_for(town: Town, case: Case) -> None:
    twin: Any = case.twin
    before = set(twin.opened)

    assert [verdict.error for verdict in town.submit(asked())] == [None]
    town.until(lambda: twin.opened.keys() - before)
    (number,) = twin.opened.keys() - before
    twin.settle(number, ASK, {"return/resultrans": "A"})
    town.until(lambda: "abandoned" in {state for _, state in stand(town)})
    twin.settle(number, ASK, {"return/resultrans": "P"})

    town.until(lambda: "paid" in {state for _, state in stand(town)})
    assert stand(town) == [(order_key_of("payment", REFERENCE), "paid")]


def test_a_payment_that_nobody_made_expires_as_the_one_that_was_asked_for(town: Town) -> None:
    town.submit(asked())

    town.until(lambda: "expired" in {state for _, state in stand(town)})
    assert stand(town) == [(order_key_of("payment", REFERENCE), "expired")]


@pytest.mark.parametrize("told", ["changed", "expired"])
def test_a_connector_that_names_another_payment_fails(folder: Path, told: str) -> None:
    place = folder / "ours" / "paiements"
    text, before = (place / "mapping.csv").read_text("utf-8"), f"{told};/payment/reference/id;={{asked_id}}"
    assert before in text
    (place / "mapping.csv").write_text(text.replace(before, before.replace("asked_id", "reference")), "utf-8")

    outcome = conformance.examine(Manifest.load(place / "connector.toml", fields_of), only=("polling",))

    assert "asked for" in str(outcome)
