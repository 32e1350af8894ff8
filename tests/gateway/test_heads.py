"""`HEAD` is answered wherever `GET` is, with its headers and without its content."""

from __future__ import annotations

import re
from typing import Any

from fastapi.routing import APIRoute

from tests.gateway.conftest import House


def paths(house: House) -> list[str]:
    app: Any = house.serving._server.config.app
    routes = [route for route in app.routes if "GET" in (getattr(route, "methods", None) or ())]
    assert sum(isinstance(route, APIRoute) for route in routes) > 20
    return [re.sub(r"{[^}]*}", "x", route.path) for route in routes]


def test_every_route_that_is_read_answers_a_head_as_it_answers_a_get(house: House) -> None:
    http, nobody = house.client(), house.anonymous()

    for path in paths(house):
        for who in (http, nobody):
            asked, read = who.head(path), who.get(path)
            assert (path, asked.status_code, asked.content) == (path, read.status_code, b"")
            assert asked.headers.get("content-type") == read.headers.get("content-type"), path
            assert "tracking-id" in asked.headers


def test_a_head_says_how_long_the_content_would_be(house: House) -> None:
    http = house.anonymous()

    assert http.head("/healthz").headers["content-length"] == http.get("/healthz").headers["content-length"]


def test_a_head_to_what_is_only_posted_is_refused(house: House) -> None:
    assert house.client().head("/v1/events").status_code == 405
    assert "HEAD" in house.client().put("/v1/procedures").headers["allow"]
