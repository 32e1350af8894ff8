"""The pages about HTTP name what there is, and their calls work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import orjson

from gateway.access import SCOPES
from tests.gateway.conftest import House, post
from tests.gateway.test_descriptions import operations

DOCS = Path(__file__).resolve().parents[2] / "docs"
HTTP = (DOCS / "http.md").read_text(encoding="utf-8")
FRENCH = (DOCS / "fr" / "api.md").read_text(encoding="utf-8")


def sections() -> dict[str, str]:
    parts = re.split(r"^### ([A-Z]+ /\S*)$", HTTP, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_operation_has_a_section_with_a_call(house: House) -> None:
    described = operations(house.anonymous().get("/openapi.json").json())

    assert set(sections()) == set(described)
    for place, text in sections().items():
        path = re.sub(r"\{[^}]+\}", "", place.split(" ")[1]).split("//")[0].rstrip("/")
        if place != "POST /in/{tenant}/{connection}":
            assert "```sh" in text, place
            assert f"$HUB{path}" in text, place


def test_every_scope_is_explained_in_both_languages() -> None:
    for scope in SCOPES:
        assert f"`{scope}`" in HTTP
        assert f"`{scope}`" in FRENCH


def test_the_events_and_requests_of_the_examples_are_accepted(house: House) -> None:
    http = house.client()
    assert post(http, data_of(HTTP, "/v1/events")).status_code == 202
    for page in (HTTP, FRENCH):
        assert http.post("/v1/requests", json=data_of(page, "/v1/requests")).status_code == 201
    assert http.post("/v1/webhooks", json=data_of(HTTP, "/v1/webhooks")).status_code == 201


def data_of(page: str, path: str) -> Any:
    """The JSON that the first `curl` with a body sends to a path."""
    for block in re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        words = shlex.split(block)
        if f"$HUB{path}" in words and "-d" in words and words[words.index("-d") + 1].startswith("{"):
            return orjson.loads(words[words.index("-d") + 1])
    raise AssertionError(f"no call to {path}")
