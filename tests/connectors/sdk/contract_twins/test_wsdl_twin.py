"""Twins made from WSDLs of invented packages: what they refuse, answer, and keep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.contract.message_samples import values_of
from connectors.sdk.contract.message_schemas import schemas_of
from connectors.sdk.contract_twins.wsdl_twin import Kept, WsdlTwin
from connectors.sdk.soap import NIL, SOAP_12, XSI, SoapClient, soap_contract
from connectors.sdk.soap_twin import operation
from connectors.sdk.twin import TwinAnswer, TwinCall
from schemas.errors import HubError, TryLater
from tests.connectors.sdk.contract.test_wsdl import WSDL

VOIRIE, GUICHET = WSDL / "voirie.wsdl", WSDL / "guichet.wsdl"
SIGNAL = {"Gravite": "FORTE", "Constat": "2026-03-02T12:00:00Z", "Voie": {"nom": "rue des Tilleuls"}, "Relance": NIL}
KEPT = Kept("Signaler", "Numero")


@pytest.fixture
def twin() -> Iterator[WsdlTwin]:
    with WsdlTwin(VOIRIE, keeps=[KEPT]) as found:
        yield found


def call(twin: WsdlTwin, name: str, **said: Any) -> Any:
    client = SoapClient(twin.wsdl, twin.address)
    try:
        return client.ask(name, said, safe=True)
    finally:
        client.close()


def test_every_operation_is_answered_by_values_of_its_schema(twin: WsdlTwin) -> None:
    listed = call(twin, "ListerSignalements", Depuis="2026-03-01T00:00:00Z")

    assert [one["Numero"] for one in listed["Signalements"]["Signalement"]] == ["VO-000000"]
    assert call(twin, "Signaler", **SIGNAL) == {"Numero": "VO-000001"}
    assert twin.operations == ["ListerSignalements", "Signaler"]


def test_rpc_and_its_arrays_are_answered_too() -> None:
    with WsdlTwin(GUICHET) as twin:
        listed = call(twin, "lireTickets", guichet="accueil", page=1)
        closed = call(twin, "cloreTicket", ticket={"numero": 7, "motif": "carte"})

    assert listed["tickets"]["item"] == [{"numero": 1, "motif": "motif d'essai"}]
    assert closed == {"resultat": True}


def test_a_sample_is_answered_instead(tmp_path: Path) -> None:
    one = {"Numero": "VO-000042", "Etat": "CLOS"}
    (tmp_path / "ListerSignalements.json").write_text(
        json.dumps({"Signalements": {"Signalement": [one, one]}, "Total": 2})
    )

    with WsdlTwin(VOIRIE, samples=lambda name: tmp_path / f"{name}.json") as twin:
        assert call(twin, "ListerSignalements")["Signalements"]["Signalement"] == [one, one]


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"Gravite": "ÉNORME"}, "/Gravite: enumeration"), ({"Largeur": "901"}, "/Largeur: max inclusive"),
        ({"Largeur": "0"}, "/Largeur: min inclusive"), ({"Constat": "hier"}, "/Constat: type"),
        ({"Gravite": None}, "/: elements"), ({"Parcelle": None}, "/: elements"),
        ({"Autre": "x"}, "/: elements"),
    ],
)  # fmt: skip
def test_what_the_schema_refuses_is_refused_with_its_place(
    twin: WsdlTwin, wrong: dict[str, str | None], place: str
) -> None:
    body = written(**wrong)
    answered = said(twin, body)

    assert answered.status == 500
    assert f"not in the contract: {place}" in answered.body.decode()
    assert twin.contract.request_fault(TwinCall("POST", "/ws", {}, {}, body))
    assert not twin.opened
    assert said(twin, written()).status == 200


def test_what_was_given_to_it_is_kept_under_the_identifier_that_it_gave() -> None:
    with WsdlTwin(VOIRIE, keeps=[KEPT]) as twin:
        first, second = (call(twin, "Signaler", **SIGNAL)["Numero"] for _ in range(2))

    assert (first, second) == ("VO-000001", "VO-000002")
    assert [entry.request["Gravite"] for entry in twin.opened.values()] == ["FORTE", "FORTE"]


def test_a_call_that_is_known_again_does_nothing_twice(twin: WsdlTwin) -> None:
    twin.known_by["Signaler"] = "Voie/nom"

    numbers = {call(twin, "Signaler", **SIGNAL)["Numero"] for _ in range(2)}

    assert numbers == {"VO-000001"}
    assert list(twin.opened) == ["VO-000001"]


def test_a_refusal_of_the_contract_comes_with_its_detail(twin: WsdlTwin) -> None:
    twin.refuse("Signaler", "V12")

    answered = said(twin, written())

    assert answered.status == 500
    assert b"<ns0:Code" in answered.body
    assert b"V12" in answered.body
    assert twin.contract.answer_fault(TwinCall("POST", "/ws", {}, {}, written()), answered) == ""


def test_it_misbehaves_as_every_twin(twin: WsdlTwin) -> None:
    twin.misbehave("503", at="Signaler")
    with pytest.raises(TryLater):
        call(twin, "Signaler", **SIGNAL)
    twin.misbehave("inside", at="Signaler")
    with pytest.raises(HubError):
        call(twin, "Signaler", **SIGNAL)

    assert call(twin, "Signaler", **SIGNAL)["Numero"] == "VO-000001"


def test_what_a_package_does_besides_is_written_by_hand() -> None:
    class Closing(WsdlTwin):
        wsdl = GUICHET

        @operation("cloreTicket")
        def _close(self, request: Any) -> dict[str, Any]:
            return {"resultat": request["ticket"]["numero"] != 13}

    with Closing() as twin:
        assert call(twin, "cloreTicket", ticket={"numero": 13}) == {"resultat": False}
        assert call(twin, "lireTickets", guichet="a", page=1)["tickets"]["item"]


def test_an_answer_that_the_contract_does_not_allow_is_told_with_its_place(twin: WsdlTwin) -> None:
    asked = TwinCall("POST", "/ws", {}, {}, written())
    fitting = twin.answer(asked)
    other = TwinAnswer(200, fitting.body.replace(b"VO-000001", b"1"))
    foreign = TwinAnswer(200, fitting.body.replace(b"SignalerResponse", b"Signaler"))

    assert twin.contract.answer_fault(asked, fitting) == ""
    assert twin.contract.answer_fault(asked, other) == "/Numero: pattern"
    assert twin.contract.answer_fault(asked, foreign) == "no answer to Signaler (Signaler)"
    assert twin.contract.answer_fault(asked, TwinAnswer(503, {"error": "503"})) == ""


@pytest.mark.parametrize("path", [VOIRIE, GUICHET], ids=["document", "rpc"])
def test_values_made_from_the_schema_are_valid_by_it(path: Path) -> None:
    schemas, soap = schemas_of(path), soap_contract(path)

    for name in soap.operations:
        made = soap.write_answer(name, values_of(schemas.body(name, answer=True)))
        assert schemas.faults(made) == []


def written(**changes: str | None) -> bytes:
    """A request as somebody writes it who does not look into the contract."""
    told = {"Gravite": "FORTE", "Constat": "2026-03-02T12:00:00Z", "Largeur": "12", "Parcelle": "AB 12"} | changes
    elements = "".join(f"<{name}>{value}</{name}>" for name, value in told.items() if value is not None)
    return (
        f'<e:Envelope xmlns:e="{SOAP_12}"><e:Body><Signaler xmlns="urn:voirie-essai">{elements}'
        f'<Relance xmlns:i="{XSI}" i:nil="true"/></Signaler></e:Body></e:Envelope>'
    ).encode()


def said(twin: WsdlTwin, body: bytes) -> TwinAnswer:
    return twin.answer(TwinCall("POST", "/ws", {}, {}, body))
