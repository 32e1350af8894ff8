"""What stands after the `?` is known to the route, or refused: nobody believes in a filter that filters nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.routing import APIRoute

from gateway.access import PUBLIC
from tests.gateway.conftest import House, problem


def test_every_guarded_call_refuses_a_parameter_that_it_does_not_know(house: House) -> None:
    app: Any = house.serving._server.config.app
    http = house.client()
    for route in app.routes:
        assert isinstance(route, APIRoute)
        if route.path in PUBLIC:
            continue
        address = re.sub(r"\{[^}]+\}", "x", route.path)
        for method in sorted(route.methods):
            answer = http.request(method, f"{address}?surprise=1")
            if method == "HEAD":
                assert answer.status_code == 400
                continue
            body = problem(answer, 400, "bad_parameter")
            assert body["detail"].startswith("surprise: "), f"{method} {route.path}"
            assert body["in"] == "query"


@pytest.mark.parametrize("query", ["statut=received", "limit=2&Limit=3", "=1", "surprise", "status%5B%5D=received"])
def test_a_name_that_is_nearly_right_is_not_right(house: House, query: str) -> None:
    body = problem(house.client().get(f"/v1/requests?{query}"), 400, "bad_parameter")
    assert "citizen, cursor, limit, status, updated_since" in body["detail"]


@pytest.mark.parametrize(
    "place", ["/v1/requests?limit=1&limit=2", "/v1/requests?cursor=a&cursor=b", "/v1/corrections?limit=1&limit=1",
              "/v1/citizens/x/exchanges?since=1&since=2"],
)  # fmt: skip
def test_one_value_is_not_given_twice(house: House, place: str) -> None:
    assert "more than once" in problem(house.client().get(place), 400, "bad_parameter")["detail"]


def test_who_may_not_call_does_not_learn_which_parameters_there_are(house: House) -> None:
    powerless = house.client("sans-droit", scopes=())
    problem(house.anonymous().get("/v1/requests?surprise=1"), 401, "token_missing")
    problem(powerless.get("/v1/requests?surprise=1"), 403, "scope_missing")


def test_a_long_name_is_not_repeated_whole(house: House) -> None:
    body = problem(house.client().get("/v1/requests?" + "x" * 5000), 400, "bad_parameter")
    assert len(body["detail"]) < 300


def test_the_description_says_that_a_guarded_call_may_be_refused_so(house: House) -> None:
    paths = house.anonymous().get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            if "security" in operation:
                assert "400" in operation["responses"], f"{method} {path}"
