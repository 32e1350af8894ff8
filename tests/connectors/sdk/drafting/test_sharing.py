"""A draft tells a package what an event is about and what the package asks for besides, nothing more of a citizen."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from connectors import conformance
from connectors.sdk.drafting.draft import Choices, contract_at, draft_connector
from connectors.sdk.mapping import fields_of
from schemas.manifest import Manifest
from schemas.registry import Registry

USER: dict[str, Any] = {
    "first_name": {"type": "string"}, "last_name": {"type": "string"},
    "birth_date": {"type": "string", "format": "date"}, "email": {"type": "string", "format": "email"},
    "phone": {"type": "string"}, "postal_code": {"type": "string"}, "city": {"type": "string"},
}  # fmt: skip
NUMBER = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
OK = {"200": {"description": ""}}


def drafted(folder: Path, carries: str, **operation: Any) -> Path:
    """The connector of a package with one operation beside a probe."""
    document = {
        "openapi": "3.0.3", "info": {"title": "Usagers", "version": "1"},
        "paths": {"/status": {"get": {"responses": OK}},
                  "/users/{id}": {"patch": {"parameters": [NUMBER], "responses": OK, **operation}}},
    }  # fmt: skip
    source, choices = folder / "usagers.json", Choices(("PATCH users/{id}",), carries)
    source.write_text(json.dumps(document), encoding="utf-8")
    with contract_at(source, choices) as contract:
        draft_connector("essai", contract, choices, folder, Registry.load())
    return folder / "essai"


def passes(folder: Path) -> None:
    conformance.check(Manifest.load(folder / "connector.toml", fields_of))


def body(kind: str, *required: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": USER, **({"required": required} if required else {})}
    return {"content": {kind: {"schema": schema}}}


def lines(folder: Path) -> list[list[str]]:
    return list(csv.reader((folder / "mapping.csv").read_text(encoding="utf-8").splitlines(), delimiter=";"))[1:]


@pytest.mark.parametrize(
    ("carries", "required", "told"),
    [
        ("citizen.contact-changed", (), {"email", "phone"}),
        ("citizen.contact-changed", ("last_name",), {"email", "phone", "last_name"}),
        ("citizen.address-changed", (), {"postal_code", "city"}),
    ],
)
def test_a_change_tells_of_itself_and_of_what_the_package_asks_for(
    carries: str, required: tuple[str, ...], told: set[str], tmp_path: Path
) -> None:
    folder = drafted(tmp_path, carries, requestBody=body("application/json", *required))

    assert {line[1] for line in lines(folder) if not line[0].startswith("#")} == told
    kept = {line[1]: line[2] for line in lines(folder) if line[0].startswith("#")}
    assert kept["birth_date"] == "/citizen/identity/birthdate"
    assert all(kept.values())
    passes(folder)


@pytest.mark.parametrize("where", ["form", "query"])
def test_what_a_form_or_a_query_does_not_tell_is_shown_beside_it(where: str, tmp_path: Path) -> None:
    asked = [NUMBER, *({"name": name, "in": "query", "schema": schema} for name, schema in USER.items())]
    said = {"requestBody": body("application/x-www-form-urlencoded")} if where == "form" else {"parameters": asked}

    folder = drafted(tmp_path, "citizen.contact-changed", **said)

    text = (folder / "connector.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["deliver"][0][where].keys() == {"email", "phone"}
    assert f'# Non transmis ({where}) : birth_date = "/citizen/identity/birthdate | date"' in text
    passes(folder)
