"""A twin made of an OpenAPI file: it refuses what that refuses, and keeps what it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from connectors.sdk.contract_twins.keeping import Keep
from connectors.sdk.contract_twins.openapi_check import check_of
from connectors.sdk.contract_twins.openapi_twin import Door, OpenApiTwin
from connectors.sdk.contract_twins.patterns import text_of
from connectors.sdk.contract_twins.values import numbered
from connectors.sdk.http import HttpClient
from connectors.sdk.twin import TwinCall
from schemas.errors import AccessDenied, Refused, TryLater

CARD = {
    "type": "object", "required": ["id", "name"],
    "properties": {
        "id": {"type": "integer", "readOnly": True}, "name": {"type": "string", "minLength": 2},
        "state": {"type": "string", "enum": ["open", "shut"]},
    },
}  # fmt: skip


def answering(schema: Any, **headers: Any) -> dict[str, Any]:
    return {"description": "", "headers": headers, "content": {"application/json": {"schema": schema}}}


def holding(name: str, schema: Any) -> dict[str, Any]:
    return {"type": "object", "required": [name], "properties": {name: schema}}


ONE = answering(holding("card", CARD))
TOTAL = {"X-Total": {"required": True, "schema": {"type": "integer"}}}
MANY = answering(holding("cards", {"type": "array", "items": CARD}), **TOTAL)
NO = answering(holding("code", {"type": "string", "enum": ["NO"]}))
STATE = {"name": "state", "in": "query", "schema": {"type": "string"}}
BODY = {"required": True, "content": {"application/json": {"schema": CARD}}}
DOCUMENT = {
    "openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "servers": [{"url": "https://t.example/api"}],
    "security": [{"bearer": []}, {"key": []}],
    "components": {"securitySchemes": {
        "bearer": {"type": "http", "scheme": "bearer"}, "key": {"type": "apiKey", "in": "query", "name": "k"},
    }},
    "paths": {
        "/cards": {
            "get": {"parameters": [STATE], "responses": {"200": MANY}},
            "post": {"requestBody": BODY, "responses": {"201": ONE, "422": NO}},
        },
        "/cards/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "get": {"responses": {"200": ONE, "404": NO}},
            "patch": {"requestBody": BODY, "responses": {"200": ONE, "409": NO}},
            "delete": {"responses": {"204": {"description": ""}}},
        },
        "/open": {"get": {"security": [], "responses": {"200": {"description": ""}}}},
    },
}  # fmt: skip
ADA = {"name": "Ada"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "openapi.json"
    found.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    return found


@pytest.fixture
def twin(path: Path) -> Iterator[OpenApiTwin]:
    with OpenApiTwin(path, keeps=[Keep("cards/{id}", "/card/id")]) as found:
        yield found


def say(twin: OpenApiTwin, method: str, path: str, said: Any = None, **query: str) -> Any:
    headers = {"authorization": "Bearer x"} | ({"content-type": "application/json"} if said is not None else {})
    body = json.dumps(said).encode() if said is not None else b""
    call = TwinCall(method, f"/api/{path}", query, headers, body)
    answer = twin.answer(call)
    assert twin.contract.answer_fault(call, answer) == ""
    return (answer.status, answer.body) if answer.status >= 300 else answer.body


def test_a_card_is_made_given_changed_listed_and_taken_away(twin: OpenApiTwin) -> None:
    made = say(twin, "POST", "cards", ADA)
    number = made["card"]["id"]

    assert made["card"]["name"] == "Ada"
    assert say(twin, "PATCH", f"cards/{number}", {"name": "Ada L", "state": "shut"})["card"] == {
        "id": number, "name": "Ada L", "state": "shut",
    }  # fmt: skip
    assert say(twin, "GET", f"cards/{number}")["card"]["name"] == "Ada L"
    second = say(twin, "POST", "cards", {"name": "Bob"})["card"]["id"]
    assert [one["id"] for one in say(twin, "GET", "cards")["cards"]] == [number, second]
    assert [one["id"] for one in say(twin, "GET", "cards", state="shut")["cards"]] == [number]
    assert say(twin, "DELETE", f"cards/{number}") is None
    assert say(twin, "GET", f"cards/{number}") == (404, {"code": "NO"})


FORM = {"authorization": "Bearer x", "content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("place", ["query", "form", "form of a table"])
def test_what_is_said_in_the_query_or_as_a_form_changes_a_record_as_json_does(tmp_path: Path, place: str) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    card = {**CARD, "properties": {**CARD["properties"], "rank": {"type": "integer"}, "blocked": {"type": "boolean"}}}
    document["paths"]["/cards/{id}"]["get"]["responses"]["200"] = answering(holding("card", card))
    names = ("name", "rank", "blocked")
    document["paths"]["/cards/{id}"]["patch"] = {
        "parameters": [{"name": name, "in": "query", "schema": {}} for name in names],
        "requestBody": {"content": {FORM["content-type"]: {"schema": {"type": "object"}}}},
        "responses": {"200": answering(holding("card", card))},
    }  # fmt: skip
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    said = {"name": "Ada", "rank": "7", "blocked": "true"}
    body = urlencode({f"card[{name}]" if "table" in place else name: one for name, one in said.items()}).encode()
    with OpenApiTwin(path, keeps=[Keep("cards/{id}", "/card/id")]) as twin:
        twin.shelves[0].know("4")
        call = (said, FORM, b"") if place == "query" else ({}, FORM, body)
        assert twin.answer(TwinCall("PATCH", "/api/cards/4", *call)).status == 200

        found = say(twin, "GET", "cards/4")["card"]
        assert [found[name] for name in names] == ["Ada", 7, True]


@pytest.mark.parametrize(
    ("method", "address", "said", "status"),
    [
        ("POST", "cards", {"name": "A"}, 422),
        ("POST", "cards", {}, 422),
        ("POST", "cards", {"name": "Ada", "id": 7}, 422),
        ("POST", "cards", {"name": "Ada", "state": "ajar"}, 422),
        ("POST", "cards", None, 422),
        ("PATCH", "cards/seven", ADA, 400),
        ("PUT", "cards/7", ADA, 405),
        ("GET", "cards/7/lines", None, 404),
        ("GET", "cards/7", None, 404),
    ],
)
def test_what_the_contract_refuses_is_refused_in_its_own_words(
    twin: OpenApiTwin, method: str, address: str, said: Any, status: int
) -> None:
    before = twin.effects()

    assert say(twin, method, address, said)[0] == status
    assert twin.effects() == before


def test_who_proves_nothing_is_not_let_in(twin: OpenApiTwin) -> None:
    for headers, query, status in (
        ({}, {}, 401), ({"authorization": "Basic eDp5"}, {}, 401), ({"authorization": "Bearer a"}, {}, 200),
        ({}, {"k": "a"}, 200),
    ):  # fmt: skip
        assert twin.answer(TwinCall("GET", "/api/cards", query, headers, b"")).status == status
    twin.accepted.add("right")
    assert twin.answer(TwinCall("GET", "/api/cards", {"k": "wrong"}, {}, b"")).status == 401
    assert twin.answer(TwinCall("GET", "/api/cards", {"k": "right"}, {}, b"")).status == 200
    assert twin.answer(TwinCall("GET", "/api/open", {}, {}, b"")).status == 401, "every call bears what was given"


def test_what_is_given_at_the_door_lets_in(path: Path) -> None:
    with OpenApiTwin(path, door=Door("POST", "/token", token="/access_token")) as twin:
        twin.accepted.add("nobody's")
        token = twin.answer(TwinCall("POST", "/token", {}, {}, b"a=b")).body["access_token"]

        assert twin.answer(TwinCall("GET", "/api/cards", {}, {"authorization": f"Bearer {token}"}, b"")).status == 200
        assert twin.answer(TwinCall("GET", "/api/cards", {}, {"authorization": "Bearer else"}, b"")).status == 401


def test_it_is_a_twin_over_real_sockets_that_misbehaves(twin: OpenApiTwin) -> None:
    client = HttpClient(f"{twin.url}/api", headers={"authorization": "Bearer x"}, timeout=2)
    try:
        assert client.request("POST", "cards", json=ADA, expect=(201,)).json()["card"]["name"] == "Ada"
        assert twin.operations == ["POST /api/cards"]
        twin.refuse(409, operation="PATCH cards/{id}")
        with pytest.raises(Refused):
            client.request("PATCH", "cards/1", json=ADA)
        twin.misbehave("503")
        with pytest.raises(TryLater):
            client.request("GET", "cards")
        twin.misbehave("401", 2)
        with pytest.raises(AccessDenied):
            client.request("GET", "cards")
    finally:
        client.close()


def test_a_repetition_that_bears_its_key_does_nothing_again(twin: OpenApiTwin) -> None:
    twin.key_headers.add("idempotency-key")
    headers = {"authorization": "Bearer x", "content-type": "application/json", "idempotency-key": "k-1"}
    call = TwinCall("POST", "/api/cards", {}, headers, json.dumps(ADA).encode())

    assert twin.answer(call) == twin.answer(call)
    assert len(twin.effects()["written"]) == 1
    assert len(twin.shelves[0].records) == 1


def test_the_file_is_read_and_understood_once(path: Path) -> None:
    assert check_of(path) is check_of(path)
    assert OpenApiTwin(path).contract is check_of(path)


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{5}$", r"^\+[1-9][0-9]{6,14}$", "^(M|MME)$", r"^[A-Z]{2}\d{2}[^;]+\s\w$", r"^[^a1]x?$", r"(?:ab){2,3}c*",
        r"^[a-zA-Z0-9_.+-]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+$", r"^(?i:abc)$",
    ],
)  # fmt: skip
def test_a_text_is_made_of_a_pattern(pattern: str) -> None:
    made = text_of(pattern)

    assert made is not None

    assert re.search(pattern, made)


@pytest.mark.parametrize("pattern", ["(?=b)a", "[", r"\p{L}+"])
def test_a_pattern_that_is_beyond_it_gives_nothing(pattern: str) -> None:
    assert text_of(pattern) is None


def test_values_are_numbered_in_their_form() -> None:
    assert [numbered(one, 2) for one in (7, "A-009", "x", True, None)] == [9, "A-011", "x2", True, None]
