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


RDV = {
    "data": {
        "id": 4411,
        "status": "unknown",
        "starts_at": "2026-03-12 10:30:00 +0100",
        "ends_at": "2026-03-12 11:00:00 +0100",
        "etage": 2,
    },
    "meta": {"at": 1},
}
BOOKED = {"reservation": {"uuid": "b-1", "date_debut": "2026-03-12T10:30:00+01:00"}}


@pytest.mark.parametrize(("value", "source"), [(RDV, "/data/status"), (BOOKED, "=booked"), ([BOOKED], "=booked")])
def test_a_sample_of_an_appointment_is_drafted_and_what_it_does_not_say_is_left_to_choose(
    value: Any, source: str, tmp_path: Path
) -> None:  # fmt: skip
    mine, choices = tmp_path / "mine", Choices(webhook=True, carries="appointment.changed")
    mine.mkdir()

    with contract_at(sample(tmp_path, value), choices) as contract:
        draft, _ = draft_connector("essai", contract, choices, mine, Registry.load())

    lines = (mine / "essai" / "mapping.csv").read_text(encoding="utf-8").splitlines()
    assert draft.does == ("takes appointment.changed by POST echantillon",)
    assert any(line.startswith(f"pushed;/appointment/state;{source};") for line in lines)
    assert ("#pushed;/appointment/ends_at;/data/ends_at;moment;;text" in lines) is (value == RDV)
    assert "restent à choisir" in (mine / "essai" / "connector.toml").read_text(encoding="utf-8")
    assert [str(fault) for fault in connector_faults(mine, Registry.load(), ("formulaire-qf",))] == []
    conformance.check(Manifest.load(mine / "essai" / "connector.toml", fields_of))


@pytest.mark.parametrize(
    ("headers", "signature"),
    [
        ({"X-Rdv-Signature": "0" * 64}, {"kind": "hmac-sha256-hex", "header": "x-rdv-signature"}),
        ({"X-Hub-Signature-256": "sha256=" + "a" * 64},
         {"kind": "hmac-sha256-hex", "header": "x-hub-signature-256", "prefix": "sha256="}),
        ({"Authorization": "Basic dmlsbGU6c2VjcmV0"}, {"kind": "basic", "user": "{webhook_user}"}),
        ({"X-Api-Key": "cle-de-la-ville"}, {"kind": "api-key", "header": "x-api-key"}),
        ({"Host": "hub.example"}, {"kind": "bearer"}),
    ],
)  # fmt: skip
def test_a_sample_with_its_headers_tells_how_the_call_proves_itself_and_no_value_of_them_is_kept(
    headers: dict[str, str], signature: dict[str, str], tmp_path: Path
) -> None:
    mine, choices = tmp_path / "mine", Choices(webhook=True)
    mine.mkdir()

    with contract_at(sample(tmp_path, {"headers": headers, "body": TICKET}), choices) as contract:
        _, paths = draft_connector("essai", contract, choices, mine, Registry.load())

    manifest = Manifest.load(mine / "essai" / "connector.toml", fields_of)
    assert manifest.declared["webhook"]["signature"] == {**signature, "secret": "webhook_secret"}
    assert json.loads((mine / "essai/samples/webhooks/echantillon.json").read_text(encoding="utf-8")) == TICKET
    assert not any(value in path.read_text(encoding="utf-8") for path in paths for value in headers.values())
    conformance.check(manifest)


@pytest.mark.parametrize(
    ("carries", "said"),
    [
        ("appointment.changed", "the moment when it begins. Take another sample, or write"),
        ("citizen.merged", "a call is drafted as request.status-changed, request.received, appointment.changed alone"),
    ],
)
def test_a_sample_that_makes_no_valid_event_says_what_to_do(carries: str, said: str, tmp_path: Path) -> None:
    choices = Choices(webhook=True, carries=carries)

    with (
        contract_at(sample(tmp_path, {"id": 3, "label": "a"}), choices) as contract,
        pytest.raises(ConfigError) as refused,
    ):
        draft_connector("essai", contract, choices, tmp_path, Registry.load())

    assert said in str(refused.value)


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
