"""What a citizen wrote and nobody can read stays in the form, and the request goes on (ma-cantine#3784)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.registry import Registry
from tests.connectors.publik.scene import MOVE, SLUG, connector, fixture, pushed, settings

REGISTRY = Registry.load()
STREET, TOWN = "nouvelle_adresse_structured", "93001"
SETTING = copy.deepcopy(MOVE)
SETTING["fields"] |= {
    "pays": "/new_address/country", "lieu_naissance": "/requester/identity/birthcountry", "mail": "/contact/email",
    "domicile_rue": "/requester/address/street", "domicile_cp": "/requester/address/postal_code",
    "domicile_ville": "/requester/address/city",
}  # fmt: skip


def told(**fields: Any) -> dict[str, Event]:
    body = fixture()
    body["fields"] |= fields
    made = connector(forms={SLUG: SETTING}).receive(pushed(body)).polled.events
    for event in made:
        REGISTRY.validate(event)
    return {event.type: event for event in made}


def unread(events: dict[str, Event]) -> Any:
    return events["request.received"].data["request"].get("form", {}).get("unread_answers")


def requester(events: dict[str, Event]) -> Any:
    return events["request.received"].data["request"]["requester"]["citizen"]


def test_the_form_of_the_report_goes_through_with_all_that_was_written() -> None:
    names = " ".join(f"Prénom{number}" for number in range(21))
    events = told(
        civilite="Autre", nouveau_telephone="04 00 00 00 12 poste 34", pays="France", prenoms=names,
        courriel="a@maison.example, b@travail.example", lieu_naissance="France",
    )  # fmt: skip

    assert unread(events) == {
        "civilite": "Autre", "nouveau_telephone": "04 00 00 00 12 poste 34", "prenoms": names,
        "courriel": "a@maison.example, b@travail.example",
    }  # fmt: skip
    citizen = requester(events)
    assert "email" not in citizen
    assert citizen["identity"].keys() == {"family_name", "given_names", "birthdate", "birthplace", "birthcountry"}
    assert citizen["identity"]["birthcountry"] == "99100"
    assert citizen["phone"] == "04 00 00 00 12"
    assert events["citizen.address-changed"].data["new_address"]["value"]["country"] == "FR"


def test_a_number_with_its_country_in_brackets_is_read() -> None:
    events = told(nouveau_telephone="(+33) 4 00 00 00 12")

    assert events["citizen.contact-changed"].data["phone"]["value"] == "+33 4 00 00 00 12"
    assert unread(events) is None


def test_a_form_that_is_wholly_read_keeps_nothing_aside() -> None:
    assert unread(told()) is None


@pytest.mark.parametrize("field", ["date_naissance", "commune_naissance", "date_demenagement", "lieu_naissance"])
def test_no_other_optional_answer_stops_a_request_either(field: str) -> None:
    assert unread(told(**{field: "je ne sais pas"})) == {field: "je ne sais pas"}


def test_a_contact_that_cannot_be_read_is_no_change_of_contact() -> None:
    events = told(nouveau_telephone="le soir", mail="chez ma soeur")

    assert "citizen.contact-changed" not in events
    assert unread(events) == {"nouveau_telephone": "le soir", "mail": "chez ma soeur"}


def test_a_move_abroad_needs_no_postal_code() -> None:  # odoo#985
    abroad = {"street": "Queen's Road Central", "city": "Hong Kong"}
    move = told(**{STREET: abroad, "nouvelle_adresse_raw": None}, pays="Hong Kong")["citizen.address-changed"]

    assert move.version == 2
    assert move.data["new_address"]["value"] == {**abroad, "complement": "Bâtiment C, porte 12", "country": "HK"}


def test_a_move_that_the_first_version_can_say_is_said_in_it() -> None:
    assert {event.version for event in told().values()} == {1}


def test_an_address_of_an_unknown_country_stays_in_the_form() -> None:
    events = told(pays="Syldavie")

    assert "citizen.address-changed" not in events
    assert unread(events)["pays"] == "Syldavie"
    assert unread(events)[f"{STREET}.city"] == "Saint-Aubin"


def test_an_optional_address_that_is_not_whole_stays_in_the_form() -> None:
    events = told(domicile_rue="1 rue Haute", domicile_cp="1000", domicile_ville="Bourg", ancien_code_postal="")

    assert "address" not in requester(events)
    assert "old_address" not in events["citizen.address-changed"].data
    assert unread(events) == {
        "domicile_rue": "1 rue Haute", "domicile_cp": "1000", "domicile_ville": "Bourg",
        "ancienne_voie": "12 bis rue des Tilleuls", "ancienne_ville": "Saint-Aubin",
    }  # fmt: skip


def test_a_new_address_with_four_digits_is_refused_with_their_place() -> None:  # addok#373
    with pytest.raises(InvalidMessage) as caught:
        told(**{STREET: {"street": "rue Haute", "postcode": "1000", "city": "Bourg"}})

    assert (caught.value.code, caught.value.pointer) == ("bad_postal_code", f"/fields/{STREET}.postcode")


def test_a_postal_code_typed_in_two_parts_is_read() -> None:
    move = told(**{STREET: {"street": "rue Haute", "postcode": "93 001", "city": "Bourg"}})["citizen.address-changed"]

    assert move.data["new_address"]["value"]["postal_code"] == TOWN


def test_an_unread_answer_of_a_household_names_its_row() -> None:
    events = told(foyer_raw=[{"prenom": "Tancrède", "nom": "Quenneville", "naissance": "hier"}])

    assert unread(events) == {"foyer/0/naissance": "hier"}


def test_the_settings_of_these_tests_are_those_of_a_form() -> None:
    assert SETTING["fields"].keys() >= settings()["forms"][SLUG]["fields"].keys()


@pytest.mark.parametrize("written", ["00/00/1962", "1962-00-00", "1962"])
def test_a_date_of_birth_of_which_a_part_is_unknown_is_read_as_far_as_it_is_known(written: str) -> None:
    events = told(date_naissance=written)

    assert requester(events)["identity"]["birthdate"] == "1962"
    assert unread(events) is None
