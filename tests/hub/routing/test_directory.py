"""Who gets an event: by type, procedure, link and mark, and what keeps it from whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.routing.directory import ConnectionRouting, Directory, Facts
from hub.settings.model import Tenant
from hub.settings.procedures import load_procedures
from schemas.manifest import Consumed

TOWN = "saint-aubin"
PORTAL, OFFICE, LIBRARY = f"{TOWN}.portail", f"{TOWN}.etat-civil", f"{TOWN}.koha"


def connection(name: str, event_type: str, scope: Any = "all", **more: Any) -> ConnectionRouting:
    consumes = {event_type: Consumed(event_type, 1, ("/request",), scope, ())}
    return ConnectionRouting(f"{TOWN}.{name}", TOWN, name, name.title(), consumes, **more)


def directory(*connections: ConnectionRouting, **tenant: Any) -> Directory:
    town = Tenant(TOWN, "Ville de Saint-Aubin", "21930001100018", "93001", {"civil-status": "etat-civil"}, **tenant)
    return Directory(connections, load_procedures(), {TOWN: town})


def received(**more: Any) -> Facts:
    return Facts(TOWN, "request.received", PORTAL, "acte-naissance", PORTAL, **more)


def test_nobody_gets_its_own_event_nor_one_of_another_type_or_procedure() -> None:
    made = directory(
        connection("portail", "request.received"),
        connection("etat-civil", "request.received"),
        connection("koha", "citizen.address-changed"),
        connection("voirie", "request.received", procedures=("occupation-domaine-public",)),
    )

    assert made.route(received()).to == (OFFICE,)


def test_what_is_asked_for_where_linked_goes_to_the_systems_that_know_the_person() -> None:
    made = directory(connection("koha", "citizen.address-changed", "linked"))
    moved = Facts(TOWN, "citizen.address-changed", PORTAL)

    assert made.asks_for_links(TOWN, moved.type)
    assert made.route(moved).to == ()
    assert made.route(Facts(TOWN, moved.type, PORTAL, systems=frozenset({"koha"}))).to == (LIBRARY,)


def test_a_webhook_gets_what_is_held_by_its_client_alone() -> None:
    made = directory(connection("webhook-1", "request.received", "held", holds=(f"{TOWN}.guichet",)))

    assert made.route(received()).to == ()
    assert made.route(Facts(TOWN, "request.received", OFFICE, None, f"{TOWN}.guichet")).to == (f"{TOWN}.webhook-1",)


def test_a_confidential_event_reaches_the_deciding_system_and_the_portal_that_holds_the_request() -> None:
    made = directory(connection("etat-civil", "request.received"), connection("koha", "request.received"))

    route = made.route(received(confidential=True))

    assert (route.to, route.withheld) == ((OFFICE,), (LIBRARY,))
    assert made.decides(OFFICE, "acte-naissance")
    assert not made.decides(LIBRARY, "acte-naissance")
    assert not made.decides(OFFICE, None)


def test_what_is_for_one_alone_reaches_nobody_else() -> None:
    made = directory(connection("etat-civil", "request.received"), connection("koha", "request.received"))
    assert made.route(received(alone=LIBRARY)).to == (LIBRARY,)


@pytest.mark.parametrize(("linked", "together"), [((), True), ((("school", "social"),), False)])
def test_a_record_joins_sectors_that_the_tenant_does_not_link(linked: Any, together: bool) -> None:
    made = directory(
        connection("cantine", "request.received", sector="school"),
        connection("ccas", "request.received", sector="social"), link_sectors=linked,
    )  # fmt: skip
    person = {"references": [{"system": "cantine", "id": "1"}, {"system": "ccas", "id": "2"}]}

    assert made.separates(TOWN)
    assert made.links_sectors(TOWN, person) is together


@pytest.mark.parametrize(("declared", "shared", "own"), [
    ({}, {"parascol"}, {"koha"}), ({"caf": "household"}, {"parascol", "caf"}, {"koha"}),
    ({"parascol": "own", "caf": "nir"}, set(), {"koha", "parascol", "caf"}),
])  # fmt: skip
def test_whose_the_numbers_of_a_system_are_is_for_its_town_to_say_then_for_its_connector(
    declared: Any, shared: set[str], own: set[str]
) -> None:
    family, library = (connection(name, "request.received") for name in ("parascol", "koha"))
    known = directory(replace(family, household=True), library, identifiers=declared)

    assert known.households(TOWN) == shared
    assert {one for one in ("parascol", "koha", "caf", "gone") if known.has_own_numbers(TOWN, one)} == own
    assert known.households("ailleurs") == frozenset()


def test_an_unknown_name_is_shown_without_its_tenant() -> None:
    made = directory(connection("koha", "request.received"), masters={"address": "koha"})
    assert (made.label(LIBRARY), made.label(PORTAL)) == ("Koha", "portail")
    assert (made.master_of(TOWN, "new_address"), made.master_of(TOWN, "email")) == ("koha", None)
