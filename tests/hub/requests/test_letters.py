"""The acknowledgement of receipt, in French."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given

from hub.requests.letters import RequestFacts, acknowledgement_text
from hub.settings.procedures import Contact, Procedure, load_procedures
from schemas.times import french_date
from tests.hub.requests.examples import CONTACT, DAYS, FACTS, NOON


def test_the_acknowledgement_of_a_rejection_by_silence_says_all_that_r112_5_asks(occupation: Procedure) -> None:
    subject, body = acknowledgement_text(occupation, FACTS)

    assert subject == "Accusé de réception de votre demande n° 2026-0042"
    for part in (
        "reçue le 2 mars 2026", "Service de la voirie", "1 place de la Mairie", "01 00 00 00 00",
        "voirie@ville.example", "Sans décision expresse le 2 mai 2026", "réputée rejetée", "L. 231-4",
        "Voies et délais de recours", "tribunal administratif", "deux mois",
    ):  # fmt: skip
        assert part in body
    assert "L. 232-3" not in body


def test_the_acknowledgement_of_an_acceptance_by_silence_offers_the_attestation(tolerated: Procedure) -> None:
    _, body = acknowledgement_text(tolerated, FACTS)

    assert "réputée acceptée" in body
    assert "attestation prévue à l'article L. 232-3" in body
    assert "sous réserve qu'elle soit complète" in body
    assert "recours" not in body


def test_the_acknowledgement_of_a_declaration_announces_no_decision() -> None:
    _, body = acknowledgement_text(load_procedures()["changement-adresse"], FACTS)

    assert "n'appelle pas de décision" in body
    assert "réputée" not in body


@pytest.mark.parametrize(("kind", "effect"), [("occupation", "suspendu"), ("tolerated", "ne court qu'à compter")])
def test_missing_documents_are_listed_with_their_effect(
    kind: str, effect: str, occupation: Procedure, tolerated: Procedure
) -> None:
    facts = RequestFacts("7", NOON, "la ville", CONTACT, missing=("Plan de situation",), missing_due=date(2026, 4, 1))

    _, body = acknowledgement_text(occupation if kind == "occupation" else tolerated, facts)

    assert "- Plan de situation" in body
    assert "avant le 1er avril 2026" in body
    assert effect in body


def test_a_service_without_e_mail_is_not_given_one(occupation: Procedure) -> None:
    _, body = acknowledgement_text(occupation, RequestFacts("7", NOON, "la ville", Contact("Voirie", "1 place", "01")))

    assert "Courriel" not in body


@given(DAYS)
def test_a_date_in_french_can_be_read_back(day: date) -> None:
    assert re.fullmatch(r"(1er|[2-9]|[12]\d|3[01]) [a-zéû]+ \d{4}", french_date(day))
