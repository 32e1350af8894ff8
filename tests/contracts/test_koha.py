"""Our calls to Koha held against the schema of its public API, read where it is."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from connectors.koha.twin import KohaTwin
from tests.connectors.koha.test_koha import CARD, LIBRARY, OLD, contact, koha, move
from tests.support.context import NOON

_BESIDE = Path(__file__).resolve().parents[2] / ".." / "shared" / "contracts"
CONTRACT = Path(os.environ.get("UNEFOIS_CONTRACTS", _BESIDE)) / "koha"
pytestmark = pytest.mark.skipif(not CONTRACT.is_dir(), reason="contracts folder absent")


def document() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((CONTRACT / "openapi-subset.json").read_text(encoding="utf-8"))
    return read


def patron_schema() -> dict[str, Any]:
    """OpenAPI 3.0 says `nullable` where JSON Schema lists a type."""
    schema: dict[str, Any] = copy.deepcopy(document()["components"]["schemas"]["Patron"])
    for property_schema in schema["properties"].values():
        if property_schema.pop("nullable", False):
            property_schema["type"] = [property_schema["type"], "null"]
    return schema


def test_what_we_write_is_a_patron_of_the_api_without_its_read_only_properties() -> None:
    schema = patron_schema()
    read_only = {name for name, item in schema["properties"].items() if item.get("readOnly")}
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD, **LIBRARY)
        koha(twin).handle(move())
        koha(twin).handle(contact(email="n@q.example", phone="07"))

    assert len(twin.history) == 2
    for body in twin.history:
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(body)
        assert not read_only & body.keys()


def test_the_twin_gives_patrons_of_the_api_and_refuses_what_the_api_refuses() -> None:
    schema = patron_schema()
    with KohaTwin(now=NOON) as twin:
        number = twin.add(CARD, **OLD, **LIBRARY)
        patron = twin.patron(CARD)
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(patron)
        assert set(patron) <= set(schema["properties"])
        for spoilt in ({**patron, "quartier": "Nord"}, {**patron, "surname": None, "restricted": True}):
            with pytest.raises(Exception, match="400"):
                koha(twin).call("PUT patrons/{number}", facts={"number": number}, json=spoilt)


def test_the_addresses_that_we_call_are_those_of_the_api() -> None:
    paths = document()["paths"]
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD)
        koha(twin).handle(move())
        called = {(method, path.removeprefix("/api/v1")) for method, path in twin.calls}

    for method, path in called:
        template = "/patrons/{patron_id}" if path == "/patrons/1" else path
        assert method.lower() in paths[template]
