"""`/v1/procedures`: the catalogue as it is in the tenant of the client that reads it."""

from __future__ import annotations

from typing import Any

import pytest

from hub.settings.procedures import load_procedures
from tests.gateway.conftest import OTHER, TENANT, Open, problem

ROADS = {
    "service": "Direction de la voirie", "address": "1 place de la Mairie, Saint-Aubin", "phone": "01 99 00 00 00",
}  # fmt: skip


def town(name: str, **more: Any) -> dict[str, Any]:
    return {"label": f"Ville de {name}", "siret": "21930001100018", "insee": "93001", **more}


@pytest.fixture
def towns(open_house: Open) -> Any:
    return open_house(
        {"parapheur": {"connector": "mail", "system": "signature", "settings": {
            "host": "smtp.example", "sender": "hub@ville.example"}}},
        tenants={
            TENANT: town("Saint-Aubin", roles={"signature-book": "signature"}, contacts={"voirie": ROADS}),
            OTHER: town("Val-Fleuri", siret="21930002900010"),
        },
    )  # fmt: skip


def test_a_portal_reads_what_the_town_asks_for_who_decides_and_what_silence_means(towns: Any) -> None:
    found = towns.client().get("/v1/procedures/occupation-domaine-public").json()

    assert (found["id"], found["label"]) == ("occupation-domaine-public", "Occupation du domaine public")
    assert found["service"] == {"id": "voirie", "contact": {**ROADS, "email": None}}
    assert found["authority"] == "Le maire"
    assert found["channels"] == ["online", "desk", "mail"]
    assert found["documents"][0] == {
        "kind": "site-plan", "label": "Plan de situation de l'emprise", "required": True,
    }  # fmt: skip
    assert found["decision"] == {"role": "signature-book", "system": "signature"}
    assert (found["delay"], found["silence"]["rule"], found["acknowledgement"]) == ("P2M", "rejection", "hub")
    assert "L. 231-4" in found["silence"]["source"]
    assert "recours gracieux" in found["appeals"]
    assert found["form"] is None


def test_the_list_holds_the_whole_catalogue_each_as_it_is_read_alone(towns: Any) -> None:
    http = towns.client()
    items = http.get("/v1/procedures").json()["items"]

    assert [item["id"] for item in items] == sorted(load_procedures())
    assert all(http.get(f"/v1/procedures/{item['id']}").json() == item for item in items)


def test_another_tenant_reads_its_own_services_and_systems(towns: Any) -> None:
    found = towns.client("voisin", tenant=OTHER).get("/v1/procedures/occupation-domaine-public").json()

    assert found["service"] == {"id": "voirie", "contact": None}
    assert found["decision"] == {"role": "signature-book", "system": None}


def test_a_delay_that_no_text_fixes_is_null(towns: Any) -> None:
    found = towns.client().get("/v1/procedures/acte-naissance").json()

    assert (found["delay"], found["silence"]["rule"], found["silence"]["source"]) == (None, "none", None)


@pytest.mark.parametrize("name", ["inconnue", "Occupation-Domaine-Public", "a%00b", "..%2fhub.schema", "x" * 200])
def test_a_procedure_that_is_not_in_the_catalogue_is_not_found(towns: Any, name: str) -> None:
    problem(towns.client().get(f"/v1/procedures/{name}"), 404, "not_found")
