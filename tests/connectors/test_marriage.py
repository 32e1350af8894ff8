"""A marriage record has two holders: from the State's portal to the civil-status package, whoever of the two asks."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.etatcivil.mapping import request_file
from connectors.etatcivil.twin import XSD
from connectors.hubee.connector import HubEEConnector
from connectors.hubee.twin import HubEETwin, Person
from connectors.sdk.xml import Element, parse_xml, text_at, validate_xsd
from schemas.registry import Registry
from tests.support.context import context_for

HOME = {"street": "3 rue Haute", "postal_code": "93999", "town": "SAINT-AUBIN"}
HUSBAND = Person("MONSIEUR", "LEGRAND", "Jean Marie", born="1959-02-11", born_in="SAINT-AUBIN", **HOME)
WIFE = Person("MADAME", "VASSEUR", "Marie Claire", born="1961", born_in="TUNIS")
WIFE_WHO_ASKS = Person("MADAME", "LEGRAND", "Marie Claire", email="marie.legrand@courriel.example", **HOME)
OWN = ("PersonneConcernee", "La personne concernée par l'acte")


def asked(**case: Any) -> dict[str, Any]:
    """The request of a marriage case, as HubEE's connector publishes it."""
    with HubEETwin() as twin:
        connector = HubEEConnector(context_for("hubee", twin.settings()))
        defaults: dict[str, Any] = {
            "kind": "MARIAGE",
            "holder": HUSBAND,
            "spouse": WIFE,
            "date": "1984-06-16",
            "capacity": OWN,
        }
        twin.add_civil_record_request(**(defaults | case))
        [polled] = connector.poll(None)
        [event] = polled.events
        connector.close()
    Registry.load().validate(event)
    request: dict[str, Any] = event.data["request"]
    return request


def written(request: dict[str, Any]) -> Element:
    root = parse_xml(request_file(request, "essai-1", "UTF-8"))
    assert validate_xsd(root, XSD) == []
    return root


@pytest.mark.parametrize("asker", [HUSBAND, WIFE_WHO_ASKS], ids=["first", "second"])
def test_both_holders_reach_the_package_when_one_of_them_asks(asker: Person) -> None:
    request = asked(requester=asker)

    names = [person["identity"]["family_name"] for person in request["beneficiaries"]]
    assert names == ["LEGRAND", "VASSEUR"]
    root = written(request)
    assert text_at(root, "evenement/interesse/noms/nomDeFamille") == "LEGRAND"
    assert text_at(root, "evenement/interesse/prenoms") == "Jean Marie"
    assert text_at(root, "evenement/conjoint/noms/nomDeFamille") == "VASSEUR"
    assert text_at(root, "evenement/conjoint/naissance/date") == "1961"


def test_the_asker_has_the_identity_of_the_record_and_their_own_contacts() -> None:
    citizen = asked(requester=WIFE_WHO_ASKS)["requester"]["citizen"]

    assert citizen["identity"] == {
        "family_name": "VASSEUR", "given_names": ["Marie", "Claire"], "gender": "female", "birthdate": "1961",
        "preferred_name": "LEGRAND",
    }  # fmt: skip
    assert citizen["email"] == WIFE_WHO_ASKS.email
    assert citizen["address"]["street"] == "rue Haute"


def test_a_child_who_asks_for_the_record_of_both_parents_is_neither() -> None:
    child = Person("MADAME", "LEGRAND", "Marie Odile", email="odile@courriel.example")
    request = asked(requester=child, capacity=("Descendant", "Fils ou fille"))

    assert request["requester"]["citizen"]["identity"]["given_names"] == ["Marie", "Odile"]
    assert len(request["beneficiaries"]) == 2
    assert text_at(written(request), "demandeur/qualiteDemandeur") == "Fils ou fille"


def test_holders_of_the_same_first_name_are_told_apart_by_gender_then_by_name() -> None:
    he, she = Person("MONSIEUR", "LEGRAND", "Claude"), Person("MADAME", "VASSEUR", "Claude")
    asker = Person("MADAME", "LEGRAND", "Claude", email="claude@courriel.example")
    identity = asked(holder=he, spouse=she, requester=asker)["requester"]["citizen"]["identity"]
    assert (identity["family_name"], identity["preferred_name"]) == ("VASSEUR", "LEGRAND")

    one, other = Person("MADAME", "OUALI", "Claude"), Person("MADAME", "VASSEUR", "Claude")
    asker = Person("MADAME", "VASSEUR", "Claude", email="claude@courriel.example")
    identity = asked(holder=one, spouse=other, requester=asker)["requester"]["citizen"]["identity"]
    assert identity["family_name"] == "VASSEUR"


def test_an_asker_who_could_be_either_holder_stays_as_they_said() -> None:
    one, other = Person("MADAME", "OUALI", "Claude"), Person("MADAME", "VASSEUR", "Claude")
    asker = Person("MADAME", "MARCHETTI", "Claude", email="claude@courriel.example")
    request = asked(holder=one, spouse=other, requester=asker)
    assert request["requester"]["citizen"]["identity"]["family_name"] == "MARCHETTI"
    assert len(request["beneficiaries"]) == 2


@pytest.mark.parametrize("asker", [HUSBAND, WIFE_WHO_ASKS], ids=["first", "second"])
def test_a_holder_whose_capacity_is_unsaid_is_the_person_concerned(asker: Person) -> None:
    request = asked(requester=asker)
    del request["form"]["requester_capacity"]
    assert text_at(written(request), "demandeur/qualiteDemandeur") == "La personne concernée"
