"""Whatever the road, an identity is read by its meaning: what is empty is absent, an unknown part of a date is unknown,
given names in one text are several. And a mark is true, false or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from bus.tables import events
from hub.operations.link_import import import_links
from hub.storage.tables import citizens
from schemas.event import Event
from tests.gateway.conftest import TENANT, House, Open, event, post, record
from tests.support.town import HEADER

# The shape of FranceConnect: all given names in one text, no commune of birth abroad, no name in use.
ANGELA: dict[str, Any] = {
    "family_name": "DUBOIS", "given_names": ["Angela Claire Louise"], "gender": "female", "birthdate": "1962-08-24",
    "birthplace": "", "birthcountry": "99351", "preferred_name": "",
}  # fmt: skip
PARTED = {name: part for name, part in ANGELA.items() if part} | {"given_names": ["Angela", "Claire", "Louise"]}
Road = Callable[[House, dict[str, Any]], Any]


@pytest.fixture
def house(open_house: Open) -> House:
    return open_house()


def by_event(house: House, identity: dict[str, Any]) -> Any:
    told = event(1, data={"request": record(1, requester={"citizen": {"identity": identity}})})
    answer = post(house.client(), told)
    assert answer.status_code == 202, answer.text


def by_request(house: House, identity: dict[str, Any]) -> Any:
    body = record(1, requester={"citizen": {"identity": identity}})
    answer = house.client().post("/v1/requests", json=body)
    assert answer.status_code == 201, answer.text


def by_a_beneficiary(house: House, identity: dict[str, Any]) -> Any:
    body = record(1, beneficiaries=[{"identity": identity}])
    assert house.client().post("/v1/requests", json=body).status_code == 201


def by_poll(house: House, identity: dict[str, Any]) -> Any:
    """What a connector read; the inlet of AMQP hands it to the same door."""
    from tests.gateway.test_requests import speaker

    data = {"request": record(1, system="parapheur", requester={"citizen": {"identity": identity}})}
    told = Event("request.received", f"/{TENANT}/parapheur", data, id="lu-1")
    (verdict,) = house.hub.acceptance.submit(house.hub.ledger, speaker("parapheur"), [told])
    assert verdict.ok, verdict


def by_file(house: House, identity: dict[str, Any]) -> Any:
    names = (identity["family_name"], identity["given_names"][0])
    line = ";".join([*names, identity["gender"], identity["birthdate"], "", "koha", "K"])
    import_links(house.hub.ledger, house.hub.acceptance, TENANT, f"{HEADER}{line};\n")


ROADS = [by_event, by_request, by_a_beneficiary, by_poll]


def people(house: House) -> int:
    with house.hub.ledger.reading() as tx:
        whole = select(func.count()).select_from(citizens).where(citizens.c.merged_into.is_(None))
        return int(tx.sql.execute(whole).scalar_one())


def told_identity(house: House) -> dict[str, Any]:
    with house.hub.ledger.reading() as tx:
        seq = tx.sql.execute(select(events.c.seq).order_by(events.c.seq).limit(1)).scalar_one()
        request = tx.load([seq])[seq].event.data["request"]
    person = request.get("beneficiaries", [None])[0] or request["requester"]["citizen"]
    identity: dict[str, Any] = person["identity"]
    return identity


@pytest.mark.parametrize("road", [*ROADS, by_file])
def test_one_person_is_one_however_their_names_are_written(house: House, road: Road) -> None:
    road(house, ANGELA)
    body = record(2, requester={"citizen": {"identity": PARTED}})
    assert house.client().post("/v1/requests", json=body).status_code == 201

    assert people(house) == 1


@pytest.mark.parametrize("road", ROADS)
def test_what_is_empty_is_absent_and_unknown_parts_of_a_date_are_unknown(house: House, road: Road) -> None:
    road(house, ANGELA | {"birthdate": "00/00/1962", "family_name": ""})

    identity = told_identity(house)
    assert identity["birthdate"] == "1962"
    assert identity["family_name"] == "-"
    assert not identity.keys() & {"birthplace", "preferred_name"}


@pytest.mark.parametrize("word", ["oui", "VRAI", "x", 1, "", None, "peut-être"])
def test_a_mark_that_is_neither_true_nor_false_is_refused_with_its_place(house: House, word: Any) -> None:
    body = record(1, requester={"citizen": {"identity": PARTED, "confidential": word}})

    answer = house.client().post("/v1/requests", json=body)

    assert (answer.status_code, answer.json()["pointer"]) == (422, "/requester/citizen/confidential")
    assert people(house) == 0
