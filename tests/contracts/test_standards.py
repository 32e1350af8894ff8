"""Our documents held against the standards' own machine-readable files, when those are there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from schemas.asyncapi import asyncapi
from schemas.event import Event
from schemas.registry import Registry

CONTRACTS = Path(os.environ.get("UNEFOIS_CONTRACTS") or Path(__file__).resolve().parents[3] / "shared" / "contracts")
STANDARDS = CONTRACTS / "standards"

if not STANDARDS.is_dir():
    pytest.skip("contracts folder absent", allow_module_level=True)

REGISTRY = Registry.load()


def official(name: str) -> Draft7Validator:
    return Draft7Validator(json.loads((STANDARDS / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize("host", [None, "broker.example:5671"])
def test_our_asyncapi_document_is_one_of_version_3(host: str | None) -> None:
    fault = best_match(official("asyncapi/asyncapi-3.0.0.schema.json").iter_errors(asyncapi(REGISTRY, host)))

    assert fault is None


def test_the_asyncapi_schema_would_notice_a_fault() -> None:
    document: dict[str, Any] = asyncapi(REGISTRY)
    document["operations"]["acceptEvent"]["action"] = "publish"

    assert not official("asyncapi/asyncapi-3.0.0.schema.json").is_valid(document)


@pytest.mark.parametrize("event_type", REGISTRY.types())
def test_every_event_is_a_cloudevent(event_type: str) -> None:
    validator = official("cloudevents/cloudevents-1.0.2.schema.json")
    for example in REGISTRY.schema(event_type)["examples"]:
        event = Event(
            type=event_type, source="/valbruyere/publik", data=example, subject="s", time="2026-03-02T09:14:05Z"
        )

        assert best_match(validator.iter_errors(json.loads(event.encode()))) is None
