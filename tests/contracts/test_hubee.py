"""HubEE held against the State's own files: OpenAPI, workflow table and samples, read in place."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from connectors.hubee import mapping
from connectors.hubee.client import Case, _case, _event_body, _notification
from connectors.hubee.connector import HubEEConnector
from connectors.hubee.twin import File, HubEETwin
from connectors.hubee.workflow import Workflow
from connectors.sdk.twin import TwinAnswer, TwinCall
from connectors.sdk.xml import parse_xml
from schemas.delivery import Delivery
from schemas.event import Event
from schemas.registry import Registry
from tests.support.context import context_for

CONTRACTS = Path(os.environ.get("UNEFOIS_CONTRACTS", Path(__file__).resolve().parents[3] / "shared" / "contracts"))
FOLDER = CONTRACTS / "hubee"
if not FOLDER.is_dir():
    pytest.skip("contracts folder absent", allow_module_level=True)

SAMPLES = FOLDER / "samples"
REGISTRY = Registry.load()
BASE = "/teledossiers/v1"
OTHERS = {"certificat-non-pacs": "certificat-non-pacs", "OTV": "tranquillite-vacances"}  # the town's own choice


def openapi() -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load((FOLDER / "api_folder_v1.2.7.yaml").read_text(encoding="utf-8"))
    return body


def as_json_schema(node: Any, *, written: bool) -> Any:
    """OpenAPI 3.0 said in JSON Schema: `nullable`, and `readOnly` properties that a request need not hold."""
    if isinstance(node, list):
        return [as_json_schema(item, written=written) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: as_json_schema(value, written=written) for key, value in node.items() if key != "example"}
    if written and isinstance(node.get("required"), list):
        read_only = {name for name, part in node.get("properties", {}).items() if part.get("readOnly")}
        schema["required"] = [name for name in node["required"] if name not in read_only]
    if node.get("nullable") is True:
        return {"anyOf": [{"type": "null"}, schema]}
    return schema


class Contract:
    """The OpenAPI file, asked about one call and its answer."""

    def __init__(self) -> None:
        self.api = openapi()

    def faults(self, call: TwinCall, answer: TwinAnswer) -> Iterator[str]:
        path, item = next(
            (path, item)
            for path, item in self.api["paths"].items()
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), call.path.removeprefix(BASE))
        )
        operation = item[call.method.lower()]
        known = {self._parameter(p)["name"] for p in (*item["parameters"], *operation.get("parameters", ()))}
        yield from (f"{path}: query {name}" for name in call.query if name not in known)
        if call.body:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            yield from self._against(schema, call.json(), written=True, where=f"{call.method} {path} request")
        response = operation["responses"].get(str(answer.status))
        if response is None:
            yield f"{call.method} {path}: status {answer.status} is not in the contract"
        elif "application/json" in response.get("content", {}):
            schema = response["content"]["application/json"]["schema"]
            yield from self._against(schema, answer.body, written=False, where=f"{call.method} {path} answer")
        elif answer.headers:
            yield from (f"{path}: header {name}" for name in answer.headers if name not in response["headers"])

    def check(self, name: str, value: Any, *, written: bool = False) -> list[str]:
        return list(self._against({"$ref": f"#/components/schemas/{name}"}, value, written=written, where=name))

    def _against(self, schema: Any, value: Any, *, written: bool, where: str) -> Iterator[str]:
        body = as_json_schema({**schema, "components": self.api["components"]}, written=written)
        for fault in Draft202012Validator(body).iter_errors(value):
            yield f"{where}: {fault.json_path} {fault.validator}"

    def _parameter(self, parameter: Mapping[str, Any]) -> Mapping[str, Any]:
        name = parameter.get("$ref", "").rpartition("/")[2]
        found: Mapping[str, Any] = self.api["components"]["parameters"][name] if name else parameter
        return found


class WatchedTwin(HubEETwin):
    """Keeps every call of the API with its answer."""

    def __init__(self, process: str = "EtatCivil") -> None:
        super().__init__(process)
        self.exchanges: list[tuple[TwinCall, TwinAnswer]] = []

    def answer(self, call: TwinCall) -> TwinAnswer:
        answer = super().answer(call)
        if call.path.startswith(BASE) and answer.status != 401:
            self.exchanges.append((call, answer))
        return answer


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text(encoding="utf-8"))


def case_of(process: str) -> Case:
    body = sample("api-case-200.json")
    return _case(body | {"processCode": process})


def request_from(name: str, process: str) -> dict[str, Any]:
    form = parse_xml((SAMPLES / name).read_bytes())
    body = mapping.request(case_of(process), [form], system="hubee", procedures=OTHERS)
    REGISTRY.validate(Event(type="request.received", source="/test/hubee", data={"request": body}))
    return body


def test_every_call_and_answer_keeps_to_the_contract() -> None:
    contract = Contract()
    with WatchedTwin() as twin:
        connector = HubEEConnector(context_for("hubee", twin.settings() | {"editor_name": "Ville"}))

        def poll() -> None:
            for polled in connector.poll(None):
                assert polled.acknowledge is not None
                polled.acknowledge()

        def tell(status: str, reason: str | None = None) -> None:
            event = Event(type="request.status-changed", source="/t/x", data={"status": status, "reason": reason})
            connector.handle(Delivery(event, key=event.id, reference=case_id))

        case_id = twin.add_civil_record_request()
        poll()
        tell("transferred")
        tell("rejected", "Aucun acte à ce nom")
        twin.reopen(case_id, "Voici la bonne date")
        twin.add_event(case_id, "ATTACH_DEPOSIT", files=[File("a.pdf", "Piece", "application/pdf", b"%PDF")])
        poll()
        tell("fulfilled")
        twin.add_civil_record_request(digest="absent")
        poll()
        connector.close()

    assert {call.method for call, _ in twin.exchanges} == {"GET", "PATCH", "POST", "DELETE"}
    assert [fault for call, answer in twin.exchanges for fault in contract.faults(call, answer)] == []


def test_the_twin_refuses_as_the_contract_says() -> None:
    contract = Contract()
    with WatchedTwin() as twin:
        connector = HubEEConnector(context_for("hubee", twin.settings()))
        http, case_id = connector.client._http, twin.add_civil_record_request()
        nowhere = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
        for method, path, body in [
            ("GET", f"cases/{nowhere}", None),
            ("PATCH", f"cases/{nowhere}", {"status": "DONE"}),
            ("PATCH", f"cases/{case_id}", {"status": "CLOSED"}),
            ("GET", f"cases/{case_id}/events/{nowhere}", None),
            ("GET", f"cases/{case_id}/attachments/{nowhere}", None),
            ("DELETE", f"notifications/{nowhere}", None),
            ("DELETE", "notifications/dddddd", None),
        ]:
            http.request(method, path, json=body, expect=(400, 404))
        connector.close()
    assert [fault for call, answer in twin.exchanges for fault in contract.faults(call, answer)] == []


def test_the_published_examples_keep_to_the_contract_and_are_read() -> None:
    contract = Contract()
    assert contract.check("Case", sample("api-case-200.json")) == []
    assert contract.check("Case", sample("api-case-200.json") | {"status": None, "recipient": {}}) != []
    first, second = [_notification(item) for item in sample("api-notifications-200.json")]
    assert (first.event_id, first.recipient) == (None, "SI-21060088800010-06088")
    assert second.event_id is not None
    case = case_of("EtatCivil")
    assert [attachment.status for attachment in case.attachments] == ["RECEIVED", "RECEIVED"]
    assert (case.status, case.recipient) == ("HUBEE_NOTIFIED", first.recipient)


def test_our_status_event_is_the_published_one() -> None:
    published = sample("api-event-status-update-request.json")
    ours = _event_body("SI_RECEIVED", before="HUBEE_NOTIFIED", message=published["message"])
    assert ours == {key: value for key, value in published.items() if key != "author"}
    assert Contract().check("Event", ours, written=True) == []


def test_the_civil_record_sample_is_read_whole() -> None:
    body = request_from("EtatCivil-ActeEtatCivil.xml", "EtatCivil")
    root = parse_xml((SAMPLES / "EtatCivil-ActeEtatCivil.xml").read_bytes())

    def text(path: str) -> str:
        found = root.findtext(path)
        assert found
        return found

    asker, holder = "DemandeActe/Demandeur/", "DemandeActe/Titulaire/"
    citizen = body["requester"]["citizen"]
    assert body["procedure"] == "acte-naissance"
    assert "beneficiaries" not in body
    assert citizen["identity"] == {
        "family_name": text(f"{holder}NomNaissance"),
        "given_names": text(f"{holder}Prenoms").split(),
        "gender": "female",
        "birthdate": text(f"{holder}DateDeNaissance"),
        "birthplace": text("DemandeActe/LieuActe/CodeINSEE"),
        "preferred_name": text(f"{asker}Nom"),
    }
    assert citizen["email"] == text(f"{asker}Courriel")
    number, street = text(f"{asker}AdresseFrancaise/Voie").split(" ", 1)
    assert citizen["address"] == {
        "house_number": number,
        "street": street,
        "postal_code": text(f"{asker}AdresseFrancaise/CodePostal"),
        "city": text(f"{asker}AdresseFrancaise/Ville"),
    }
    assert body["form"] == {
        "event_kind": "NAI",
        "document_kind": "CPI",
        "event_date": text("DemandeActe/DateActe"),
        "event_place": {
            "city": text("DemandeActe/LieuActe/Ville"),
            "insee_code": text("DemandeActe/LieuActe/CodeINSEE"),
        },
        "copies": 1,
        "motive": text("DemandeActe/MotifDemande/Commentaire"),
        "requester_capacity": text(f"{asker}QualiteDemandeur/Libelle"),
    }


@pytest.mark.parametrize(
    ("name", "process", "procedure", "people"),
    [
        ("recensementCitoyen-10870.xml", "recensementCitoyen", "recensement-citoyen", 1),
        ("depotDossierPACS-flux-pacs.xml", "depotDossierPACS", "depot-dossier-pacs", 2),
        ("certificat-non-pacs-flux.xml", "certificat-non-pacs", "certificat-non-pacs", 1),
        ("CERTDC-DD.xml", "CERTDC", "certificat-deces", 0),
        ("CERTDC-VA.xml", "CERTDC", "certificat-deces", 0),
    ],
)
def test_the_other_samples_are_taken(name: str, process: str, procedure: str, people: int) -> None:
    body = request_from(name, process)
    assert body["procedure"] == procedure
    assert len(body.get("beneficiaries", ())) == people
    for person in body.get("beneficiaries", ()):
        assert "birthdate" in person["identity"]


@pytest.mark.parametrize(
    ("name", "process", "media_type"),
    [(path.name, path.name.split("-")[0].split(".")[0], "application/xml") for path in sorted(SAMPLES.glob("*.xml"))]
    + [("OTV.json", "OTV", "application/json")],
)
def test_every_sample_comes_in_as_a_document(name: str, process: str, media_type: str) -> None:
    process = "certificat-non-pacs" if process == "certificat" else process
    with HubEETwin(process) as twin:
        connector = HubEEConnector(context_for("hubee", twin.settings() | {"procedure_map": OTHERS}))
        twin.add_case([File(name, "Flux", media_type, (SAMPLES / name).read_bytes())])
        [polled] = list(connector.poll(None))
        [event] = polled.events
        REGISTRY.validate(event)
        assert event.data["request"]["documents"][0]["name"] == name
        connector.close()


def published_steps(process: str) -> set[tuple[str, str]]:
    """The steps that the table allows in either column, its misprints put right as the notes on it say."""
    steps: set[tuple[str, str]] = set()
    with (FOLDER / "process-status-workflow.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["processCode"] == process:
                steps |= {(before, row["status"]) for before in words(row["allowed_from"])}
                steps |= {(row["status"], after) for after in words(row["allowed_to"])}
    loop = ("HUBEE_NOTIFIED", "HUBEE_NOTIFIED")
    return steps - {loop} | ({("HUBEE_NOTIFIED", "SENT")} if loop in steps else set())


def words(cell: str) -> list[str]:
    misprints = {"IN_PRDONE": "IN_PROGRESS", "ADD_WAITING": "ADD_AWAITING"}
    return [misprints.get(word, word) for word in re.split(r"[,\s]+", cell) if word]


@pytest.mark.parametrize(
    "process",
    ["EtatCivil", "recensementCitoyen", "depotDossierPACS", "JeChangeDeCoordonnees", "HebergementTourisme", "CERTDC",
     "certificat-non-pacs"],
)  # fmt: skip
def test_our_workflow_is_the_published_one(process: str) -> None:
    ours = {(status, after) for status, nexts in Workflow.of(process).steps.items() for after in nexts}
    assert ours == published_steps(process)
