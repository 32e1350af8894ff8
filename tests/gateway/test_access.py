"""No route is open by mistake; every answer is dressed; the log says who called and nothing of what they said."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute

from gateway.access import PUBLIC, SCOPES, guard_all
from gateway.serving.app import create_app
from hub.clients.repository import SCOPES as KNOWN
from tests.gateway.conftest import House, event, post, problem


def routes(house: House) -> list[tuple[str, str]]:
    app: Any = house.serving._server.config.app
    return [(method, route.path) for route in app.routes for method in sorted(route.methods - {"OPTIONS"})]


def test_every_route_is_public_for_a_reason_or_asks_for_a_scope(house: House) -> None:
    nobody, powerless = house.anonymous(), house.client("sans-droit", scopes=())
    for method, path in routes(house):
        if path in PUBLIC:
            continue
        address = re.sub(r"\{[^}]+\}", "x", path)
        for http, status, code in ((nobody, 401, "token_missing"), (powerless, 403, "scope_missing")):
            answer = http.request(method, address)
            assert answer.status_code == status, f"{method} {path}"
            if method != "HEAD":
                problem(answer, status, code)


def test_each_scope_opens_its_own_routes_and_no_other(house: House) -> None:
    app: Any = house.serving._server.config.app
    asked: dict[str, str] = {}
    for route in app.routes:
        assert isinstance(route, APIRoute)
        for method in route.methods or ():
            scopes = [s for d in route.dependant.dependencies for s in (d.own_oauth_scopes or ())]
            if scopes:
                (asked[f"{method} {route.path}"],) = scopes
    for scope in SCOPES:
        http = house.client(scope.replace(":", "-"), scopes=(scope,))
        for place, needed in asked.items():
            method, path = place.split(" ")
            answer = http.request(method, re.sub(r"\{[^}]+\}", "x", path))
            refused = answer.status_code == 403 and b'"no_grant"' not in answer.content
            assert refused == (needed != scope), f"{place} with {scope}: {answer.status_code}"


def test_the_scopes_of_clients_are_those_of_the_routes() -> None:
    assert set(SCOPES) == set(KNOWN)


def test_a_route_that_nobody_guards_stops_the_start(house: House) -> None:
    app = create_app(house.hub.services())
    app.get("/v1/oubli")(lambda: None)
    with pytest.raises(AssertionError, match="/v1/oubli"):
        guard_all(app)
    bare = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    guard_all(bare)


@pytest.mark.parametrize("path", ["/healthz", "/nulle-part", "/v1/requests", "/docs", "/openapi.json"])
def test_every_answer_carries_the_security_headers(house: House, path: str) -> None:
    headers = house.anonymous().get(path).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"]
    assert re.fullmatch("[0-9a-f]{32}", headers["tracking-id"])
    assert "server" not in headers


def test_behind_tls_browsers_are_told_to_stay_there(open_house: Any) -> None:
    house = open_house(public_url="https://hub.example")
    assert "max-age" in house.anonymous().get("/healthz").headers["strict-transport-security"]


def test_an_unknown_place_and_method_are_problems(house: House) -> None:
    http = house.anonymous()
    problem(http.get("/nulle-part"), 404, "not_found")
    problem(http.get("/console/../etc/passwd"), 404, "not_found")
    answer = http.put("/v1/events")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_the_log_names_the_client_and_the_call_but_no_query_token_or_body(house: House) -> None:
    http = house.client()
    with structlog.testing.capture_logs() as lines:
        tracking = post(http, event()).headers["tracking-id"]
        http.get("/v1/requests", params={"cursor": "secret-Quenneville"})
        http.get("/v1/requests/inconnu")
    text = json.dumps(lines)

    first, listed, missing = (line for line in lines if line["event"] == "call")
    assert (first["method"], first["path"], first["status"]) == ("POST", "/v1/events", 202)
    assert (first["client_id"], first["tracking"]) == ("portail", tracking)
    assert (listed["path"], listed["problem"]) == ("/v1/requests", "bad_cursor")
    assert missing["problem"] == "not_found"
    for word in ("Quenneville", "Tilleuls", http.headers["authorization"].split(" ")[1]):
        assert word not in text


def test_probes_are_not_in_the_log_of_calls(house: House) -> None:
    with structlog.testing.capture_logs() as lines:
        house.anonymous().get("/healthz")
    assert [line["log_level"] for line in lines if line["event"] == "call"] == ["debug"]
