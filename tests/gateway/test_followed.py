"""Appointments, payments and messages over HTTP: in by the door, out on the timeline of a request and of an account."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.clients.origin import Origin
from schemas.event import Event
from tests.gateway.conftest import TENANT, TYPES, Open, problem, record
from tests.gateway.test_account import SIGNED_IN, Town, town
from tests.gateway.test_exchanges import PERSON, STRANGER

__all__ = ["town"]
CLOUDEVENT = {"content-type": "application/cloudevents+json"}


def appointment(request: str, by: str = "portail", **more: Any) -> dict[str, Any]:
    said = {"reference": {"system": by, "id": "rdv-1"}, "state": "booked", "starts_at": "2026-12-12T10:30:00+01:00",
            "subject": "Remise du titre", **more}  # fmt: skip
    return {"appointment": said, "request": {"id": request}}


def post(http: httpx.Client, kind: str, data: dict[str, Any], name: str = "1") -> httpx.Response:
    event = {"specversion": "1.0", "id": name, "source": f"/{TENANT}/portail", "type": kind, "data": data}
    return http.post("/v1/events", json=event, headers=CLOUDEVENT)


@pytest.fixture
def portal(open_house: Open, tmp_path: Path) -> httpx.Client:
    return open_house().client(types=(*TYPES, "appointment.changed", "payment.requested", "payment.changed"))


def test_an_appointment_is_on_the_timeline_of_its_request(portal: httpx.Client) -> None:
    request = portal.post("/v1/requests", json=record(1)).json()["id"]

    answer = post(portal, "appointment.changed", appointment(request))

    assert answer.is_success, answer.text
    view = portal.get(f"/v1/requests/{request}").json()
    at = view["timeline"][-1]["at"]
    assert [one["id"] for one in portal.get("/v1/requests", params={"updated_since": at}).json()["items"]] == [request]
    assert view["status"] == "received"
    (step,) = [step for step in view["timeline"] if step["kind"] == "appointment"]
    assert (step["native_code"], step["native_label"]) == ("booked", "Remise du titre, le 12/12/2026 à 10 h 30")


CENTS, CURRENCY = "/data/payment/amount/cents", "/data/payment/amount/currency"


@pytest.mark.parametrize(
    ("kind", "data", "pointer"),
    [
        ("payment.requested", {"payment": {"amount": {"cents": 12.5, "currency": "EUR"}}}, CENTS),
        ("payment.requested", {"payment": {"amount": {"cents": 0, "currency": "EUR"}}}, CENTS),
        ("payment.requested", {"payment": {"amount": {"cents": 9, "currency": "CHF"}}}, CURRENCY),
        ("appointment.changed", {"appointment": {"starts_at": "2026-12-12T10:30:00"}}, "/data/appointment/starts_at"),
        ("appointment.changed", {"appointment": {"cancelled_by": "service"}}, "/data/appointment/state"),
        ("payment.changed", {"payment": {"state": "paid"}}, "/data/payment/amount"),
        ("payment.changed", {"payment": {"state": "open", "link": "http://a.example"}}, "/data/payment/link"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(
    portal: httpx.Client, kind: str, data: dict[str, Any], pointer: str
) -> None:
    request = portal.post("/v1/requests", json=record(1)).json()["id"]
    (member,) = data
    whole: dict[str, Any] = {
        "appointment": appointment(request)["appointment"],
        "payment": {"reference": {"system": "portail", "id": "p"}}
        | ({"subject": "Cantine"} if kind == "payment.requested" else {}),
    }
    said = {member: whole[member] | data[member], "request": {"id": request}}

    told = problem(post(portal, kind, said), 422, "schema_violation")

    assert told["pointer"] == pointer


def test_a_client_that_was_not_given_the_type_publishes_none(open_house: Open) -> None:
    portal = open_house().client()
    request = portal.post("/v1/requests", json=record(1)).json()["id"]

    problem(post(portal, "appointment.changed", appointment(request)), 403, "type_not_allowed")


def test_the_appointment_of_another_system_is_not_the_portals_to_tell(portal: httpx.Client) -> None:
    request = portal.post("/v1/requests", json=record(1)).json()["id"]

    problem(post(portal, "appointment.changed", appointment(request, by="agenda")), 422, "reference_not_yours")


def test_a_person_sees_the_appointment_in_their_account_and_another_of_the_request_only_that_there_is_one(
    town: Town,
) -> None:
    request = town.received(1, beneficiaries=[{"identity": STRANGER}])
    sources = (f"/{TENANT}/guichet",)
    origin = Origin(f"{TENANT}.guichet", TENANT, frozenset({"*"}), sources, connection=True, system="guichet")
    said = Event("appointment.changed", f"/{TENANT}/guichet", appointment(request, by="guichet"), id="rdv-1")
    town.house.hub.acceptance.submit(town.house.hub.ledger, origin, [said], whole=True)
    alone = town.received(2, person=PERSON)
    me = town.reference(alone)

    own = town.portal.get(f"/v1/citizens/{me}/requests/{request}", params=SIGNED_IN).json()

    (step,) = [step for step in own["timeline"] if step["kind"] == "appointment"]
    assert step["text"] == "guichet : rendez-vous fixé (Remise du titre, le 12/12/2026 à 10 h 30)"
    child = town.portal.get(f"/v1/citizens/{town.reference(request)}/requests/{request}", params=SIGNED_IN).json()
    texts = [step["text"] for step in child["timeline"] if step["kind"] == "appointment"]
    assert texts == ["guichet : rendez-vous fixé"]
