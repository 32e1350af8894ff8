"""Our calls to API Impôt particulier, and the answers of its twin, held against its official description."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from connectors.apiimpot.client import SCOPES, correlation
from connectors.apiimpot.connector import FIELDS, ApiImpotConnector
from connectors.apiimpot.mapping import tax_situation
from connectors.apiimpot.twin import HOUSEHOLDS, ApiImpotTwin
from schemas.exchange import Evidence, NotMatched, Question
from schemas.registry import Registry
from tests.support.context import NOON, context_for

_BESIDE = Path(__file__).resolve().parents[2] / ".." / "shared" / "contracts"
CONTRACT = Path(os.environ.get("UNEFOIS_CONTRACTS", _BESIDE)) / "api-impot-particulier"
pytestmark = pytest.mark.skipif(not CONTRACT.is_dir(), reason="contracts folder absent")


@cache
def document() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((CONTRACT / "openapi-api-impot-particulier.json").read_text(encoding="utf-8"))
    return read


def resolved(part: Any) -> Any:
    """A part of the document with what it refers to in its place."""
    if isinstance(part, list):
        return [resolved(item) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        found: Any = document()
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return resolved(found)
    return {name: resolved(value) for name, value in part.items()}


def operation(path: str) -> tuple[dict[str, Any], Mapping[str, str]]:
    """The operation that serves a path, and the values in it; one with fewer names is the closer."""
    for template in sorted(document()["paths"], key=lambda text: text.count("{")):
        match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template), path)
        if match:
            return resolved(document()["paths"][template]["get"]), match.groupdict()
    raise AssertionError(f"no operation for {path}")


def faults_of_call(path: str, headers: Mapping[str, str]) -> list[str]:
    found, values = operation(path)
    faults = []
    for item in found["parameters"]:
        text = values.get(item["name"]) if item["in"] == "path" else headers.get(item["name"].lower())
        if text is None:
            faults += [f"{item['name']} lacks"] if item.get("required") else []
            continue
        value: Any = int(text) if item["schema"]["type"] == "integer" else text
        faults += [
            f"{item['name']}: {fault.message}" for fault in Draft202012Validator(item["schema"]).iter_errors(value)
        ]
    kinds = [kind for response in found["responses"].values() for kind in response.get("content", {})]
    return faults + ([] if headers["accept"] in kinds else [f"accept: not one of {kinds}"])


def faults_of_answer(path: str, status: int, body: Any) -> list[str]:
    responses = operation(path)[0]["responses"]
    described = responses.get(str(status), responses.get("default") if status == 200 else None)
    if described is None or "content" not in described:
        return []  # the bodies of errors are not described
    (content,) = described["content"].values()
    known = content["schema"]["properties"]
    faults = [
        f"{fault.json_path}: {fault.message}" for fault in Draft202012Validator(content["schema"]).iter_errors(body)
    ]
    return faults + [f"{name} is unknown" for name in body if name not in known]


def questions(twin: ApiImpotTwin) -> Iterator[Question]:
    for number in twin.households:
        for year in ({}, {"tax_year": 2025}, {"tax_year": 1999}):
            asked = ("q", "tax-situation", 1, FIELDS, "cantine", 5.0)
            yield Question(*asked, reference=number, parameters=year)
            yield Question(*asked, token=twin.log_in(number), parameters=year)


def test_the_description_has_nothing_against_our_calls_and_the_answers_of_our_twin() -> None:
    at = NOON + timedelta(days=260)
    with ApiImpotTwin(now=lambda: at) as twin:
        settings = twin.settings() | {"teleservice": "cantine"}
        connector = ApiImpotConnector(context_for("apiimpot", settings, now=twin.now))
        answered = 0
        for question in questions(twin):
            with contextlib.suppress(NotMatched):
                answered += bool(connector.answer(question).values)
        calls = [fault for path, headers in twin.asked for fault in faults_of_call(path, headers)]
        answers = [fault for path, one in twin.given for fault in faults_of_answer(path, one.status, one.body)]

    assert answered == 8
    assert len(twin.asked) == 12
    assert not calls
    assert not answers


def test_the_scopes_and_the_correlation_are_those_of_the_description() -> None:
    flows = document()["components"]["securitySchemes"]["Authorization"]["flows"]
    assert set(SCOPES.split()) <= set(flows["clientCredentials"]["scopes"])
    pattern = document()["components"]["parameters"]["paramXCorrelationID"]["schema"]["pattern"]
    assert re.fullmatch(pattern, correlation("q-1"))


def test_every_property_that_we_read_is_described_and_any_described_answer_is_read() -> None:
    registry = Registry.load()
    for name in ("SituationsIRAssiettesJAXBbean", "SituationsIRAssiettesMillesimeJAXBbean"):
        schema = resolved(document()["components"]["schemas"][name])
        assert set(HOUSEHOLDS["3012345678901"]) - {"annRevenu"} <= set(schema["properties"])
        values = tax_situation(example(schema), 2025)
        registry.validate_evidence(Evidence("tax-situation", 1, values))
        assert set(values) == set(FIELDS)


def example(schema: Mapping[str, Any]) -> Any:
    """A value of each property, by its type alone."""
    kind = schema.get("type")
    if kind == "object":
        made = {name: example(part) for name, part in schema["properties"].items()}
        return made | ({"annRevenu": 2025} if "annRevenu" in made else {})
    if kind == "array":
        return [example(schema["items"])]
    return {"integer": 12, "number": 1.5, "string": "12"}[str(kind)]
