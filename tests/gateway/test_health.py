"""`/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pika
import psycopg
import pytest
from sqlalchemy import text

from bus.api import INLET
from hub.operations.readiness import CANNOT
from hub.storage.directory_items import write_version
from schemas.errors import BusUnavailable
from tests.gateway.conftest import OTHER, TENANT, House, Open, event, post, problem
from tests.gateway.test_requests import folders
from tests.support.reading import eventually
from tests.support.servers import Postgres, Rabbit


def test_a_process_that_answers_is_alive(house: House) -> None:
    assert house.anonymous().get("/healthz").json() == {"status": "alive"}


OK = {"state": "ok"}


def seen(house: House) -> tuple[int, dict[str, Any]]:
    """What `/readyz` answers."""
    answer = house.anonymous().get("/readyz")
    return answer.status_code, answer.json()


def state(house: House, part: str) -> str:
    """The code of a part's trouble, `ok`, or nothing where the part is not shown."""
    status, body = seen(house)
    assert status == 200, body
    found = body["parts"].get(part, {})
    return str(found.get("code", found.get("state", "")))


def away(*_: object) -> None:
    raise BusUnavailable("broker.interne injoignable")


def test_it_is_ready_when_every_part_can_do_its_work(house: House) -> None:
    house.hub.start_relay()
    eventually(lambda: state(house, "relay") == "ok")

    assert seen(house) == (200, {"status": "ready", "parts": {"database": OK, "relay": OK, "workers": OK}})


def test_without_a_relay_or_a_worker_it_serves_and_says_what_is_not_done(open_house: Open, tmp_path: Path) -> None:
    house = open_house({"famille": folders(tmp_path, "famille"), "koha": folders(tmp_path, "koha")})

    status, body = seen(house)

    assert (status, body["status"], body["parts"]["database"]) == (200, "limited", OK)
    assert body["parts"]["relay"] == {"state": "trouble", "code": "no_lease", "cannot": CANNOT["relay"]}
    workers = {"state": "trouble", "code": "no_lease", "cannot": CANNOT["workers"], "connections": 2}
    assert body["parts"]["workers"] == workers
    assert post(house.client(), event()).status_code == 202
    house.hub.start_relay()
    house.hub.start_workers()
    eventually(lambda: seen(house)[1]["status"] == "ready")


def test_one_connection_without_a_worker_is_counted(open_house: Open, tmp_path: Path) -> None:
    house = open_house({"famille": folders(tmp_path, "famille"), "koha": folders(tmp_path, "koha")})
    house.hub.start_workers(only=[f"{TENANT}.famille"])

    eventually(lambda: seen(house)[1]["parts"]["workers"].get("connections") == 1)


def test_without_the_database_it_is_not_ready(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.hub.ledger, "reading", away)
    body = problem(house.anonymous().get("/readyz"), 503, "not_ready")

    assert body["missing"] == ["database"]
    assert body["parts"] == {"database": {"state": "trouble", "code": "database_away", "cannot": CANNOT["database"]}}
    assert house.anonymous().get("/healthz").status_code == 200


def test_with_a_directory_that_it_cannot_read_it_accepts_nothing_and_says_so(house: House) -> None:
    """A newer version of the hub loaded a kind of item that this one does not know."""
    hub = house.hub
    with hub.ledger.transaction() as tx:
        write_version(tx, {("treaty", "x"): {}}, by="operator:x")

    portal = house.client()
    answer = post(portal, event())
    status, body = seen(house)

    assert problem(answer, 503, "directory_behind")
    assert "treaty" not in answer.text
    assert (status, body["missing"]) == (503, ["directory"])
    assert body["parts"]["directory"]["code"] == "directory_behind"
    with hub.ledger.transaction() as tx:
        assert tx.sql.execute(text("SELECT count(*) FROM events")).scalar() == 0
        write_version(tx, {("treaty", "x"): None}, by="operator:x")
    assert post(portal, event()).status_code == 202
    eventually(lambda: seen(house)[0] == 200)


def test_with_an_older_form_of_the_database_it_is_not_ready(house: House) -> None:
    with house.hub.ledger.transaction() as tx:
        tx.sql.execute(text("UPDATE alembic_version SET version_num = 'ancienne'"))
    body = problem(house.anonymous().get("/readyz"), 503, "not_ready")

    assert body["missing"] == ["database"]
    assert body["parts"]["database"]["code"] == "migrations"


@pytest.mark.database
def test_with_a_database_that_takes_no_writes_it_is_not_ready(open_house: Open, postgres: Postgres) -> None:
    url = postgres.fresh_database()
    house = open_house(database=url)
    http = house.client()
    _sql(url, "SET default_transaction_read_only = on")
    postgres.cut_connections()

    eventually(lambda: seen(house)[0] == 503)
    eventually(lambda: seen(house)[1]["parts"]["database"]["code"] == "database_read_only")
    assert post(http, event()).status_code == 503

    _sql(url, "SET default_transaction_read_only = off")
    postgres.cut_connections()
    eventually(lambda: seen(house)[0] == 200)
    assert post(http, event()).status_code == 202


def _sql(url: str, setting: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        name = url.rpartition("/")[2]
        connection.execute(f"ALTER DATABASE {name} {setting}")  # type: ignore[arg-type]


# --- the broker ----------------------------------------------------------------------------------------------------

RIGHTS = {"configure": r"^unefois\.", "write": r"^(unefois\.|amq\.default$)", "read": r"^unefois\."}


@dataclass
class Full:
    """A hub on a broker, as a user with the rights of docs/amqp.md."""

    house: House
    rabbitmq: Rabbit

    def allow(self, **rights: str) -> None:
        self.rabbitmq.ctl("set_permissions", "plateforme", *({**RIGHTS, **rights}.values()))

    def broker(self) -> str:
        return state(self.house, "broker")

    def accepts(self) -> None:
        """Whatever the broker does, what is accepted is in the database."""
        number = uuid.uuid4().hex[:8]
        assert post(self.house.client(), event(number)).status_code == 202


@pytest.fixture
def full(open_house: Open, rabbitmq: Rabbit) -> Iterator[Full]:
    house = open_house(bus=rabbitmq.add_user("plateforme", **RIGHTS))
    house.hub.start_relay()
    house.hub.start_inlet()
    made = Full(house, rabbitmq)
    eventually(lambda: seen(house)[1]["status"] == "ready")
    yield made
    made.allow()


@pytest.mark.broker
@pytest.mark.parametrize("right", ["configure", "write", "read"])
def test_a_right_that_was_taken_away_is_named_and_events_are_accepted_all_the_same(full: Full, right: str) -> None:
    full.allow(**{right: "^$"})

    part = "broker" if right == "write" else "inlet"
    eventually(lambda: state(full.house, part) == "access_denied", within=30)
    full.accepts()
    body = seen(full.house)[1]
    assert body["status"] == "limited"
    assert not re.search(r"plateforme|unefois|127\.|amq", orjson.dumps(body).decode())

    full.allow()
    eventually(lambda: seen(full.house)[1]["status"] == "ready", within=30)


@pytest.mark.broker
def test_a_user_who_may_not_log_in_any_more_is_named(full: Full) -> None:
    full.rabbitmq.ctl("clear_permissions", "plateforme")
    full.rabbitmq.ctl("close_all_connections", "essai")

    eventually(lambda: full.broker() == "login_refused", within=30)
    full.accepts()


@pytest.mark.broker
@pytest.mark.parametrize(
    ("short", "mended"),
    [
        (("set_vm_memory_high_watermark", "0.000001"), ("set_vm_memory_high_watermark", "0.4")),
        (("set_disk_free_limit", "900000GB"), ("set_disk_free_limit", "50MB")),
    ],
    ids=["memory", "disk"],
)
def test_an_alarm_of_the_broker_is_named_and_events_are_accepted_all_the_same(
    full: Full, short: tuple[str, str], mended: tuple[str, str]
) -> None:
    full.rabbitmq.ctl(*short)
    try:
        eventually(lambda: full.broker() == "broker_alarm", within=30)
        full.accepts()
    finally:
        full.rabbitmq.ctl(*mended)

    eventually(lambda: seen(full.house)[1]["status"] == "ready", within=30)


@pytest.mark.broker
def test_a_broker_that_is_away_takes_the_gateway_out_of_no_balancer(full: Full) -> None:
    full.rabbitmq.stop()
    try:
        eventually(lambda: full.broker() == "broker_away", within=30)
        full.accepts()
    finally:
        full.rabbitmq.start()

    eventually(lambda: seen(full.house)[1]["status"] == "ready", within=60)


@pytest.mark.broker
def test_an_inlet_that_somebody_made_otherwise_is_named(open_house: Open, rabbitmq: Rabbit) -> None:
    url = rabbitmq.add_user("plateforme", **RIGHTS)
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        connection.channel().queue_delete(INLET)
        connection.channel().queue_declare(INLET, durable=True, arguments={"x-max-length": 10})
    house = open_house(bus=url)
    house.hub.start_inlet()

    try:
        eventually(lambda: state(house, "inlet") == "topology_mismatch", within=30)
        assert state(house, "broker") == "ok"
        assert post(house.client(), event()).status_code == 202
    finally:
        with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
            connection.channel().queue_delete(INLET)

    eventually(lambda: state(house, "inlet") == "ok", within=30)


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
