"""A package with one line for the street is given the number and the building with it, or it keeps half an address."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.drafting.writing import Line, whole_streets
from connectors.sdk.kinds.calls import value_at
from connectors.sdk.mapping import MappingTable, converters_from
from schemas.equal_values import canonical
from tests.connectors.sdk.drafting.drafted import drafted

ANSWER = {"type": "object", "properties": {"id": {"type": "string"}}}


def contract(**fields: Any) -> dict[str, Any]:
    """A service that takes addresses of people by their number."""
    body = {"type": "object", "required": ["ville"], "properties": {name: {"type": "string"} for name in fields}}
    answer = {"200": {"description": "ok", "content": {"application/json": {"schema": ANSWER}}}}
    number = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    sent = {"required": True, "content": {"application/json": {"schema": body}}}
    return {
        "openapi": "3.0.3", "info": {"title": "Tiers", "version": "1"}, "servers": [{"url": "https://t.example/api"}],
        "paths": {
            "/statut": {"get": {"operationId": "statut", "responses": answer}},
            "/personnes/{id}/adresse": {"put": {"parameters": [number], "requestBody": sent, "responses": answer}},
        },
    }  # fmt: skip


@pytest.mark.parametrize(("fields", "said"), [
    (("adresse", "codePostal", "ville"), ("house_number", "street", "complement")),
    (("numero_voie", "adresse", "codePostal", "ville"), ("street", "complement")),
    (("adresse", "complement_adresse", "codePostal", "ville"), ("house_number", "street")),
])  # fmt: skip
def test_a_drafted_line_says_what_no_other_field_says(
    tmp_path: Path, fields: tuple[str, ...], said: tuple[str, ...]
) -> None:
    source = tmp_path / "tiers.json"
    source.write_text(json.dumps(contract(**dict.fromkeys(fields))), encoding="utf-8")

    made = drafted(tmp_path, source, carries="citizen.address-changed")

    assert made.faults == []
    source_of_street = " + ".join(f"/new_address/value/{part}" for part in said)
    assert f"adresse;{source_of_street};" in made.text("mapping.csv")
    table = MappingTable.load(made.manifest.folder / "mapping.csv", converters=converters_from({}, zone=UTC))
    address = {"house_number": "12 bis", "street": "rue X", "complement": "Bât. C", "postal_code": "93001", "city": "Y"}
    sent = table["to-address-changed"].write({"new_address": {"value": address}})
    names = {"adresse": "street", "numero_voie": "house_number", "complement_adresse": "complement",
             "codePostal": "postal_code", "ville": "city"}  # fmt: skip
    back = {names[name]: value for name, value in sent.items()}
    assert canonical("new_address", back) == canonical("new_address", address)
    assert value_at(sent, "/adresse")


def test_a_line_that_is_kept_for_later_tells_nothing() -> None:
    kept = Line("m", "Numero", "/new_address/value/house_number", used=False)
    street = Line("m", "Voie", "/new_address/value/street")
    asleep = Line("m", "Voie2", "/old_address/street", used=False)
    made = whole_streets([kept, street, asleep, Line("m", "x", "={setting:street}")])
    assert [line.source for line in made] == [
        kept.source, "/new_address/value/house_number + /new_address/value/street + /new_address/value/complement",
        asleep.source, "={setting:street}",
    ]  # fmt: skip
