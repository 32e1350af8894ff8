"""Twins of the vendors' own OpenAPI and Swagger files: what they answer is allowed, and what is spoilt is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.sdk.contract.openapi import JSON, content_of
from connectors.sdk.contract_twins.openapi_check import Route
from connectors.sdk.contract_twins.openapi_twin import OpenApiTwin
from connectors.sdk.contract_twins.values import Values
from connectors.sdk.twin import TwinCall
from tests.contracts.test_openapi_files import CONTRACTS, FILES

pytestmark = pytest.mark.skipif(not FILES, reason="contracts folder absent")


def call_of(twin: OpenApiTwin, route: Route) -> TwinCall:
    """A call that the contract allows, made of its schemas."""
    check = twin.contract
    values, path, headers = Values(check.schemas, given=False), route.path, dict(_proofs(twin, route))
    query = {headers.pop("?"): "a-key"} if "?" in headers else {}
    for one in (*(route.shared.get("parameters") or ()), *(route.own.get("parameters") or ())):
        parameter = check.schemas.at(one)
        made = values.made(parameter.get("schema") or {}) if "schema" in parameter else "1"
        text = json.dumps(made) if isinstance(made, bool | dict) else str(made[0] if isinstance(made, list) else made)
        match parameter.get("in"):
            case "path":
                path = path.replace(f"{{{parameter['name']}}}", text or "1")
            case "query" if parameter.get("required"):
                query[str(parameter["name"])] = text
            case "header" if parameter.get("required"):
                headers.setdefault(str(parameter["name"]).lower(), text)
    kind, said = content_of(check.schemas.at(route.own.get("requestBody")))
    body = b""
    if JSON.match(kind) and "schema" in said:
        body, headers["content-type"] = json.dumps(values.made(said["schema"])).encode(), kind
    return TwinCall(route.method.upper(), check.base + path, query, headers, body)


def _proofs(twin: OpenApiTwin, route: Route) -> Iterator[tuple[str, str]]:
    for one in route.own.get("security", twin.contract.document.get("security")) or ():
        for name in one:
            scheme = twin.contract.schemas.at(twin.contract.document["components"]["securitySchemes"][name])
            word = {"basic": "Basic"}.get(str(scheme.get("scheme")), "Bearer")
            if scheme.get("type") == "apiKey" and scheme.get("in") == "header":
                yield str(scheme["name"]).lower(), "a-key"
            elif scheme.get("type") == "apiKey" and scheme.get("in") == "cookie":
                yield "cookie", f"{scheme['name']}=a-key"
            elif scheme.get("type") == "apiKey":
                yield "?", str(scheme["name"])
            else:
                yield "authorization", f"{word} a-proof"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONTRACTS)))
def test_a_twin_answers_what_the_contract_allows_and_refuses_the_rest(path: Path) -> None:
    twin, taken = OpenApiTwin(path), 0
    for route in twin.contract.routes:
        call = call_of(twin, route)
        answer = twin.answer(call)
        assert twin.contract.answer_fault(call, answer) == "", route.name
        if answer.status >= 300:
            continue
        taken += 1
        for copied in spoilt(call):
            if twin.contract.request_fault(copied):
                assert twin.answer(copied).status >= 400, route.name
    print(f"{path.relative_to(CONTRACTS)}: {taken} of {len(twin.contract.routes)} operations taken")
    assert taken == len(twin.contract.routes)


def spoilt(call: TwinCall) -> Iterator[TwinCall]:
    yield replace(call, headers={})
    yield replace(call, body=b'{"a": ')
    yield replace(call, body=b"[]" if call.body[:1] == b"{" else b"{}")
    yield replace(call, query={}, query_string="")
    yield replace(call, path=f"{call.path}/nowhere/at/all")
