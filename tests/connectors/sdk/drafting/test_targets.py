"""The shared place that is proposed for a vendor's field: by its name, its shape, and what stands above it."""

from __future__ import annotations

from functools import cache

import pytest

from connectors.sdk.contract.model import Field, Operation, Type
from connectors.sdk.drafting.conversions import meanings, reading_words, writing_words
from connectors.sdk.drafting.targets import Place, Targets, identity_places
from schemas.names import words_of
from schemas.registry import Registry

PERSON = "/request/requester/citizen"


@cache
def targets(carries: str) -> Targets:
    return Targets(Registry.load(), carries)


@pytest.mark.parametrize(
    ("place", "kind", "due"),
    [
        ("/user/last_name", "text", f"{PERSON}/identity/family_name"),
        ("/nomNaissance", "text", f"{PERSON}/identity/family_name"),
        ("/demandeur/prénom", "text", f"{PERSON}/identity/given_names/0"),
        ("/Date de naissance", "text", f"{PERSON}/identity/birthdate"),
        ("/birth_date", "date", f"{PERSON}/identity/birthdate"),
        ("/courriel", "text", f"{PERSON}/email"),
        ("/contact/eMail", "text", f"{PERSON}/email"),
        ("/telPortable", "text", f"{PERSON}/phone"),
        ("/adresse/cp", "text", f"{PERSON}/address/postal_code"),
        ("/adresse/ville", "text", f"{PERSON}/address/city"),
        ("/libelleVoie", "text", f"{PERSON}/address/street"),
        ("/codeInsee", "text", f"{PERSON}/address/insee_code"),
        ("/enfant/prenom", "text", "/request/beneficiaries/0/identity/given_names/0"),
        ("/raison_sociale", "text", "/request/requester/organisation/name"),
        ("/date_depot", "instant", "/request/submitted_at"),
        ("/commentaire", "text", "/request/form/description"),
        ("/objet", "text", "/request/form/subject"),
        ("/agent/email", "text", None),  # that of somebody at the town hall
        ("/bureau/tel", "text", None),
        ("/file_name", "text", None),
        ("/structure/id", "text", None),
        ("/birth_date", "boolean", None),
        ("/montant", "integer", None),
        ("/x", "text", None),
        ("/~1", "text", None),
    ],
)
def test_a_field_of_a_request_gets_its_shared_place(place: str, kind: Type, due: str | None) -> None:
    found = targets("request.received").propose(Field(place, kind))

    assert (found.place.pointer if found else None) == due


@pytest.mark.parametrize(
    ("carries", "place", "kind", "due"),
    [
        ("citizen.contact-changed", "/mail", "text", "/email/value"),
        ("citizen.contact-changed", "/user/mobile", "text", "/phone/value"),
        ("citizen.address-changed", "/address/zipCode", "text", "/new_address/value/postal_code"),
        ("citizen.address-changed", "/ancienne/ville", "text", "/old_address/city"),
        ("appointment.changed", "/starts_at", "instant", "/appointment/starts_at"),
        ("appointment.changed", "/statut", "text", "/appointment/state"),
        ("payment.requested", "/montant", "integer", "/payment/amount/cents"),
        ("message.sms-requested", "/to", "text", "/to/phone"),
        ("library-card", "/cardnumber", "text", "/card_number"),
        ("library-card", "/expiry_date", "date", "/expires_on"),
        ("residence-address", "/adresse/ville", "text", "/address/city"),
        ("residence-address", "/adresse/code_postal_ville", "text", None),
        ("family-quotient", "/data/quotient_familial/valeur", "integer", "/quotient"),
    ],
)
def test_each_type_has_its_own_places(carries: str, place: str, kind: Type, due: str | None) -> None:
    found = targets(carries).propose(Field(place, kind))

    assert (found.place.pointer if found else None) == due


def test_what_stands_on_top_of_a_record_is_of_what_its_path_names() -> None:
    communes = targets("residence-address").inside(Operation("GET communes/{code}"))
    books = targets("residence-address").inside(Operation("GET livres/{code}"))

    assert communes.propose(Field("/nom", "text")).place.pointer == "/address/city"  # type: ignore[union-attr]
    assert books.propose(Field("/nom", "text")) is None


def test_no_shared_place_is_given_twice() -> None:
    fields = [Field("/telephone_mobile", "text"), Field("/tel", "text"), Field("/user/email", "text")]

    found = targets("citizen.contact-changed").assigned(fields)

    assert {place: one.place.pointer for place, one in found.items()} == {
        "/telephone_mobile": "/phone/value", "/user/email": "/email/value",
    }  # fmt: skip


def test_an_identity_is_asked_for_by_its_own_places() -> None:
    found = identity_places(Registry.load()).propose(Field("nomNaissance", "text"))

    assert found is not None
    assert found.place.pointer == "/identity/family_name"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dateNaissance", ("date", "naissance")),
        ("Prénom(s)", ("prenom", "s")),
        ("URLRetour", ("url", "retour")),
        ("", ()),
    ],
)
def test_a_name_is_told_by_its_words(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words


def place_of(carries: str, pointer: str) -> Place:
    return next(one for one in targets(carries).places if one.pointer == pointer)


@pytest.mark.parametrize(
    ("field", "pointer", "read", "written"),
    [
        (Field("/n", "date"), f"{PERSON}/identity/birthdate", "date", "date"),
        (Field("/n", "text", example="02/03/2026"), f"{PERSON}/identity/birthdate", "date:%d/%m/%Y", "date:%d/%m/%Y"),
        (Field("/n", "instant"), "/request/submitted_at", "instant", "instant"),
        (Field("/n", "integer"), "/request/references/0/id", "text", "integer"),
        (
            Field("/n", "integer", limits={"minimum": 1, "maximum": 99}),
            "/request/references/0/id", "text", "integer:1..99",
        ),
        (Field("/n", "text"), f"{PERSON}/email", "text", "text"),
        (Field("/n", "text", choices=("M", "F")), f"{PERSON}/identity/gender", None, None),
    ],
)  # fmt: skip
def test_the_converter_follows_both_shapes(field: Field, pointer: str, read: str | None, written: str | None) -> None:
    place = place_of("request.received", pointer)

    assert (reading_words(field, place), writing_words(field, place)) == (read, written)


@pytest.mark.parametrize(
    ("field", "read", "written"),
    [
        (Field("/montant_centimes", "integer"), "integer", "integer"),
        (Field("/montant", "text"), "cents", "cents"),
        (Field("/montant", "number"), "cents", None),  # no word writes euros as a number
    ],
)
def test_money_is_counted_in_cents(field: Field, read: str, written: str | None) -> None:
    place = place_of("payment.requested", "/payment/amount/cents")

    assert (reading_words(field, place), writing_words(field, place)) == (read, written)


def test_two_closed_lists_meet_by_their_meanings() -> None:
    field = Field("/sexe", "text", choices=("M", "F", "X"))

    assert meanings(field, place_of("request.received", f"{PERSON}/identity/gender")) == {"M": "male", "F": "female"}
