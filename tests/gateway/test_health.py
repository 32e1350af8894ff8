"""`/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from schemas.errors import BusUnavailable
from tests.gateway.conftest import OTHER, TENANT, House, Open, event, post, problem


def test_a_process_that_answers_is_alive(house: House) -> None:
    assert house.anonymous().get("/healthz").json() == {"status": "alive"}


def test_it_is_ready_when_database_bus_and_migrations_are_there(house: House) -> None:
    answer = house.anonymous().get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def away(*_: object) -> None:
    raise BusUnavailable("broker.interne injoignable")


def test_without_the_bus_it_is_not_ready(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.hub.bus, "depth", away)
    answer = house.anonymous().get("/readyz")

    assert problem(answer, 503, "not_ready")["missing"] == ["bus"]
    assert house.anonymous().get("/healthz").status_code == 200


def test_without_the_database_it_is_not_ready(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.hub.ledger, "reading", away)
    assert problem(house.anonymous().get("/readyz"), 503, "not_ready")["missing"] == ["database"]


def test_with_an_older_form_of_the_database_it_is_not_ready(house: House) -> None:
    with house.hub.ledger.transaction() as tx:
        tx.sql.execute(text("UPDATE alembic_version SET version_num = 'ancienne'"))
    assert problem(house.anonymous().get("/readyz"), 503, "not_ready")["missing"] == ["migrations"]


def test_when_the_database_is_away_a_write_asks_to_come_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    http = house.client()
    post(http, event(1))
    monkeypatch.setattr(house.hub.ledger, "transaction", away)
    answer = post(http, event(2))

    problem(answer, 503, "bus_unavailable")
    assert answer.headers["retry-after"]
    assert "interne" not in answer.text


def test_the_figures_count_what_was_accepted(house: House) -> None:
    http = house.client()
    post(http, event())
    answer = http.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    counted = [line for line in answer.text.splitlines() if line.startswith("unefois_events_total{")]
    assert any('outcome="accepted"' in line and line.endswith(" 1.0") for line in counted)


def test_a_client_sees_the_figures_of_its_own_tenant_and_the_operator_those_of_all(open_house: Open) -> None:
    house = open_house()
    portals = {TENANT: "portail", OTHER: "guichet"}
    for tenant, portal in portals.items():
        answer = post(house.client(portal, tenant=tenant), event(tenant=tenant, client=portal))
        assert answer.status_code < 300, answer.text
    counting = house.hub.metrics
    for name in (f"{TENANT}.koha", f"{OTHER}.koha", f"{TENANT}-annexe.koha"):
        counting.ended(name, "delivered")
        counting.asked(name, "library-card", "answered", 0.2)
    with house.hub.ledger.transaction() as tx:
        tx.pause(f"{OTHER}.koha", "essai")

    seen = {tenant: house.client(portal, tenant=tenant).get("/metrics").text for tenant, portal in portals.items()}
    whole = counting.render(house.hub.ledger, house.hub.status()).decode()

    for tenant, other in ((TENANT, OTHER), (OTHER, TENANT)):
        assert f'tenant="{tenant}"' in seen[tenant]
        assert f'unefois_deliveries_ended_total{{connection="{tenant}.koha",state="delivered"}} 1.0' in seen[tenant]
        assert f'unefois_question_seconds_bucket{{connection="{tenant}.koha",le="0.25"}} 1.0' in seen[tenant]
        assert other not in seen[tenant].replace(f"{tenant}.", "")
        assert "unefois_log_lines_dropped_total 0.0" in seen[tenant]
        assert tenant in whole
    assert "annexe" not in seen[TENANT]
    assert f'unefois_connection_paused{{connection="{OTHER}.koha"}} 1.0' in seen[OTHER]
    assert "annexe" in whole
