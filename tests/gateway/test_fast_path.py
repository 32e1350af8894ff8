"""The fast path changes nothing but the time: asked the same, the application answers the same without it."""

from __future__ import annotations

import re
from typing import Any

import pytest
import structlog
from fastapi import FastAPI

from gateway.fast_path import PATHS, FastPathApp, fast_routes
from gateway.serving.app import create_app
from schemas.event import STRUCTURED
from tests.gateway.conftest import House, Open, event, post
from tests.gateway.test_exchanges import Place, place
from tests.support.binary import binary_http

__all__ = ["place"]


def app_of(house: House) -> FastPathApp:
    app = house.serving._server.config.app
    assert isinstance(app, FastPathApp)
    return app


def answers_and_log(house: House, fast: bool) -> list[Any]:
    """What calls to the busiest route are answered and how they are logged, by either way through the gateway."""
    if not fast:
        app_of(house).fast = {}
    http, media = house.client(), {"content-type": STRUCTURED}
    binary, data = binary_http(event(2))
    with structlog.testing.capture_logs() as lines:
        answers = [
            post(http, event(1)), post(http, event(1)), post(http, event(1) | {"subject": "autre"}),
            http.post("/v1/events", content=data, headers=binary), post(http, [event(1), event(3), {}, event(4)]),
            http.post("/v1/events?page=1", json=event(5), headers=media),
            http.post("/v1/events?", json=event(5), headers=media), post(house.anonymous(), event(6)),
            post(house.client("sans-droit", scopes=("requests:read",)), event(6)),
            house.anonymous().post("/v1/events", headers={"authorization": "Bearer x"}),
            http.post("/v1/events", content=b"{", headers=media), http.post("/v1/events", json=event(6)),
            http.post("/v1/events", content=b"x" * 70_000, headers=media),
            http.post("/v1/events", json=event(6), headers=media | {"content-encoding": "gzip"}),
            post(http, event(6) | {"data": {}}), post(http, event(6) | {"source": "/autre"}),
            http.post("/v1/events/", json=event(6), headers=media), http.get("/v1/events"),
        ]  # fmt: skip
        house.hub.acceptance.check = None  # type: ignore[assignment, method-assign]
        answers.append(post(http, event(7)))
    changing = {"tracking-id", "date", "ms", "tracking", "where"}
    shown = [(answer.status_code, {k: v for k, v in answer.headers.items() if k not in changing},
              re.sub(r"[0-9a-f]{32}|[0-9a-f-]{36}", "drawn", answer.text)) for answer in answers]  # fmt: skip
    return [shown, [{k: v for k, v in line.items() if k not in changing} for line in lines]]


def test_events_are_answered_and_logged_the_same_on_both_ways(open_house: Open) -> None:
    fast, plain = answers_and_log(open_house(), True), answers_and_log(open_house(), False)

    assert fast == plain
    assert [status for status, _, _ in fast[0]] == [
        202, 200, 409, 202, 200, 400, 202, 401, 403, 401, 400, 415, 413, 415, 422, 403, 404, 405, 500,
    ]  # fmt: skip


def answers_to_questions(place: Place) -> list[Any]:
    client, media = place.house.client(), {"content-type": "application/json"}
    answers = [
        place.ask(client), place.ask(client, evidence="tax-situation"), place.ask(client, asker=None),
        place.ask(place.house.anonymous()),
        place.ask(place.house.client("lecteur", scopes=("requests:read",))),
        client.post("/v1/exchanges", content=b"{", headers=media), client.post("/v1/exchanges", content=b"{}"),
        client.post("/v1/exchanges", content=b"x" * 2_000_000, headers=media), client.get("/v1/exchanges"),
    ]  # fmt: skip
    changing = {"tracking-id", "date", "content-length"}
    return [
        (answer.status_code, answer.json().get("code"), sorted(answer.json()),
         {name: value for name, value in answer.headers.items() if name not in changing})
        for answer in answers
    ]  # fmt: skip


def test_exchanges_are_answered_the_same_on_both_ways(place: Place) -> None:
    fast = answers_to_questions(place)
    app_of(place.house).fast = {}

    assert fast == answers_to_questions(place)
    assert [status for status, *_ in fast] == [200, 403, 422, 401, 403, 400, 415, 413, 405]


def test_what_is_posted_to_these_paths_alone_spares_the_layers_of_fastapi(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[str] = []
    through = FastAPI.__call__

    async def counted(self: FastAPI, scope: Any, receive: Any, send: Any) -> None:
        passed.append(f"{scope['method']} {scope['path']}")
        await through(self, scope, receive, send)

    monkeypatch.setattr(FastAPI, "__call__", counted)
    http = house.anonymous()
    for path in (*PATHS, "/v1/documents"):
        http.post(path)
    http.get("/v1/events")

    assert passed == ["POST /v1/documents", "GET /v1/events"]


def test_without_it_the_application_is_complete(house: House) -> None:
    services = house.hub.services()
    fast, plain = create_app(services), create_app(services, fast=False)

    assert isinstance(fast, FastPathApp)
    assert isinstance(plain, FastPathApp)
    assert (set(fast.fast), set(plain.fast)) == (set(PATHS), set())
    assert fast.routes == plain.routes


def test_a_path_that_is_no_route_stops_the_start(house: House) -> None:
    app = FastPathApp()

    with pytest.raises(ValueError, match="/v1/events, /v1/exchanges"):
        fast_routes(app, create_app(house.hub.services()).state.access)
