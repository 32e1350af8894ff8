"""A sample of JSON becomes a contract: one record, a list, an envelope; its sample is what the twin answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors import conformance
from connectors.sdk.check import connector_faults
from connectors.sdk.contract.json_sample import document_of_sample, is_json_sample, schema_of
from connectors.sdk.drafting.draft import Choices, contract_at, draft_connector
from connectors.sdk.mapping import fields_of
from schemas.errors import ConfigError
from schemas.manifest import Manifest
from schemas.registry import Registry

CARD = {"id": 17, "numero_carte": "C-17", "date_expiration": "2027-08-31", "bloque": False}
TICKET = {"id": "T-1", "statut": "en_cours", "updated_at": "2026-03-02T09:00:00Z", "objet": "Trottoir"}

CLOSED = TICKET | {"id": "T-2", "statut": "clos"}


def sample(folder: Path, value: Any, name: str = "echantillon.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("value", "does"),
    [
        (CARD, "answers library-card by GET echantillon/{id}"),
        ([CARD], "answers library-card by GET echantillon"),
        ({"total": 2, "data": [TICKET, CLOSED]}, "reads request.status-changed from GET echantillon"),
    ],
)  # fmt: skip
def test_a_sample_becomes_a_connector_that_passes_at_once(value: Any, does: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()

    with contract_at(sample(tmp_path, value), Choices()) as contract:
        draft, _ = draft_connector("essai", contract, Choices(), mine, Registry.load())

    assert draft.does == (does,)
    assert [str(fault) for fault in connector_faults(mine, Registry.load(), ("formulaire-qf",))] == []
    conformance.check(Manifest.load(mine / "essai" / "connector.toml", fields_of))


@pytest.mark.parametrize(
    ("value", "does"),
    [
        (TICKET, "takes request.status-changed by POST echantillon"),
        ({"event": "moved", "data": TICKET}, "takes request.status-changed by POST echantillon"),
        ([TICKET, CLOSED], "takes request.status-changed by POST echantillon"),
        (
            {"id": 7, "date_depot": "2026-03-02T09:00:00Z", "nom": "Mercoeur", "prenom": "Odile", "etage": 2},
            "takes request.received by POST echantillon",
        ),
    ],
)
def test_a_sample_of_a_call_becomes_a_webhook_that_passes_at_once(value: Any, does: str, tmp_path: Path) -> None:
    mine, choices = tmp_path / "mine", Choices(webhook=True)
    mine.mkdir()

    with contract_at(sample(tmp_path, value), choices) as contract:
        draft, _ = draft_connector("essai", contract, choices, mine, Registry.load())

    assert draft.does == (does,)
    assert [str(fault) for fault in connector_faults(mine, Registry.load(), ("formulaire-qf",))] == []
    conformance.check(Manifest.load(mine / "essai" / "connector.toml", fields_of))


def test_a_call_of_which_nothing_is_shared_is_told(tmp_path: Path) -> None:
    with (
        contract_at(sample(tmp_path, {"sent": 3}), Choices(webhook=True)) as contract,
        pytest.raises(ConfigError, match="nothing shared says it"),
    ):
        draft_connector("essai", contract, Choices(webhook=True), tmp_path, Registry.load())


@pytest.mark.parametrize(
    ("values", "schema"),
    [
        ([1, 2], {"type": "integer"}),
        ([1, 2.5], {"type": "number"}),
        (["2026-03-02", None], {"type": ["string", "null"], "format": "date"}),
        (["2026-13-02"], {"type": "string"}),
        (["2026-03-02T09:00:00Z"], {"type": "string", "format": "date-time"}),
        (["a@b.example"], {"type": "string", "format": "email"}),
        ([True], {"type": "boolean"}),
        ([1, "a"], {}),
        ([None], {}),
        ([[]], {"type": "array", "items": {}}),
        (
            [{"a": 1, "b": 2}, {"a": 3}],
            {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a"]},
        ),
    ],
)
def test_a_schema_is_what_all_values_have_in_common(values: list[Any], schema: dict[str, Any]) -> None:
    assert schema_of(values) == schema


@pytest.mark.parametrize("text", ["", "[]", "{}", "1", '["a"]', "{", "[" * 9_999])
def test_what_is_no_sample_is_refused_by_its_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "essai.json"
    path.write_text(text, encoding="utf-8")

    assert not is_json_sample(path)
    with pytest.raises(ConfigError, match=r"essai\.json"):
        document_of_sample(path)


def test_a_contract_is_no_sample(tmp_path: Path) -> None:
    assert not is_json_sample(sample(tmp_path, {"openapi": "3.0.0", "paths": {}}))
    assert not is_json_sample(sample(tmp_path, CARD, "carte.txt"))
