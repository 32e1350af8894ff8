"""Changes that tools which compare APIs were publicly reported to grade wrongly or to miss; each with its address."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.contract.changes import changes_of
from connectors.sdk.contract.model import Contract
from connectors.sdk.contract.openapi import read_openapi
from connectors.sdk.contract.uses import Read, Sent, Use, Uses, full_place, steps_of

TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "integer"}
OASDIFF = "https://github.com/oasdiff/oasdiff/issues"
OPENAPI_DIFF = "https://github.com/OpenAPITools/openapi-diff/issues"
AZURE = "https://github.com/Azure/openapi-diff/issues"
APIHUB = "https://github.com/Netcracker/qubership-apihub/issues"
CHANGES = "https://github.com/pb33f/openapi-changes/issues"


def record(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def api(
    *, ask: Any = None, give: Any = None, parameters: Any = (), above: Any = (), path: str = "/things",
    schemas: Any = None, servers: Any = (),
) -> dict[str, Any]:  # fmt: skip
    """One call: `ask` its body, `give` its answer, `parameters` its own, `above` those of its path."""
    content = {"content": {"application/json": {"schema": give}}} if give is not None else {}
    call: dict[str, Any] = {"parameters": list(parameters), "responses": {"200": {"description": "ok", **content}}}
    if ask is not None:
        call["requestBody"] = {"required": True, "content": {"application/json": {"schema": ask}}}
    return {
        "openapi": "3.1.0", "info": {"title": "Things", "version": "1"}, "servers": list(servers),
        "paths": {path: {"parameters": list(above), "post": call}}, "components": {"schemas": schemas or {}},
    }  # fmt: skip


def asked(name: str, schema: Any, where: str = "query", **more: Any) -> dict[str, Any]:
    return {"name": name, "in": where, "schema": schema, **({"required": True} if where == "path" else {}), **more}


def answer(**properties: Any) -> dict[str, Any]:
    return api(give=record(*properties, **properties))


def taken(*required: str, **properties: Any) -> dict[str, Any]:
    return api(ask=record(*required, **properties))


def secured(scheme: dict[str, Any], *scopes: str) -> dict[str, Any]:
    return {**api(), "components": {"securitySchemes": {"s": scheme}}, "security": [{"s": list(scopes)}]}


def listed(**beside: Any) -> dict[str, Any]:
    return api(give=record("pets", pets=MANY, **beside))


OAUTH = {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://a.example", "scopes": {}}}}
ONE, OTHER = record("a", a=TEXT), record("b", b=TEXT)
CAT, DOG = {"type": "string", "enum": ["cat"]}, {"type": "string", "enum": ["dog"]}
MANY = {"type": "array", "items": ONE}
PARENT = record(first=TEXT, second=TEXT)
ID = asked("id", TEXT, "path")

REPORTS: list[tuple[str, str, Any, Any, list[tuple[str, str, str]]]] = [
    ("a parameter of the path has another type", f"{OASDIFF}/608",
     api(path="/things/{id}", above=[ID]), api(path="/things/{id}", above=[asked("id", NUMBER, "path")]),
     [("breaking", "type-changed", "id")]),
    ("a parameter moved from the call to its path", f"{OASDIFF}/378",
     api(parameters=[asked("q", TEXT, required=True)]), api(above=[asked("q", TEXT, required=True)]), []),
    ("a parameter moved from the path to its call", f"{AZURE}/220",
     api(above=[asked("q", TEXT, required=True)]), api(parameters=[asked("q", TEXT, required=True)]), []),
    ("a placeholder was renamed", "https://github.com/oasdiff/oasdiff/pull/211",
     api(path="/things/{id}", above=[ID]), api(path="/things/{thing}", above=[asked("thing", TEXT, "path")]), []),
    ("a placeholder stands twice in a path", f"{APIHUB}/357",
     api(path="/things/{id}/parts/{id}", above=[ID]),
     api(path="/things/{id}/parts/{id}", above=[{**ID, "description": "now told"}]), []),
    ("a parameter was renamed", f"{AZURE}/225",
     api(parameters=[asked("from", TEXT)]), api(parameters=[asked("since", TEXT)]),
     [("breaking", "field-removed", "from"), ("additive", "field-added", "since")]),
    ("an optional parameter is gone", f"{AZURE}/205",
     api(parameters=[asked("q", TEXT)]), api(), [("breaking", "field-removed", "q")]),
    ("a required value came, with a default", f"{OASDIFF}/549",
     taken(a=TEXT), taken("b", a=TEXT, b={"type": "string", "default": "x"}), [("review", "field-added", "/b")]),
    ("a choice of an answer is gone", f"{OASDIFF}/595",
     answer(pet={"enum": ["cat", "dog"]}), answer(pet={"enum": ["cat"]}), [("additive", "choices-narrowed", "/pet")]),
    ("a choice of an answer was replaced", f"{OASDIFF}/639",
     answer(pet={"enum": ["cat", "dog"]}), answer(pet={"enum": ["cat", "fox"]}),
     [("review", "choices-widened", "/pet"), ("additive", "choices-narrowed", "/pet")]),
    ("a choice of a request is gone", f"{OASDIFF}/205",
     taken(pet={"enum": ["cat", "dog"]}), taken(pet={"enum": ["cat"]}), [("breaking", "choices-narrowed", "/pet")]),
    ("a choice inside an object of the query is gone", f"{OASDIFF}/861",
     api(parameters=[asked("filter", record(pet={"enum": ["cat", "dog"]}), style="deepObject")]),
     api(parameters=[asked("filter", record(pet={"enum": ["cat"]}), style="deepObject")]),
     [("breaking", "choices-narrowed", "filter[pet]")]),
    ("a free text of a request became a closed list", "https://github.com/oasdiff/oasdiff/pull/230",
     taken(pet=TEXT), taken(pet={"type": "string", "enum": ["cat"]}), [("breaking", "choices-narrowed", "/pet")]),
    ("another kind of answer came", f"{OASDIFF}/610",
     api(give={"oneOf": [ONE]}), api(give={"oneOf": [ONE, OTHER]}),
     [("breaking", "field-optional", "/a"), ("additive", "field-added", "/b")]),
    ("one kind of request became two", f"{OASDIFF}/702",
     api(ask=record("a", "b", a=TEXT, b=TEXT)),
     api(ask={"oneOf": [record("a", a=TEXT, b=TEXT), record("b", a=TEXT, b=TEXT)]}),
     [("additive", "field-optional", "/a"), ("additive", "field-optional", "/b")]),
    ("a value came in a part of an answer", "https://github.com/oasdiff/oasdiff/pull/106",
     api(give={"allOf": [ONE]}), api(give={"allOf": [record("a", a=TEXT, c=TEXT)]}),
     [("additive", "field-added", "/c")]),
    ("a value of the second kind of an answer is optional", f"{OASDIFF}/314",
     api(give={"oneOf": [OTHER, record("a", "b", a=TEXT, b=TEXT)]}), api(give={"oneOf": [OTHER, record("a", a=TEXT)]}),
     [("breaking", "field-optional", "/b")]),
    ("a value of the second kind of an answer is gone", f"{OPENAPI_DIFF}/212",
     api(give={"anyOf": [ONE, OTHER]}), api(give={"anyOf": [ONE, record()]}), [("breaking", "field-removed", "/b")]),
    ("a number of a request may be a text too", f"{OPENAPI_DIFF}/797",
     taken(a=NUMBER), taken(a={"oneOf": [NUMBER, TEXT]}), [("additive", "type-widened", "/a")]),
    ("a number of an answer may be a text too", f"{OPENAPI_DIFF}/797",
     answer(a=NUMBER), answer(a={"oneOf": [NUMBER, TEXT]}), [("breaking", "type-widened", "/a")]),
    ("choices that stand in branches", f"{OASDIFF}/514",
     answer(pet={"oneOf": [CAT, DOG]}), answer(pet={"type": "string", "enum": ["dog", "cat"]}), []),
    ("a value of an answer may be null", f"{OPENAPI_DIFF}/482",
     answer(a=NUMBER), answer(a={"type": "integer", "nullable": True}), [("breaking", "null-added", "/a")]),
    ("a value of an answer may be null, by a branch", f"{CHANGES}/247",
     answer(a=NUMBER), answer(a={"anyOf": [NUMBER, {"type": "null"}]}), [("breaking", "null-added", "/a")]),
    ("a value of an answer may be null no more, by a branch", f"{OASDIFF}/1091",
     answer(a={"oneOf": [{"type": "null"}, ONE]}), answer(a=ONE),
     [("additive", "field-required", "/a/a")]),
    ("a type that could be null is not said any more", f"{OASDIFF}/1004",
     taken(a={"type": ["string", "null"]}), taken(a={}), [("additive", "type-widened", "/a")]),
    ("null is written in the other version's way", f"{APIHUB}/531",
     answer(a={"type": "string", "nullable": True, "enum": ["x", None]}),
     answer(a={"type": ["string", "null"], "enum": ["x", None]}), []),
    ("a parameter may be null no more", f"{OASDIFF}/1017",
     api(parameters=[asked("q", {"type": ["string", "null"]})]), api(parameters=[asked("q", TEXT)]),
     [("additive", "null-removed", "q")]),
    ("a schema is put together of parts", f"{CHANGES}/150",
     api(give=record("a", "b", a=TEXT, b=TEXT)), api(give={"allOf": [ONE, OTHER]}), []),
    ("a value is required beside the parts", f"{OPENAPI_DIFF}/346",
     api(ask={"allOf": [PARENT]}), api(ask={"allOf": [PARENT], "required": ["first"]}),
     [("review", "field-required", "/first")]),
    ("a child requires what its parent has", f"{OASDIFF}/607",
     api(give={"allOf": [{"$ref": "#/components/schemas/P"}], "required": ["first", "second"]}, schemas={"P": PARENT}),
     api(give={"allOf": [{"$ref": "#/components/schemas/P"}], "required": ["second"]}, schemas={"P": PARENT}),
     [("breaking", "field-optional", "/first")]),
    ("a required value of an answer is optional", f"{AZURE}/207",
     answer(a=TEXT), api(give=record(a=TEXT)), [("breaking", "field-optional", "/a")]),
    ("a type came that was not said", f"{AZURE}/167",
     taken(a={}), taken(a=TEXT), [("breaking", "type-narrowed", "/a")]),
    ("what is only answered is required", "https://github.com/Azure/azure-sdk-tools/issues/7184",
     taken(a=TEXT, id={"type": "string", "readOnly": True}),
     taken("id", a=TEXT, id={"type": "string", "readOnly": True}), []),
    ("an optional value of an answer is gone that nobody reads", f"{OPENAPI_DIFF}/198",
     api(give=record("a", a=TEXT, unread=TEXT)), answer(a=TEXT), [("additive", "field-removed", "/unread")]),
    ("the base moved into the paths", f"{OASDIFF}/117",
     api(servers=[{"url": "https://a.example/v1"}]),
     api(path="/v1/things", servers=[{"url": "https://a.example"}]), []),
    ("the base moved into the paths, by a variable", f"{OASDIFF}/512",
     api(servers=[{"url": "{base}", "variables": {"base": {"default": "/v1"}}}]), api(path="/v1/things"), []),
    ("a slash came at the end", "https://github.com/oasdiff/oasdiff/pull/160",
     api(), api(path="/things/"), [("review", "address-changed", "")]),
    ("an open interface wants a key", "https://github.com/docktape/swagger-brake/issues/199",
     api(), secured({"type": "apiKey", "in": "header", "name": "x-key"}), [("breaking", "security-changed", "")]),
    ("fewer rights are asked for", f"{OASDIFF}/175",
     secured(OAUTH, "read", "write"), secured(OAUTH, "read"), [("review", "security-changed", "")]),
]  # fmt: skip
OWN: list[tuple[str, Any, Any, list[tuple[str, str, str]]]] = [
    ("the kinds of an answer changed places", api(give={"oneOf": [ONE, OTHER]}), api(give={"oneOf": [OTHER, ONE]}), []),
    ("a value beside the list of records came", listed(), listed(mayor=TEXT), [("additive", "field-added", "/mayor")]),
    ("the address of the next page is gone", listed(next=TEXT), listed(), [("breaking", "field-removed", "/next")]),
    ("the list of records is called otherwise", listed(), api(give=record("beasts", beasts=MANY)),
     [("breaking", "list-moved", "")]),
    ("the answer is the list itself", listed(), api(give=MANY), [("breaking", "list-moved", "")]),
]  # fmt: skip


def read(folder: Path, name: str, document: Any) -> Contract:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return read_openapi(path, alternatives=True)


def used(contract: Contract) -> Uses:
    """Each value of the contract sent or needed, but the one that nobody reads."""
    operation = contract.operations[0]
    sends = {steps_of(one.place): Sent() for one in operation.asks}
    places = {steps_of(full_place(operation, one)) for one in operation.gives} - {("unread",)}
    places |= {steps_of(one.place) for one in operation.beside}
    return Uses((Use(operation.name, sends, {place: Read(needed=True) for place in places}),))


def said(folder: Path, old: Any, new: Any) -> list[tuple[str, str, str]]:
    before, after = read(folder, "old", old), read(folder, "new", new)
    return [(one.grade, one.kind, one.place) for one in changes_of(before, after, used(before))]


@pytest.mark.parametrize(
    ("address", "old", "new", "due"), [report[1:] for report in REPORTS], ids=[report[0] for report in REPORTS]
)
def test_a_report(tmp_path: Path, address: str, old: Any, new: Any, due: list[tuple[str, str, str]]) -> None:
    assert said(tmp_path, old, new) == due, address


@pytest.mark.parametrize(("old", "new", "due"), [case[1:] for case in OWN], ids=[case[0] for case in OWN])
def test_what_a_reader_might_mistake(tmp_path: Path, old: Any, new: Any, due: list[tuple[str, str, str]]) -> None:
    assert said(tmp_path, old, new) == due
