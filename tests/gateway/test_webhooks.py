"""`/v1/webhooks`: made, listed, rotated, removed by their client; and called."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import insert, select

from hub.clients.origin import Origin
from hub.clients.webhooks import MOST, add
from hub.storage.tables import citizen_reviews, webhooks
from schemas.event import Event
from tests.gateway.conftest import OTHER, TENANT, House, Open, problem, record
from tests.gateway.test_requests import asked, submit, tell

HOOK: dict[str, Any] = {"url": "https://portail.example/hooks/unefois", "types": ["request.status-changed"]}


def make(http: httpx.Client, **more: Any) -> httpx.Response:
    return http.post("/v1/webhooks", json=HOOK | more)


def test_a_webhook_is_made_and_its_key_is_shown_once(house: House) -> None:
    http = house.client()
    answer = make(http)

    assert answer.status_code == 201
    made = answer.json()
    assert len(base64.b64decode(made["key"].removeprefix("whsec_"))) == 32
    assert made["thin"] is True
    shown = {name: value for name, value in made.items() if name != "key"}
    assert http.get(answer.headers["location"]).json() == shown
    assert http.get("/v1/webhooks").json() == {"items": [shown]}


def test_its_key_is_sealed_in_the_database(house: House) -> None:
    key = make(house.client()).json()["key"]
    with house.hub.ledger.reading() as tx:
        (row,) = tx.sql.execute(select(webhooks.c["keys"]))
    assert key.encode() not in bytes(row[0])


def test_a_rotated_webhook_has_a_new_key(house: House) -> None:
    http = house.client()
    made = make(http).json()
    answer = http.post(f"/v1/webhooks/{made['id']}/rotate")

    assert answer.status_code == 200
    assert answer.json()["key"].startswith("whsec_")
    assert answer.json()["key"] != made["key"]
    assert answer.json()["id"] == made["id"]


def test_a_removed_webhook_is_gone(house: House) -> None:
    http = house.client()
    place = make(http).headers["location"]

    assert http.delete(place).status_code == 204
    problem(http.get(place), 404, "not_found")
    problem(http.delete(place), 404, "not_found")
    assert http.get("/v1/webhooks").json() == {"items": []}


def test_another_clients_webhook_is_not_there(house: House) -> None:
    place = make(house.client()).headers["location"]

    for other in (house.client("guichet"), house.client("voisin", tenant=OTHER)):
        problem(other.get(place), 404, "not_found")
        problem(other.delete(place), 404, "not_found")
        problem(other.post(place + "/rotate"), 404, "not_found")
        assert other.get("/v1/webhooks").json() == {"items": []}


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"url": 1}, "schema_violation", "/url"),
        ({"types": []}, "schema_violation", "/types"),
        ({"types": ["request.status-changed"] * 2}, "schema_violation", "/types"),
        ({"types": ["chose.inconnue"]}, "unknown_type", "/types/0"),
        ({"types": ["request.received", "citizen.address-changed"]}, "unknown_type", "/types/1"),
        ({"thin": "oui"}, "schema_violation", "/thin"),
        ({"surprise": 1}, "schema_violation", "/surprise"),
        ({"url": "http://portail.example/"}, "url_refused", "/url"),
        ({"url": "ftp://portail.example/"}, "url_refused", "/url"),
        ({"url": "https://user:pass@portail.example/"}, "url_refused", "/url"),
        ({"url": "https://portail.example/#fragment"}, "url_refused", "/url"),
        ({"url": "https://portail.example:99999/"}, "url_refused", "/url"),
        ({"url": "https://10.0.0.1/"}, "url_refused", "/url"),
        ({"url": "https://169.254.169.254/latest"}, "url_refused", "/url"),
        ({"url": "https://[fd00::1]/"}, "url_refused", "/url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url_refused", "/url"),
        ({"url": "https://intranet/"}, "url_refused", "/url"),
        ({"url": "https://db.internal/"}, "url_refused", "/url"),
        ({"url": "https://portail.example\\@interne/"}, "url_refused", "/url"),
    ],
)
def test_a_wrong_webhook_is_refused(house: House, change: dict[str, Any], code: str, pointer: str) -> None:
    http = house.client()
    assert problem(make(http, **change), 422, code)["pointer"] == pointer
    assert http.get("/v1/webhooks").json() == {"items": []}


def test_a_client_hears_of_trouble_only_with_the_right_to_read_the_figures(house: House) -> None:
    wanted = {"types": ["request.status-changed", "trouble.changed"]}
    plain = house.client("guichet", scopes=("webhooks:write",))

    assert problem(make(plain, **wanted), 403, "scope_missing")["pointer"] == "/types/1"
    assert make(house.client("astreinte", scopes=("webhooks:write", "metrics:read")), **wanted).status_code == 201


def test_trouble_goes_to_the_webhooks_of_its_tenant_that_may_hear_of_it(house: House) -> None:
    told = ["trouble.changed"]
    made = make(house.client("astreinte", scopes=("webhooks:write", "metrics:read")), types=told).json()["id"]
    make(house.client("voisin", tenant=OTHER), types=told)
    hub = house.hub
    # Before the rule, or by another way than this one.
    house.client("guichet", scopes=("webhooks:write",))
    add(hub.ledger, hub.root_key, tenant=TENANT, client="guichet", url=HOOK["url"], types=told, thin=True)
    hub.reload()
    with hub.ledger.transaction() as tx:
        review = {"id": "r", "tenant": TENANT, "kind": "person", "state": "open", "citizen_id": "c", "facts": "{}",
                  "origin": f"{TENANT}.portail", "opened_at": tx.now}  # fmt: skip
        tx.sql.execute(insert(citizen_reviews), [review])

    hub.troubles.look_now()

    with hub.ledger.reading() as tx:
        assert tx.counts() == {f"{TENANT}.webhook-{made}": {"expected": 1}}


def test_loopback_is_for_development_only(open_house: Open, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = {"url": "http://127.0.0.1:9/"}
    assert make(house.client(), **hook).status_code == 201
    strict = open_house(mode="production", public_url="https://hub.example")
    for url in ("http://127.0.0.1:9/", "https://127.0.0.1/", "https://localhost/"):
        problem(make(strict.client(), url=url), 422, "url_refused")


def test_a_client_has_a_limited_number_of_webhooks(house: House) -> None:
    http = house.client()
    for _ in range(MOST):
        assert make(http).status_code == 201
    problem(make(http), 422, "too_many_webhooks")
    assert make(house.client("guichet")).status_code == 201


class Subscriber(ThreadingHTTPServer):
    """Keeps what it is called with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiving)
        self.calls: list[tuple[dict[str, str], bytes]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks"


class _Receiving(BaseHTTPRequestHandler):
    server: Subscriber

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.calls.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    server = Subscriber()
    yield server
    server.shutdown()
    server.server_close()


def test_a_status_reaches_the_subscriber_signed(house: House, subscriber: Subscriber) -> None:
    http = house.client()
    key = make(http, url=subscriber.url).json()["key"]
    house.hub.start_relay()
    house.hub.start_workers()
    request = submit(http, asked()).json()["id"]
    tell(house, {"request": {"id": request}, "status": "in_progress", "native": {"code": "A", "label": "A"}})

    deadline = time.monotonic() + 20
    while not subscriber.calls:
        assert time.monotonic() < deadline, "the subscriber was not called"
        time.sleep(0.02)
    headers, body = subscriber.calls[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(base64.b64decode(key.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert f"v1,{base64.b64encode(digest).decode()}" in headers["webhook-signature"].split()
    assert request in orjson.dumps(orjson.loads(body)).decode()


@pytest.mark.parametrize("thin", [True, False])
def test_a_message_carries_the_number_that_its_client_gave_the_request(
    house: House, subscriber: Subscriber, thin: bool
) -> None:
    http = house.client()
    make(http, url=subscriber.url, types=["request.status-changed", "document.received"], thin=thin)
    house.hub.start_relay()
    house.hub.start_workers()
    request = submit(http, record(43)).json()["id"]
    tell(house, {"request": {"id": request}, "status": "in_progress", "native": {"code": "A", "label": "A"}})
    letter = {"id": "x", "name": "a.pdf", "media_type": "application/pdf", "size": 1, "sha256": "0" * 64}
    said = Event("document.received", f"/{TENANT}/hub", {"document": letter, "kind": "x", "request": {"id": request}})
    assert house.hub.acceptance.submit(house.hub.ledger, Origin.hub(TENANT), [said])[0].ok

    deadline = time.monotonic() + 20
    while len(subscriber.calls) < 2:
        assert time.monotonic() < deadline, "the subscriber was not called"
        time.sleep(0.02)
    for _, body in subscriber.calls:
        told = orjson.loads(body)["data"]
        assert told["recipient"] == {"system": "portail", "reference": "2026-43"}
        assert told["request_id"] == request


def test_a_subscriber_hears_only_of_the_requests_that_its_client_brought(house: House, subscriber: Subscriber) -> None:
    http, other = house.client(), house.client("guichet")
    make(http, url=subscriber.url, types=["request.received", "request.status-changed"])
    told = {"status": "in_progress", "native": {"code": "A", "label": "A"}}
    tell(house, {"request": {"id": submit(other, asked()).json()["id"]}, **told}, 1)
    mine = submit(http, asked()).json()["id"]
    tell(house, {"request": {"id": mine}, **told}, 2)

    with house.hub.ledger.reading() as tx:
        (counts,) = (states for name, states in tx.counts().items() if ".webhook-" in name)
    assert counts == {"expected": 1}


@pytest.mark.parametrize("both", ["sqlite", "postgresql"])
def test_a_client_that_makes_sixty_at_once_gets_as_many_as_it_may_have(
    open_house: Open, request: pytest.FixtureRequest, both: str
) -> None:
    more = {} if both == "sqlite" else {"database": request.getfixturevalue("postgres").fresh_database()}
    house = open_house(**more)
    http, other = house.client(), house.client("autre")

    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: make(http).status_code, range(60)))

    assert sorted(answers) == [201] * MOST + [422] * (60 - MOST)
    assert len(http.get("/v1/webhooks").json()["items"]) == MOST
    assert make(other).status_code == 201


@pytest.mark.parametrize(
    "url", ["https://portail.example/\x7f", "https://xn--a.example/", "https://\u2603.example/", "https://a\u200b.example/",
            "https://portail..example/", "https://" + "a" * 64 + ".example/", "https://10.0.0.1./",
            "https://db.internal./"],
)  # fmt: skip
def test_an_address_that_nobody_could_call_is_refused_at_the_door(house: House, url: str) -> None:
    assert problem(make(house.client(), url=url), 422, "url_refused")["pointer"] == "/url"
