"""A correction on its way from a source to those who obtained the evidence, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from tests.gateway.conftest import TENANT, post
from tests.gateway.test_exchanges import PERSON, Place
from tests.gateway.test_exchanges import place as _place
from tests.gateway.test_webhooks import Subscriber, subscriber
from tests.support.words import alone

place, heard = _place, subscriber
SOURCE = "source"
TOLD = ["evidence.corrected", "evidence.erased"]


def changed(number: int = 1, **more: Any) -> dict[str, Any]:
    data = {
        "citizen": {"identity": PERSON}, "evidence": "family-quotient", "version": 1, "fields": ["quotient"],
        "change": "corrected", "effective": "2026-10-01",
    }  # fmt: skip
    return {
        "specversion": "1.0", "type": "evidence.changed", "source": f"/{TENANT}/{SOURCE}", "id": f"change-{number}",
        "data": {**data, **more},
    }  # fmt: skip


def source(place: Place) -> httpx.Client:
    """The package that answers, as a client of its own."""
    return place.house.client(SOURCE, types=("evidence.changed",))


def items(client: httpx.Client) -> list[dict[str, Any]]:
    answer = client.get("/v1/corrections")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def test_a_client_without_a_webhook_reads_its_corrections_and_acknowledges_them(place: Place) -> None:
    portal = place.house.client()
    obtained = place.ask(portal).json()

    assert post(source(place), changed()).is_success

    (item,) = items(portal)
    assert (item["change"], item["cause"], item["fields"]) == ("corrected", "source", ["quotient"])
    assert (item["exchanges"], item["reference"]) == ([obtained["id"]], obtained["citizen"])
    assert not alone("815", orjson.dumps(item).decode())
    assert portal.get(f"/v1/corrections/{item['correction']}").json() == item
    done = portal.post(f"/v1/corrections/{item['correction']}/acknowledge").json()
    assert done["acknowledged_at"] is not None
    assert items(portal) == []


def test_a_webhook_that_took_it_leaves_nothing_in_the_list(place: Place, heard: Subscriber) -> None:
    portal = place.house.client()
    wanted = {"url": heard.url, "types": TOLD, "thin": True}
    assert portal.post("/v1/webhooks", json=wanted).status_code == 201
    obtained = place.ask(portal).json()
    place.house.hub.start_relay()
    place.house.hub.start_workers()

    post(source(place), changed())

    until(lambda: heard.calls and not items(portal))
    ((_, body),) = heard.calls
    said = orjson.loads(body)
    assert said["type"] == "evidence.corrected"
    assert sorted(said["data"]) == ["correction_id", "link"]
    known = portal.get(said["data"]["link"].removeprefix("http://hub.example")).json()
    assert known["exchanges"] == [obtained["id"]]
    assert known["told_at"] is not None


def test_a_figure_counts_what_nobody_was_told_of(place: Place) -> None:
    portal = place.house.client()
    place.ask(portal)
    post(source(place), changed())

    assert f'unefois_corrections_open{{tenant="{TENANT}"}} 1.0' in portal.get("/metrics").text


def test_a_portal_may_ask_again_and_gets_the_new_value(place: Place) -> None:
    portal = place.house.client()
    first = place.ask(portal).json()
    post(source(place), changed())

    second = place.ask(portal, citizen={"reference": items(portal)[0]["reference"], "identity": PERSON}).json()

    assert second["id"] != first["id"]
    assert second["stored"] is False


@pytest.mark.parametrize("name", ["not-an-id", "00000000-0000-0000-0000-000000000000", "a" * 36])
def test_what_is_no_correction_of_the_caller_is_not_there(place: Place, name: str) -> None:
    portal = place.house.client()
    assert portal.get(f"/v1/corrections/{name}").status_code == 404
    assert portal.post(f"/v1/corrections/{name}/acknowledge").status_code == 404


def test_a_client_that_is_no_source_may_not_say_that_evidence_changed(place: Place) -> None:
    refused = post(place.house.client("intrus", types=("citizen.address-changed",)), changed())

    assert refused.status_code == 403
