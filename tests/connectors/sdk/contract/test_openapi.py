"""OpenAPI and Swagger documents as contracts, and what is told of those that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.contract.documents import read_document
from connectors.sdk.contract.model import Contract
from connectors.sdk.contract.reading import read_contract
from schemas.errors import ConfigError

PERSON = {
    "type": "object", "required": ["id", "name"],
    "properties": {
        "id": {"type": "integer", "readOnly": True}, "name": {"type": "string", "maxLength": 40},
        "mail": {"type": "string", "format": "email", "nullable": True}, "born": {"type": "string", "format": "date"},
        "state": {"type": "string", "enum": ["open", "shut", None], "nullable": True},
        "tags": {"type": "array", "items": {"type": "string"}},
        "parent": {"$ref": "#/components/schemas/Person"},
    },
}  # fmt: skip


def document(**more: Any) -> dict[str, Any]:
    answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Person"}}}}
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Person"}}}}
    found: dict[str, Any] = {
        "openapi": "3.0.3", "info": {"title": "Agenda", "version": "2"}, "servers": [{"url": "https://a.example/api/v1/"}],
        "components": {"schemas": {"Person": PERSON}, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "paths": {
            "/people/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
                "get": {"responses": {"200": answer, "404": {"description": "nobody"}}},
                "patch": {"summary": "Change", "requestBody": body, "responses": {"200": answer, "422": {}}},
            },
        },
    }  # fmt: skip
    return found | more


def written(folder: Path, found: Any, name: str = "contract.json") -> Path:
    path = folder / name
    path.write_text(found if isinstance(found, str) else json.dumps(found), encoding="utf-8")
    return path


def contract(folder: Path, found: Any, name: str = "contract.json") -> Contract:
    return read_contract(written(folder, found, name))


def answering(schema: Any) -> dict[str, Any]:
    said = {"200": {"content": {"application/json": {"schema": schema}}}}
    return document(paths={"/people": {"get": {"responses": said}}})


def test_operations_are_named_as_a_manifest_names_them_and_say_what_they_ask_and_give(tmp_path: Path) -> None:
    found = contract(tmp_path, document())

    assert [one.name for one in found.operations] == ["GET people/{id}", "PATCH people/{id}"]
    assert (found.title, found.version, found.base) == ("Agenda", "2", "/api/v1")
    assert found.security == ({"type": "http", "scheme": "bearer"},)
    change = found.operation("PATCH people/{id}")
    assert change is not None
    assert (change.about, change.harmless, change.faults) == ("Change", False, ("422",))
    asked = {one.place: one for one in change.asks}
    assert asked["id"].where == "path"
    assert asked["id"].required
    assert (asked["/name"].required, asked["/name"].limits) == (True, {"maxLength": 40})
    assert (asked["/mail"].required, asked["/mail"].nullable) == (False, True)
    assert (asked["/born"].type, asked["/state"].choices, asked["/tags/0"].type) == ("date", ("open", "shut"), "text")
    assert not [place for place in asked if place.startswith("/parent")], "a schema within itself is not followed"


@pytest.mark.parametrize(
    ("schema", "lists"),
    [
        ({"type": "array", "items": PERSON}, ""),
        ({"type": "object", "properties": {"data": {"type": "array", "items": PERSON}, "meta": {}}}, "/data"),
        ({"type": "object", "properties": {"people": {"type": "array", "items": PERSON}}}, "/people"),
        ({"type": "object", "properties": {"name": {}, "lines": {"type": "array", "items": PERSON}}}, None),
        (PERSON, None),
    ],
    ids=["the answer", "a member beside others", "the one member", "lines of a record", "a record"],
)  # fmt: skip
def test_where_a_list_stands_is_told(tmp_path: Path, schema: Any, lists: str | None) -> None:
    [operation] = contract(tmp_path, answering(schema)).operations

    assert operation.lists == lists
    assert lists is None or "/name" in {one.place for one in operation.gives}


def test_alternatives_are_decided_and_all_parts_are_taken(tmp_path: Path) -> None:
    schema = {
        "allOf": [PERSON, {"properties": {"rank": {"anyOf": [{"type": "null"}, {"type": "integer"}]}}}],
        "required": ["rank"],
    }
    [operation] = contract(tmp_path, answering(schema)).operations

    found = {one.place: one for one in operation.gives}
    assert found["/name"].required
    assert (found["/rank"].type, found["/rank"].nullable, found["/rank"].required) == ("integer", True, True)


def test_lists_of_types_are_read(tmp_path: Path) -> None:
    [operation] = contract(
        tmp_path, answering({"type": "object", "properties": {"a": {"type": ["null", "number"]}}})
    ).operations

    assert [(one.type, one.nullable) for one in operation.gives] == [("number", True)]


def test_examples_are_those_of_the_answer_and_else_of_the_value(tmp_path: Path) -> None:
    said = {"schema": {"type": "object", "properties": {"a": {"example": "one"}, "b": {"example": "two"}}}}
    found = document(
        paths={"/x": {"get": {"responses": {"200": {"content": {"application/json": said | {"example": {"b": "B"}}}}}}}}
    )
    [operation] = contract(tmp_path, found).operations

    assert {one.place: one.example for one in operation.gives} == {"/a": "one", "/b": "B"}


def test_yaml_is_read_as_the_json_that_it_stands_for(tmp_path: Path) -> None:
    text = "info: {title: no, version: 2026-03-02}\nx: [12:30, 01000, on, yes, 7, 1.5, true, ~]\n"
    found = read_document(written(tmp_path, text, "c.yaml"))

    assert found["info"] == {"title": "no", "version": "2026-03-02"}
    assert found["x"] == ["12:30", "01000", "on", "yes", 7, 1.5, True, None]


def test_swagger_2_is_read_as_openapi(tmp_path: Path) -> None:
    found = contract(tmp_path, {
        "swagger": "2.0", "info": {"title": "T", "version": "1"}, "host": "a.example", "basePath": "/rest",
        "securityDefinitions": {"b": {"type": "basic"}},
        "definitions": {"P": {"type": "object", "properties": {"name": {"type": "string", "x-nullable": True}}}},
        "paths": {
            "/p/{id}": {
                "put": {
                    "parameters": [
                        {"name": "id", "in": "path", "type": "integer", "required": True},
                        {"name": "b", "in": "body", "schema": {"$ref": "#/definitions/P"}},
                    ],
                    "responses": {"200": {"schema": {"type": "array", "items": {"$ref": "#/definitions/P"}}}},
                },
                "post": {
                    "parameters": [{"name": "f", "in": "formData", "type": "string", "required": True}],
                    "responses": {},
                },
            }
        },
    })  # fmt: skip

    put, post = found.operations
    assert (found.base, found.security) == ("/rest", ({"type": "http", "scheme": "basic"},))
    assert [(one.place, one.where) for one in put.asks] == [("id", "path"), ("/name", "body")]
    assert (put.lists, put.gives[0].nullable) == ("", True)
    assert [(one.place, one.where, one.required) for one in post.asks] == [("/f", "form", True)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "neither JSON nor YAML"),
        ("[]", "holds no object"),
        ('{"a": 1}', "no contract that can be read"),
        ('{"openapi": "4.0.0"}', "no OpenAPI 3"),
        ('{"openapi": "3.0.0"}', "names no paths"),
        ("a: &a [*a]\nopenapi: 3.0.0\n", "too deep"),
        ("a: [" + "[" * 5000, "nesting depth"),
        (json.dumps(answering({"$ref": "#/components/schemas/Nobody"})), "leads nowhere"),
        (json.dumps(answering({"$ref": "other.yaml#/Person"})), "write the contract as one file"),
    ],
    ids=["cut", "list", "other", "version", "paths", "alias of itself", "deep", "lost reference", "other file"],
)
def test_what_is_no_contract_is_told_with_its_file(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text, "c.yaml")

    with pytest.raises(ConfigError, match=told) as raised:
        read_contract(path)
    assert raised.value.key == str(path)


def test_aliases_that_swell_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    with pytest.raises(ConfigError, match="too large"):
        read_contract(written(tmp_path, "\n".join(lines), "c.yaml"))


def test_a_file_that_is_not_there_or_too_large_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_contract(tmp_path / "none.json")
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    with pytest.raises(ConfigError, match="larger than 16 MiB"):
        read_contract(large)
