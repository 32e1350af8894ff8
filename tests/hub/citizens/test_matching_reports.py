"""People whom programs mistook, as public reports tell: each with the address of its report, below github.com."""

from __future__ import annotations

from typing import Any

import pytest

from hub.citizens.matching import Comparison, Form, blocking_keys, compare

Identity = dict[str, Any]
GIVEN_BIRTH = {"birthdate": "1984-05-17", "birthplace": "93066", "birthcountry": "99100", "gender": "female"}


def who(family: str, *given: str, **more: Any) -> Form:
    told = {**GIVEN_BIRTH, "family_name": family, "given_names": list(given), **more}
    form = Form.of({name: said for name, said in told.items() if said is not None})
    assert form is not None
    return form


def level(compared: Comparison, field: str) -> str:
    return next(one.level for one in compared.fields if one.name == field)


SAME = [
    ("MTES-MCT/dossierfacile-backend/pull/1200", who("Dupont", "ANNE LAURE"), who("Dupont", "Anne-Laure")),
    ("MTES-MCT/dossierfacile-backend/pull/1200", who("Sorbier", "Abdel Kader"), who("Sorbier", "Abdelkader")),
    ("etalab/siade_staging_data/issues/48", who("Sorbier", "JEAN JACQUES"), who("Sorbier", "JEAN-JACQUES")),
    ("etalab/siade_staging_data/issues/48", who("Sorbier", "JEAN", "JACQUES"), who("Sorbier", "JEANJACQUES")),
    ("etalab/siade_staging_data/pull/56", who("Nomàâä", "Aurélie"), who("NOMAAA", "AURELIE")),
    ("datagouv/apistration/pull/77", who("Le Goff", "Nolwenn"), who("Legoff", "Nolwenn")),
    ("pass-culture/pass-culture-main/pull/2030",
     who("Brown", "Alphonse"), who("Daudet", "Alphonse", preferred_name="Brown")),
    ("matchID-project/deces-backend/pull/136",
     who("Sorbier", "Suzanne Marie"), who("Charmille", "Suzanne", "Marie", preferred_name="Sorbier")),
    ("18F/piipan/pull/624", who("Lynn", "Wesley", "E."), who("Lynn", "Wesley", "Eura")),
    ("betagouv/rdv-service-public/issues/6343",
     who("VALGNAC", "Timéo", birthplace=None, birthcountry=None), who("Valgnac", "TIMEO")),
    ("matchID-project/deces-backend/issues/46", who("Zélie", "Sorbier"), who("Sorbier", "Zélie")),
    ("moj-analytical-services/splink/issues/2395",
     who("ZELIE MARIE", "SORBIER"), who("Sorbier", "Zélie", "Marie")),
]  # fmt: skip


@pytest.mark.parametrize(("address", "one", "other"), SAME)
def test_one_person_in_two_ways_of_writing_is_linked(address: str, one: Form, other: Form) -> None:
    assert compare(one, other).verdict == "link", address
    assert compare(other, one).verdict == "link", address


ASKED = [
    ("etalab/siade_staging_data/issues/48", who("Sorbier", "JEAN"), who("Sorbier", "JEAN-JACQUES")),
    ("etalab/siade_staging_data/issues/48", who("Sorbier", "JACQUES"), who("Sorbier", "JEAN-JACQUES")),
    ("MTES-MCT/dossierfacile-backend/pull/1200", who("MARTIN DUPONT", "Zélie"), who("DUPONT", "Zélie")),
    ("france-connect/identity-providers-examples/issues/9",
     who("Rundgren", "Hans", "Anders"), who("Rundgren", "Anders")),
    ("france-connect/identity-provider-example/pull/207",
     who("Sorbier", "Marguerite", "Alexandrine", "Philome"), who("Sorbier", "Marguerite", "Alexandrine", "Philomène")),
    ("J535D165/recordlinkage/issues/19", who("Smith", "John", "A"), who("Smith", "John", "E")),
    ("NHSDigital/manage-vaccinations-in-schools/pull/2264", who("Sorbier", "Elise"), who("Sorbier", "Eloise")),
    ("moj-analytical-services/splink/pull/2281",
     who("Sorbier", "Zélie", birthdate="1984-01-01"), who("Sorbier", "Zélie")),
    ("france-connect/identity-provider-example/issues/122",
     who("MARTIN", "Marie", birthdate="1962"), who("Martin", "Marie", birthdate="1962")),
    ("betagouv/rdv-service-public/issues/3653",
     who("KHAN", "Mohammad", birthdate="1990-01-01", birthplace="99213", birthcountry="99213"),
     who("Khan", "Mohammad", birthdate="1990-01-01", birthplace="99213", birthcountry="99213")),
    ("presumed", who("Haddad", "Nabil", birthdate="1970-01-01"), who("HADDAD", "NABIL", birthdate="1970-01-01")),
    # The names of a family whose children are named alike, born on one day.
    ("twins", who("KACI", "Mohamed", "Yanis"), who("KACI", "Mohamed")),
    ("twins", who("Pereira", "Maria José"), who("Pereira", "Maria")),
    ("twins", who("Pereira", "Mariajosé"), who("Pereira", "Maria")),
    ("twins", who("Sorbier", "Louis-Marie"), who("Sorbier", "Louis")),
    ("twins", who("Nguyen", "Thi", "Lan"), who("Nguyen", "Thi")),
]  # fmt: skip


@pytest.mark.parametrize(("address", "one", "other"), ASKED)
def test_what_may_be_another_person_is_a_question(address: str, one: Form, other: Form) -> None:
    assert compare(one, other).verdict == "review", address
    assert compare(other, one).verdict == "review", address


TWO = [
    ("datagouv/apistration/pull/269",
     who("Mercier", "Pierre", birthdate="1980-05-17"), who("Mercier", "Pierre", birthdate="2016-03-02")),
    ("opencrvs/opencrvs-core/issues/4911",
     who("Sorbier", "Zélie"), who("Sorbier", "Zélie", birthdate="1991-11-23")),
    ("benseverndev-oss/goldenmatch/issues/1858",
     who("Sorbier", "Zélie", birthdate="1980-01-02"), who("Sorbier", "Zélie", birthdate="1975-11-30")),
    ("betagouv/rdv-service-public/issues/3777",
     who("Sorbier", "Zélie"), who("Sorbier", "Amandine", birthdate="1984-05-18")),
]  # fmt: skip


@pytest.mark.parametrize(("address", "one", "other"), TWO)
def test_two_people_are_two(address: str, one: Form, other: Form) -> None:
    assert compare(one, other).verdict == "new", address


@pytest.mark.parametrize(("address", "one", "other"), [*SAME, *ASKED])
def test_they_meet_under_a_key(address: str, one: Form, other: Form) -> None:
    assert set(blocking_keys(one, b"pepper", "")) & set(blocking_keys(other, b"pepper", "")), address


def test_what_stands_for_a_name_is_matched_with_nobody() -> None:
    for family, given in (("SANS NOM", "Zélie"), ("X", "Zélie"), ("Sorbier", "SANS PRENOM"), ("-", "Zélie")):
        assert Form.of({**GIVEN_BIRTH, "family_name": family, "given_names": [given]}) is None


def test_names_exchanged_are_a_question_without_a_birthplace_and_for_a_frequent_name() -> None:
    nowhere = {"birthplace": None, "birthcountry": None}

    assert compare(who("Zélie", "Sorbier", **nowhere), who("Sorbier", "Zélie")).verdict == "review"
    assert compare(who("PIERRE", "Martin"), who("MARTIN", "Pierre")).verdict == "review"
    assert level(compare(who("PIERRE", "Martin"), who("MARTIN", "Pierre")), "family_name") == "exchanged"
