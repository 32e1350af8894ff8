"""`/v1/events`: what is taken, what is refused, and that a 2xx answer means committed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import func, select

from bus.tables import events
from gateway.routes.events import BATCH_BYTES
from hub.acceptance.turns import SHARE
from hub.clients.origin import Origin
from schemas.event import BATCH, STRUCTURED
from tests.gateway.conftest import OTHER, TENANT, House, Open, event, post, problem, record
from tests.support.binary import binary_http


def test_one_event_is_committed_before_the_answer(house: House) -> None:
    answer = post(house.client(), event())

    assert answer.status_code == 202
    assert answer.json()["outcome"] == "accepted"
    assert (answer.json()["source"], answer.json()["id"]) == ("/saint-aubin/portail", "event-1")
    assert house.stored() == answer.json()["sequence"] == 1


def test_the_same_event_again_is_a_duplicate_and_no_error(house: House) -> None:
    http = house.client()
    first = post(http, event())
    again = post(http, event())

    assert (again.status_code, again.json()["outcome"]) == (200, "duplicate")
    assert again.json()["sequence"] == first.json()["sequence"]
    assert house.stored() == 1


def test_a_replayed_id_with_another_body_is_refused(house: House) -> None:
    http = house.client()
    post(http, event())
    body = problem(post(http, event() | {"data": {"request": record(2)}}), 409, "id_reused")

    assert body["pointer"] == "/id"
    assert house.stored() == 1


def test_the_binary_form_is_read_from_its_headers(house: House) -> None:
    headers, body = binary_http(event("é 1"))
    answer = house.client().post("/v1/events", content=body, headers=headers)

    assert answer.status_code == 202
    assert answer.json()["id"] == "event-é 1"


def test_a_batch_gets_a_verdict_for_each_item_in_order(house: House) -> None:
    http = house.client()
    post(http, event(1))
    wrong = event(3)
    del wrong["data"]["request"]["procedure"]
    answer = post(http, [event(1), event(2), wrong, {"specversion": "1.0"}, event(2)])

    assert answer.status_code == 200
    verdicts = answer.json()["verdicts"]
    assert [v["outcome"] for v in verdicts] == ["duplicate", "accepted", "refused", "refused", "duplicate"]
    assert [v.get("id") for v in verdicts] == ["event-1", "event-2", "event-3", None, "event-2"]
    assert verdicts[2]["problem"]["code"] == "schema_violation"
    assert verdicts[2]["problem"]["pointer"].startswith("/data/request")
    assert verdicts[2]["problem"]["detail"]
    assert verdicts[3]["problem"]["code"] == "not_an_event"
    assert house.stored() == 2


def test_a_client_whose_share_waits_is_told_when_to_come_again_and_others_are_not(house: House) -> None:
    mine, another = house.client(), house.client("accueil")
    full = Origin(f"{TENANT}.portail", TENANT, frozenset(), ())
    house.hub.batcher._shares.enter(full, SHARE)

    refused = post(mine, [event(1)])

    problem(refused, 429, "rate_exceeded")
    assert refused.headers["retry-after"] == "2"
    assert post(another, event(2) | {"source": f"/{TENANT}/accueil"}).status_code != 429
    house.hub.batcher._shares.leave(full, SHARE)
    assert post(mine, event(1)).status_code == 202


def test_an_empty_batch_is_answered_with_no_verdict(house: House) -> None:
    assert post(house.client(), []).json()["verdicts"] == []


def test_a_batch_holds_at_most_500_events(house: House) -> None:
    problem(post(house.client(), [event(n) for n in range(501)]), 413, "batch_too_long")
    assert house.stored() == 0


def test_the_settings_may_ask_for_smaller_batches_and_events(open_house: Open) -> None:
    house = open_house(extra="[limits]\nbatch_events = 2\nevent_bytes = 2048\n")
    http = house.client()
    large = event(1) | {"data": {"request": record(1, form={"texte": "x" * 3000})}}

    problem(post(http, [event(n) for n in range(3)]), 413, "batch_too_long")
    problem(post(http, large), 413, "too_large")
    verdicts = post(http, [large, event(2)]).json()["verdicts"]
    assert [v["outcome"] for v in verdicts] == ["refused", "accepted"]
    assert verdicts[0]["problem"]["code"] == "too_large"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "not_json"),
        (b"", "not_json"),
        (b'{"specversion": "1.0", "id": "\xff"}', "not_json"),
        (b"[" * 100_0, "not_json"),
        (b"NaN", "not_json"),
        (b"[]", "not_an_event"),
        (b'"texte"', "not_an_event"),
        (b"{}", "not_an_event"),
    ],
)
def test_what_is_not_an_event_is_refused(house: House, content: bytes, code: str) -> None:
    answer = house.client().post("/v1/events", content=content, headers={"content-type": STRUCTURED})

    problem(answer, 400, code)
    assert house.stored() == 0


@pytest.mark.parametrize(("content", "code"), [(b"{}", "not_a_batch"), (b"[{]", "not_json")])
def test_what_is_not_a_batch_is_refused(house: House, content: bytes, code: str) -> None:
    problem(house.client().post("/v1/events", content=content, headers={"content-type": BATCH}), 400, code)


@pytest.mark.parametrize(
    ("change", "status", "code", "pointer"),
    [
        ({"specversion": "0.3"}, 400, "not_an_event", "/specversion"),
        ({"id": ""}, 400, "not_an_event", "/id"),
        ({"id": "a\u0000b"}, 400, "not_an_event", "/id"),
        ({"id": "a\u0092b"}, 400, "not_an_event", "/id"),
        ({"time": "hier"}, 400, "not_an_event", "/time"),
        ({"type": "chose.inconnue"}, 422, "unknown_type", "/type"),
        ({"dataschema": "urn:unefois:request.received:v99"}, 422, "unknown_schema", "/dataschema"),
        ({"type": "citizen.contact-changed"}, 403, "type_not_allowed", "/type"),
        ({"source": "/saint-aubin/autre"}, 403, "source_not_allowed", "/source"),
        ({"source": "/saint-aubin/portail-bis"}, 403, "source_not_allowed", "/source"),
        ({"source": f"/{OTHER}/portail"}, 403, "source_not_allowed", "/source"),
        ({"tenant": OTHER}, 403, "tenant_not_allowed", "/tenant"),
        ({"data": {}}, 422, "schema_violation", "/data/request"),
        ({"data": {"request": record(procedure="inconnue")}}, 422, "unknown_procedure", "/data/request/procedure"),
        ({"data": {"request": record(surprise=1)}}, 422, "schema_violation", "/data/request/surprise"),
    ],
)
def test_a_wrong_event_is_refused_with_code_and_pointer(
    house: House, change: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    types = ("request.received", "chose.inconnue")
    body = problem(post(house.client(types=types), event() | change), status, code)

    assert body["pointer"] == pointer
    assert house.stored() == 0


def test_no_refusal_repeats_what_was_sent(house: House) -> None:
    secret = "Quenneville-Solène"
    http = house.client()
    for change in ({"id": secret + "\u0001"}, {"time": secret}, {"data": {"request": record(intake=secret)}}):
        assert secret not in post(http, event() | change).text


@pytest.mark.parametrize("kind", ["application/json", "text/xml", "application/cloudevents+xml", ""])
def test_another_content_type_is_refused_and_told_which_are_taken(house: House, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = house.client().post("/v1/events", content=orjson.dumps(event()), headers=headers)

    problem(answer, 415, "unsupported_media_type")
    assert STRUCTURED in answer.headers["accept-post"]


def test_compressed_bodies_are_not_taken(house: House) -> None:
    headers = {"content-type": STRUCTURED, "content-encoding": "gzip"}
    problem(house.client().post("/v1/events", content=b"x", headers=headers), 415, "content_encoding")


def test_more_than_64_kib_is_refused_whether_announced_or_not(house: House) -> None:
    http = house.client()
    large = orjson.dumps(event() | {"data": {"request": record(form={"texte": "x" * 65_536})}})

    problem(http.post("/v1/events", content=large, headers={"content-type": STRUCTURED}), 413, "too_large")
    parts = (large[start : start + 4096] for start in range(0, len(large), 4096))  # chunked: no length is announced
    problem(http.post("/v1/events", content=parts, headers={"content-type": STRUCTURED}), 413, "too_large")
    assert house.stored() == 0


def test_one_event_too_large_in_a_batch_leaves_the_others(house: House) -> None:
    large = event(1) | {"data": {"request": record(1, form={"texte": "x" * 65_536})}}
    verdicts = post(house.client(), [large, event(2)]).json()["verdicts"]

    assert [v["outcome"] for v in verdicts] == ["refused", "accepted"]
    assert verdicts[0]["problem"]["status"] == 413


def test_a_batch_has_a_limit_of_its_own(house: House) -> None:
    answer = house.client().post("/v1/events", content=b" " * (BATCH_BYTES + 1), headers={"content-type": BATCH})
    problem(answer, 413, "too_large")


def test_a_document_that_the_client_did_not_store_cannot_be_named(house: House) -> None:
    document = {"id": "ab" * 32, "name": "plan.pdf", "media_type": "application/pdf", "size": 4, "sha256": "ab" * 32}
    named = event() | {"data": {"request": record(documents=[document])}}
    http = house.client()

    body = problem(post(http, named), 422, "document_not_yours")
    assert body["pointer"] == "/data/request/documents/0/id"
    verdicts = post(http, [named, event(2)]).json()["verdicts"]
    assert [v["outcome"] for v in verdicts] == ["refused", "accepted"]


def test_the_same_id_from_another_tenant_is_another_event(house: House) -> None:
    assert post(house.client(), event()).status_code == 202
    other = house.client("portail-bis", tenant=OTHER)
    assert post(other, event(client="portail-bis", tenant=OTHER)).status_code == 202
    assert house.stored() == 2


def test_500_calls_at_once_are_all_committed_once(house: House) -> None:
    http = house.client()

    async def flood() -> list[int]:
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(base_url=house.url, headers=http.headers, limits=limits, timeout=60) as client:
            kind = {"content-type": STRUCTURED}
            # Every tenth is sent twice at the same time.
            numbers = [n for n in range(500) for _ in range(2 if n % 10 == 0 else 1)]
            calls = (client.post("/v1/events", json=event(n), headers=kind) for n in numbers)
            return [answer.status_code for answer in await asyncio.gather(*calls)]

    statuses = asyncio.run(flood())

    assert (statuses.count(202), statuses.count(200)) == (500, 50)
    with house.hub.ledger.reading() as tx:
        assert tx.sql.execute(select(func.count(func.distinct(events.c.id)))).scalar_one() == 500
        seqs = [row.seq for row in tx.sql.execute(select(events.c.seq).order_by(events.c.seq))]
    assert seqs == list(range(1, 501))


def test_what_was_accepted_is_there_after_a_restart(house: House, tmp_path: Path) -> None:
    sequence = post(house.client(), event()).json()["sequence"]
    with house.hub.ledger.reading() as tx:
        assert tx.load([sequence])[sequence].event.source == f"/{TENANT}/portail"
