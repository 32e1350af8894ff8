"""What public reports say of contracts that break their readers: each is read, made and checked here.

- https://github.com/python-openapi/openapi-core/issues/868, https://github.com/python-openapi/openapi-spec-validator/issues/400:
  alternatives that are made of what they are alternatives of
- https://github.com/python-openapi/openapi-core/issues/122: lists of themselves, and groups of users of groups
- https://github.com/ajv-validator/ajv/issues/993, https://github.com/python-openapi/openapi-spec-validator/issues/378:
  `nullable` beside `enum`
- https://github.com/python-openapi/openapi-core/issues/265, /672, https://github.com/openapi-library/OpenAPIValidators/issues/229:
  literal steps of a path before names, and names that hold a hyphen
- https://github.com/python-openapi/openapi-core/issues/250: `deepObject`
- https://github.com/cdimascio/express-openapi-validator/issues/533: a parameter with `content`
- https://github.com/python-openapi/openapi-core/issues/66: `oneOf` with a discriminator
- https://github.com/schemathesis/schemathesis/issues/3194: lists of types
- https://github.com/cdimascio/express-openapi-validator/issues/124: a media type with its charset
- https://github.com/plutov/oq/issues/12: `exclusiveMinimum` as a number
- https://github.com/openapi-generators/openapi-python-client/pull/1484: a list of anything
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.contract.reading import read_contract
from connectors.sdk.contract_twins.openapi_twin import OpenApiTwin
from connectors.sdk.twin import TwinCall

_IN = "#/components/schemas"
_EQUAL = {"allOf": [{"$ref": f"{_IN}/Limit"}, {"type": "object", "properties": {"value": {"type": "string"}}}]}
_RANGE = {"allOf": [{"$ref": f"{_IN}/Limit"}, {"type": "object", "properties": {"low": {"type": "number"}}}]}
_CAT = {
    "type": "object", "required": ["kind", "lives"],
    "properties": {"kind": {"type": "string", "enum": ["cat"]}, "lives": {"type": "integer"}},
}  # fmt: skip
_DOG = {
    "type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}, "master": {"type": "string"}},
}  # fmt: skip
SCHEMAS = {
    "Limit": {
        "type": "object", "required": ["type"],
        "oneOf": [{"$ref": f"{_IN}/Equal"}, {"$ref": f"{_IN}/Range"}],
        "properties": {"type": {"type": "string"}, "name": {"type": "string"}},
    },
    "Equal": _EQUAL, "Range": _RANGE, "Cat": _CAT, "Dog": _DOG,
    "Tree": {"type": "object", "properties": {"leaves": {"type": "array", "items": {"$ref": f"{_IN}/Tree"}}}},
    "Group": {
        "type": "object", "required": ["id", "users"],
        "properties": {"id": {"type": "string"}, "users": {"type": "array", "items": {"$ref": f"{_IN}/User"}}},
    },
    "User": {
        "type": "object", "required": ["id", "groups"],
        "properties": {"id": {"type": "string"}, "groups": {"type": "array", "items": {"$ref": f"{_IN}/Group"}}},
    },
}  # fmt: skip


def written(folder: Path, paths: Mapping[str, Any], version: str = "3.0.3") -> Path:
    document = {
        "openapi": version, "info": {"title": "t", "version": "1"}, "paths": paths, "components": {"schemas": SCHEMAS},
    }  # fmt: skip
    path = folder / "contract.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def answering(schema: Any, kind: str = "application/json") -> dict[str, Any]:
    return {"responses": {"200": {"description": "", "content": {kind: {"schema": schema}}}}}


def asked(twin: OpenApiTwin, path: str, method: str = "GET", **more: Any) -> Any:
    """What the twin answers to a call that the contract allows."""
    call = TwinCall(method, path, more.pop("query", {}), more.pop("headers", {}), more.pop("body", b""), **more)
    answer = twin.answer(call)
    assert twin.contract.request_fault(call) == ""
    assert twin.contract.answer_fault(call, answer) == ""
    assert answer.status == 200
    return json.loads(answer.body) if isinstance(answer.body, bytes) else answer.body


@pytest.mark.parametrize("name", ["Tree", "Group"])
def test_a_schema_within_itself_is_read_and_answered(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, {"/x": {"get": answering({"$ref": f"{_IN}/{name}"})}})

    [operation] = read_contract(path).operations
    assert len(operation.gives) < 10
    assert isinstance(asked(OpenApiTwin(path), "/x"), dict)


def test_alternatives_that_are_made_of_what_they_are_alternatives_of_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, {"/x": {"get": answering({"$ref": f"{_IN}/Limit"})}})

    [operation] = read_contract(path).operations
    assert {one.place for one in operation.gives} == {"/type", "/name", "/value"}


@pytest.mark.parametrize(
    ("schema", "version"),
    [
        ({"type": "string", "nullable": True, "enum": ["foo", "bar"]}, "3.0.3"),
        ({"type": ["string", "null"], "enum": ["foo", "bar", None]}, "3.1.0"),
        ({"oneOf": [{"type": "null"}, {"type": "string", "enum": ["foo", "bar"]}]}, "3.1.0"),
    ],
    ids=["nullable", "a list of types", "an alternative"],
)
def test_a_word_of_a_list_may_be_null(tmp_path: Path, schema: Any, version: str) -> None:
    whole = {"type": "object", "required": ["word"], "properties": {"word": schema}}
    path = written(tmp_path, {"/x": {"get": answering(whole)}}, version)

    [field] = read_contract(path).operations[0].gives
    assert (field.choices, field.nullable, field.type) == (("foo", "bar"), True, "text")
    assert asked(OpenApiTwin(path), "/x") == {"word": "foo"}


def test_a_literal_step_goes_before_a_name_whatever_stands_first(tmp_path: Path) -> None:
    number = {"name": "pet-id", "in": "path", "required": True, "schema": {"type": "integer"}}
    name = {**number, "name": "shop", "schema": {"type": "string"}}
    paths = {
        "/pets/{pet-id}": {"get": {"parameters": [number], **answering({"type": "integer"})}},
        "/pets/mine": {"get": answering({"type": "string"})},
        "/shops/{shop}/pets/{pet-id}": {"get": {"parameters": [name, number], **answering({"type": "integer"})}},
        "/shops/{shop}/pets/search": {"post": {"parameters": [name], **answering({"type": "string"})}},
    }
    twin = OpenApiTwin(written(tmp_path, paths))

    assert asked(twin, "/pets/mine") == "exemple"
    assert asked(twin, "/pets/7") == 1
    assert asked(twin, "/shops/a/pets/search", "POST") == "exemple"
    assert twin.operation(TwinCall("GET", "/pets/7", {}, {}, b"")) == "GET /pets/{pet-id}"


def test_the_members_of_a_deep_object_are_held_to_its_schema(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    parameter = {"name": "filter", "in": "query", "style": "deepObject", "explode": True, "schema": schema}
    path = written(tmp_path, {"/x": {"get": {"parameters": [parameter], **answering({"type": "string"})}}})
    twin = OpenApiTwin(path)

    assert asked(twin, "/x", query={"filter[a]": "1"}, query_string="filter%5Ba%5D=1") == "exemple"
    wrong = TwinCall("GET", "/x", {"filter[a]": "b"}, {}, b"", "filter%5Ba%5D=b")
    assert twin.answer(wrong).status == 400
    assert [(one.place, one.where) for one in read_contract(path).operations[0].asks] == [("filter[a]", "query")]


def test_a_parameter_that_is_json_is_held_to_its_schema(tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["lat"], "properties": {"lat": {"type": "number"}}}
    parameter = {"name": "at", "in": "query", "required": True, "content": {"application/json": {"schema": schema}}}
    twin = OpenApiTwin(written(tmp_path, {"/x": {"get": {"parameters": [parameter], **answering({"type": "string"})}}}))

    assert asked(twin, "/x", query={"at": '{"lat": 1.5}'}) == "exemple"
    for wrong in ('{"lat": "north"}', "{}", "north"):
        assert twin.answer(TwinCall("GET", "/x", {"at": wrong}, {}, b"")).status == 400, wrong


def test_an_answer_fits_one_of_the_alternatives_alone(tmp_path: Path) -> None:
    schema = {
        "oneOf": [{"$ref": f"{_IN}/Cat"}, {"$ref": f"{_IN}/Dog"}],
        "discriminator": {
            "propertyName": "kind",
            "mapping": {"cat": f"{_IN}/Cat", "dog": f"{_IN}/Dog"},
        },
    }
    twin = OpenApiTwin(written(tmp_path, {"/x": {"get": answering(schema)}}))

    assert asked(twin, "/x") == {"kind": "cat", "lives": 1}


def test_a_media_type_with_its_charset_is_the_one_without(tmp_path: Path) -> None:
    kind = "application/json; charset=utf-8"
    body = {
        "content": {kind: {"schema": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}}}
    }
    path = written(tmp_path, {"/x": {"post": {"requestBody": body, **answering({"type": "string"}, kind)}}})
    twin = OpenApiTwin(path)

    assert [one.place for one in read_contract(path).operations[0].asks] == ["/a"]
    for said in ("application/json", kind, "application/json;charset=UTF-8"):
        assert asked(twin, "/x", "POST", headers={"content-type": said}, body=b'{"a": 1}') == "exemple", said
        wrong = TwinCall("POST", "/x", {}, {"content-type": said}, b'{"a": "b"}')
        assert twin.answer(wrong).status == 400, said


@pytest.mark.parametrize(
    ("schema", "version", "made"),
    [
        ({"type": "number", "exclusiveMinimum": 2, "multipleOf": 0.5}, "3.1.0", 2.5),
        ({"type": "integer", "minimum": 4, "exclusiveMinimum": True}, "3.0.3", 5),
        ({"type": "integer", "maximum": -3}, "3.0.3", -3),
        ({"type": "array", "minItems": 2}, "3.1.0", 2),
        ({"type": "array", "uniqueItems": True, "minItems": 2, "items": {"type": "integer"}}, "3.0.3", [1, 2]),
    ],
    ids=["number", "boolean", "below one", "a list of anything", "all different"],
)
def test_limits_are_kept_whichever_way_they_are_written(tmp_path: Path, schema: Any, version: str, made: Any) -> None:
    twin = OpenApiTwin(written(tmp_path, {"/x": {"get": answering(schema)}}, version))

    found = asked(twin, "/x")
    assert (len(found) if schema == {"type": "array", "minItems": 2} else found) == made
