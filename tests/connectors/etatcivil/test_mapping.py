"""The request file: valid under the layout, and refused in French where the layout cannot say it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.conformance.sentences import unfit_for_a_timeline
from connectors.etatcivil.mapping import attachment_names, identifier, is_old_name, reference_of, request_file
from connectors.etatcivil.twin import XSD
from connectors.sdk.answer_key import AnswerKeys
from connectors.sdk.files import check_name
from connectors.sdk.xml import Element, parse_xml, text_at, validate_xsd
from schemas.errors import InvalidMessage, Refused
from tests.connectors.etatcivil.requests import HOLDER, PARENTS, REQUESTER, form, request
from tests.support.context import context_for

KEYS = AnswerKeys(context_for("etatcivil", {}), "-")


def written(body: dict[str, Any], encoding: str = "UTF-8") -> Element:
    root = parse_xml(request_file(body, "HUBEE-1-abcd", encoding))
    assert validate_xsd(root, XSD) == []
    return root


@pytest.mark.parametrize(
    ("kind", "document_kind"), list(itertools.product(["NAI", "MAR", "DEC", "REC"], ["CPI", "EXTAF", "EXTSF", "EXTPL"]))
)
def test_every_kind_of_record_and_document_is_valid(kind: str, document_kind: str) -> None:
    root = written(request(kind, form(kind, document_kind=document_kind, parents=PARENTS)))
    assert text_at(root, "evenement/natureEvenement") == kind
    assert text_at(root, "natureDocument") == document_kind


def test_the_request_says_who_asks_and_whose_record_it_is() -> None:
    root = written(request(answers=form(parents=PARENTS)))
    assert text_at(root, "demandeur/qualiteDemandeur") == "Fils ou fille"
    assert text_at(root, "demandeur/individu/noms/nomDeFamille") == "OUALI"
    assert text_at(root, "demandeur/individu/prenoms") == "Inès Léa"
    assert text_at(root, "demandeur/individu/adresse/ligneAdr1") == "12 bis rue des Tilleuls"
    assert text_at(root, "demandeur/individu/adresse/lieu/ville") == "Saint-Aubin"
    assert text_at(root, "evenement/interesse/noms/nomUsage") == "Marchetti-Roy"
    assert text_at(root, "evenement/interesse/sexe") == "M"
    assert text_at(root, "evenement/interesse/mere/noms/nomUsage") == "MARCHETTI"
    assert text_at(root, "evenement/interesse/naissance/date") == "1984-03"
    assert text_at(root, "evenement/interesse/naissance/lieu/ville") == "Saint-Aubin"
    assert text_at(root, "nbExemplaire") == "2"
    assert text_at(root, "motif") == "Dossier « retraite » & notaire"
    assert text_at(root, "origine") == "internet"


@pytest.mark.parametrize(("code", "told"), [("93066", "Saint-Denis"), ("75066", "Saint-Denis"), ("93001", None)])
def test_a_birthplace_is_the_place_of_the_act_by_whichever_of_its_codes(code: str, told: str | None) -> None:
    holder = {"identity": HOLDER["identity"] | {"birthdate": "1951-11-23", "birthplace": code}}
    place = {"city": "Saint-Denis", "insee_code": "93066"}
    root = written(request(answers=form(event_date="1951-11-23", event_place=place), beneficiaries=[holder]))

    assert text_at(root, "evenement/interesse/naissance/lieu/ville") == told


def test_a_date_of_an_act_of_which_a_part_is_unknown_spans_what_it_may_be() -> None:
    root = written(request(answers=form(event_date="00/02/1984")))

    assert text_at(root, "evenement/dateEvenement/dateDebut") == "1984-02-01"
    assert text_at(root, "evenement/dateEvenement/dateFin") == "1984-02-29"


def test_the_requester_is_the_person_when_nobody_else_is_named() -> None:
    root = written(request(answers=form(requester_capacity=None), beneficiaries=None))
    assert text_at(root, "demandeur/qualiteDemandeur") == "La personne concernée"
    assert text_at(root, "evenement/interesse/noms/nomDeFamille") == "OUALI"


def test_an_organisation_may_ask() -> None:
    root = written(request(requester={"organisation": {"name": "Étude Vauquelin", "email": "etude@notaires.example"}}))
    assert text_at(root, "demandeur/individu/noms/nomDeFamille") == "Étude Vauquelin"
    assert text_at(root, "demandeur/individu/adresse/mail") == "etude@notaires.example"


@pytest.mark.parametrize(
    ("told", "first", "last"),
    [
        ("1984-03-09", "1984-03-09", None),
        ("1984-02", "1984-02-01", "1984-02-29"),
        ("1962", "1962-01-01", "1962-12-31"),
    ],
)
def test_a_date_without_its_day_becomes_a_span(told: str, first: str, last: str | None) -> None:
    root = written(request(answers=form(event_date=told)))
    assert text_at(root, "evenement/dateEvenement/dateDebut") == first
    assert text_at(root, "evenement/dateEvenement/dateFin") == last


def test_the_second_beneficiary_of_a_marriage_is_the_spouse() -> None:
    other = {"identity": {"family_name": "LEGRAND", "given_names": ["Zoé"]}}
    root = written(request("MAR", beneficiaries=[HOLDER, other]))
    assert text_at(root, "evenement/conjoint/noms/nomDeFamille") == "LEGRAND"


def test_a_recognition_says_of_whom() -> None:
    assert text_at(written(request("REC")), "evenement/typeInteresse") == "reconnu"
    assert text_at(written(request("REC")), "evenement/natureReconnaissance") == "Paternelle"


@pytest.mark.parametrize("encoding", ["UTF-8", "ISO-8859-1", "ISO-8859-15"])
def test_a_letter_outside_the_encoding_still_arrives(encoding: str) -> None:
    named = {"identity": {"family_name": "ŠKODOVÁ 木", "given_names": ["Łucja"]}}
    root = written(request(beneficiaries=[named]), encoding)
    assert text_at(root, "evenement/interesse/noms/nomDeFamille") == "ŠKODOVÁ 木"


@pytest.mark.parametrize(
    ("changes", "native"),
    [
        ({"event_kind": "XXX"}, "event_kind"),
        ({"event_kind": "MAR"}, "event_kind"),
        ({"document_kind": None}, "document_kind"),
        ({"copies": 0}, "copies"),
        ({"copies": True}, "copies"),
        ({"copies": "2"}, "copies"),
        ({"event_date": "1984-02-30"}, "event_date"),
        ({"event_date": "mars 1984"}, "event_date"),
        ({"event_date": None}, "event_date"),
        ({"event_date": "0000"}, "event_date"),
        ({"event_place": "Saint-Aubin"}, "event_place"),
        ({"event_place": {"insee_code": "93001"}}, "event_place/city"),
        ({"motive": ["x"]}, "motive"),
        ({"motive": "bell \x07"}, "texte"),
        ({"parents": {"role": "father"}}, "parents"),
        ({"parents": [{"role": "uncle", "family_name": "X"}]}, "role"),
        ({"parents": [{"role": "father", "given_names": "Paul"}]}, "parents"),
    ],
)
def test_an_answer_that_the_layout_cannot_say_is_refused_by_its_name(changes: dict[str, Any], native: str) -> None:
    with pytest.raises(Refused) as caught:
        request_file(request(answers=form(**changes)), "HUBEE-1-abcd", "UTF-8")
    assert caught.value.native == native
    assert "Paul" not in caught.value.reason
    assert unfit_for_a_timeline(caught.value.reason) is None
    assert native == "texte" or native not in caught.value.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"beneficiaries": [{"references": [{"system": "koha", "id": "1"}]}]},
        {"requester": {"citizen": {"references": [{"system": "koha", "id": "1"}]}}},
        {"requester": {"organisation": {"name": "Étude Vauquelin"}}, "beneficiaries": None},
        {"form": None},
    ],
)
def test_a_request_about_nobody_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        request_file(request(**changes), "HUBEE-1-abcd", "UTF-8")


def test_a_recognition_without_its_subject_is_refused() -> None:
    with pytest.raises(Refused):
        request_file(request("REC", form("REC", recognition=None)), "HUBEE-1-abcd", "UTF-8")


def named(system: str, id: str) -> str:
    return identifier({"references": [{"system": system, "id": id}]}, KEYS)


def test_the_identifier_is_stable_and_known_again() -> None:
    name = identifier(request(), KEYS)
    assert name == identifier(request(), KEYS)
    assert name.startswith("hubee-0d5c1f7e-58c2-4f5b-9a53-2f7a5f6d9e10-")
    assert reference_of(name, KEYS) == name
    with pytest.raises(InvalidMessage):
        reference_of(name.replace("0d5c", "0d5d"), KEYS)


@pytest.mark.parametrize("system", ["hubee", "portail-famille"])
def test_a_name_is_known_however_an_agent_copies_it(system: str) -> None:
    name = named(system, "2026-000481")
    for typed in (name.lower(), name.upper(), name.replace("-", " - "), f" {name[:-6]} {name[-5:]}"):
        assert reference_of(typed, KEYS) == name


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_reference_makes_a_safe_name_and_two_references_two_names(one: str, two: str) -> None:
    names = [named("guichet", id) for id in (one, two)]
    for name in names:
        assert check_name(f"{name}.zip")
        assert len(name) <= 80
        assert reference_of(name, KEYS) == name
    assert (names[0] == names[1]) == (one == two)


def test_no_system_makes_the_name_of_another_s_request() -> None:
    assert named("portail-famille", "1") != named("portail", "famille-1")
    tagged = named("guichet", "n° 12")
    lookalike = named("guichet", tagged[: -len("-XXXXX-XXXXX-XXXXX")].removeprefix("guichet-"))
    assert lookalike != tagged
    assert {reference_of(name, KEYS) for name in (lookalike, tagged)} == {lookalike, tagged}


def test_a_name_of_the_old_form_is_known_as_such() -> None:
    assert is_old_name("hubee-2026-000481-76d4", "saint-aubin etatcivil")
    assert not is_old_name("hubee-2026-000481-76d4", "another-town etatcivil")


@given(st.lists(st.text(min_size=1, max_size=255), max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_attachment_name_becomes_plain_and_distinct(names: list[str]) -> None:
    safe = attachment_names([{"name": name} for name in names])
    assert len(set(safe)) == len(names)
    for name in safe:
        assert check_name(name) == name
        assert "/" not in name
        assert name.isascii()
        assert Path(name).name == name


def test_an_attachment_keeps_its_kind_of_file() -> None:
    tricky = ["../../etc/passwd", "Pièce d'identité.PDF", ".bashrc", "…", "a\0b.pdf", "CON.txt"]
    assert attachment_names([{"name": name} for name in tricky]) == [
        "pj-01-etc_passwd", "pj-02-Piece_d_identite.PDF", "pj-03-bashrc", "pj-04-document", "pj-05-a_b.pdf",
        "pj-06-CON.txt",
    ]  # fmt: skip


def test_the_requester_of_the_fixtures_is_complete() -> None:
    assert text_at(written(request(requester=REQUESTER)), "demandeur/individu/adresse/tel") == "+33600000000"
