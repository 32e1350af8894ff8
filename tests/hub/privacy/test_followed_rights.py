"""Appointments, payments and messages in the export of a person and in the erasure of them."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import select

from hub.privacy.export_page import person_page
from hub.settings.model import Retention
from hub.storage.tables import followed_subjects, request_steps
from schemas.event import Event
from tests.hub.exchanges.test_corrections import TOWN
from tests.hub.privacy.test_rights import HERS, ILYES, MAELLE, OPERATOR, House, house, lived

__all__ = ["house"]


def said(kind: str, data: dict[str, Any], name: str) -> Event:
    return Event(type=kind, source=f"/{TOWN}/portail", id=name, data=data)


def ref(number: str) -> dict[str, str]:
    return {"system": "portail", "id": number}


def lived_on(house: House) -> str:
    """Her request had an appointment; a letter and a text message went to her, one to somebody else."""
    maelle = lived(house)
    about = {"request": {"references": [ref("D1")]}}
    address = {"street": "rue des Tilleuls", "postal_code": "93001", "city": "Saint-Aubin"}
    document = house.document(b"lettre a Maelle Corvisart").to_data()
    house.submit(
        said("appointment.changed", {"appointment": {
            "reference": ref("rdv-1"), "state": "booked", "starts_at": "2026-03-12T10:30:00+01:00",
            "subject": "Mme Corvisart, remise du titre"}, **about}, "rdv-1"),
        said("message.letter-requested", {
            "message": {"reference": ref("l-1"), "subject": "Convocation", "documents": [document]},
            "to": {"name": "Maëlle Corvisart", "address": address}, "citizen": MAELLE}, "l-1"),
        said("message.sms-requested", {
            "message": {"reference": ref("s-1"), "text": "Rappel"}, "to": {"phone": "06 99 00 00 01"},
            "citizen": ILYES, **about}, "s-1"),
        said("payment.requested", {"payment": {
            "reference": ref("p-1"), "amount": {"cents": 1250, "currency": "EUR"}, "subject": "Cantine"},
            "citizen": MAELLE}, "p-1"),
    )  # fmt: skip
    return maelle


def test_an_export_holds_them_and_nobody_else(house: House) -> None:
    told = house.rights.export(TOWN, lived_on(house), OPERATOR)

    kinds = {event["type"]: event["data"] for event in told["events"]}
    assert kinds["message.letter-requested"]["to"]["name"] == "Maëlle Corvisart"
    assert kinds["payment.requested"]["payment"]["amount"]["cents"] == 1250
    steps = [step["text"] for step in told["requests"][0]["timeline"] if step["kind"] == "appointment"]
    assert steps == ["portail : rendez-vous fixé (Mme Corvisart, remise du titre, le 12/03/2026 à 10 h 30)"]
    text = orjson.dumps(told).decode().lower()
    assert "06 99 00 00 01" not in text  # of the text message to Ilyès about the request that is hers
    assert "benzerti" not in text


def test_the_page_for_the_person_has_a_french_word_for_each(house: House) -> None:
    told = house.rights.export(TOWN, lived_on(house), OPERATOR)

    page = person_page(told, house.acceptance.registry, Retention())

    for word in ("Rendez-vous", "Courrier à vous envoyer", "Paiement demandé", "montant"):
        assert word in page
    assert ">Information<" not in page


def test_an_erasure_takes_them_and_where_they_stood(house: House) -> None:
    maelle = lived_on(house)
    house.ended()

    house.rights.erase(TOWN, maelle, OPERATOR)

    everything = house.everything()
    for word in {*HERS, "convocation", "remise du titre"} - {"tilleuls"}:  # her child is known to live there, too
        assert word not in everything
    with house.ledger.reading() as tx:
        assert tx.sql.execute(select(followed_subjects)).all() == []
        kept = [row for row in tx.sql.execute(select(request_steps)).all() if row.kind == "appointment"]
    assert [(row.native_code, row.native_label) for row in kept] == [("booked", None)]
