"""A package without a connector of ours that is called at its own address."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from schemas.secret import Secret
from tests.gateway.called_package import Package
from tests.gateway.conftest import TENANT, House, Open, post, record
from tests.gateway.pulling import CLIENT, PACKAGE, folder_of, moved, puller, say, state
from tests.support.reading import eventually

KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def called_house(open_house: Open, place: Path, package: Package, **more: Any) -> House:
    folder = folder_of(place, outside="webhook")
    settings = {"url": package.url, "signing_keys": [Secret(KEY)], "allow_insecure": True}
    connection = {"connector": "loisirs", "client": CLIENT, "settings": settings, **more}
    return open_house({"loisirs": connection}, connectors_dir=str(folder))


def start(house: House) -> None:
    house.hub.start_relay()
    house.hub.start_workers()


@pytest.fixture
def house(open_house: Open, tmp_path: Path, package: Package) -> House:
    return called_house(open_house, tmp_path, package)


def test_a_package_is_called_with_the_signed_event_that_it_may_see(house: House, package: Package) -> None:
    say(house, moved(1, 4))
    start(house)
    eventually(lambda: package.calls)

    headers, body = package.calls[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(base64.b64decode(KEY.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert f"v1,{base64.b64encode(digest).decode()}" in headers["webhook-signature"].split()
    assert headers["content-type"] == "application/cloudevents+json"
    event = json.loads(body)
    assert (event["type"], event["id"], set(event["data"])) == ("citizen.address-changed", "move-1-4", {"new_address"})
    eventually(lambda: state(house) == {"delivered": 1})


def test_the_events_of_one_person_come_in_order_and_wait_for_each_other(house: House, package: Package) -> None:
    refusals = [503]

    def answering(_package: Package, _key: str, event: dict[str, Any]) -> tuple[int, str, bytes]:
        number = event["data"]["new_address"]["value"]["house_number"]
        return (refusals.pop() if number == "2" and refusals else 200), "text/plain", b""

    package.answering = answering
    say(house, *(moved(1, number) for number in (1, 2, 3, 4)))
    start(house)
    eventually(lambda: state(house) == {"delivered": 4})
    assert package.houses() == [1, 2, 2, 3, 4]
    assert len(set(package.keys())) == 4


def test_a_problem_with_422_is_the_packages_no(house: House, package: Package) -> None:
    problem = json.dumps({"title": "non", "detail": "Formulaire inconnu", "code": "F-7"}).encode()
    package.answering = lambda *_: (422, "application/problem+json", problem)
    portal = house.client()
    made = portal.post("/v1/requests", json=record(7)).json()["id"]
    start(house)

    eventually(lambda: state(house) == {"refused": 1})
    assert "Formulaire inconnu" in portal.get(f"/v1/requests/{made}").text
    with house.hub.ledger.reading() as tx:
        (row,) = tx.troubles(tenant=TENANT, state="refused")
    assert row["fault"] == "refused.F-7"


@pytest.mark.parametrize(
    ("status", "media", "body"),
    [
        (422, "text/html", b"<p>no</p>"), (422, "application/problem+json", b"{"),
        (422, "application/problem+json", b"[]"), (400, "application/problem+json", b'{"detail": "x"}'),
        (503, "text/plain", b""), (302, "text/plain", b""),
    ],
)  # fmt: skip
def test_whatever_else_it_answers_is_tried_again(
    house: House, package: Package, status: int, media: str, body: bytes
) -> None:
    package.answering = lambda *_: (status, media, body)
    say(house, moved(1, 1))
    start(house)
    eventually(lambda: state(house) == {"waiting": 1})


def test_410_pauses_the_connection(house: House, package: Package) -> None:
    package.answering = lambda *_: (410, "text/plain", b"")
    say(house, moved(1, 1))
    start(house)

    def paused() -> bool:
        with house.hub.ledger.reading() as tx:
            return PACKAGE in tx.paused()

    eventually(paused)


def test_the_reference_that_it_answers_is_kept(house: House, package: Package) -> None:
    package.answering = lambda *_: (200, "application/json", b'{"reference": "L-9"}')
    say(house, moved(1, 1))
    start(house)
    eventually(lambda: state(house) == {"delivered": 1})
    say(house, moved(1, 2))
    eventually(lambda: len(package.calls) == 2)
    assert package.events()[1]["data"]["recipient"] == {"system": "loisirs", "reference": "L-9"}


def test_observe_calls_nobody(open_house: Open, tmp_path: Path, package: Package) -> None:
    house = called_house(open_house, tmp_path, package, mode="observe")
    say(house, moved(1, 1))
    start(house)
    eventually(lambda: state(house) == {"delivered": 1})
    assert package.calls == []


def test_what_it_says_by_http_does_not_come_back_to_it(house: House, package: Package) -> None:
    http = puller(house)
    body = {
        "specversion": "1.0", "id": "loisirs-1", "source": f"/{TENANT}/loisirs", "type": "citizen.address-changed",
        "data": {**moved(1, 7).data, "citizen": {"references": [{"system": "loisirs", "id": "L-1"}]}},
    }  # fmt: skip
    assert post(http, body).status_code == 202
    start(house)
    say(house, moved(2, 1))
    eventually(lambda: state(house) == {"delivered": 1})
    assert package.houses() == [1]


def test_a_called_package_has_nothing_to_pull(house: House) -> None:
    assert puller(house).get("/v1/deliveries").status_code == 404
