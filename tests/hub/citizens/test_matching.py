"""Two identities: one person, two, or a question. What twins and namesakes share never joins them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.citizens.matching import LINK, REVIEW, Comparison, Form, blocking_keys, compare
from schemas.communes import shipped_communes

BLANCHE: dict[str, Any] = {
    "family_name": "Lœvenbruck", "given_names": ["Blanche", "Marie"], "gender": "female", "birthdate": "1991-11-23",
    "birthplace": "93066", "birthcountry": "99100",
}  # fmt: skip


def form(**changed: Any) -> Form:
    made = Form.of({name: value for name, value in (BLANCHE | changed).items() if value is not None})
    assert made is not None
    return made


def against(**changed: Any) -> Comparison:
    return compare(form(), form(**changed))


def levels(comparison: Comparison) -> dict[str, str]:
    return {field.name: field.level for field in comparison.fields if field.cost}


@pytest.mark.parametrize(
    "changed",
    [
        {"family_name": "LOEVENBRUCK"}, {"family_name": "Lœven-Bruck"}, {"family_name": "Loevenbruk"},
        {"family_name": "de Lœvenbruck"}, {"given_names": ["Blanche-Marie"]}, {"given_names": ["Blanche"]},
        {"gender": None}, {"birthplace": None, "birthcountry": None},
        {"family_name": "Sorbier", "preferred_name": "Lœvenbruck"},
    ],
)  # fmt: skip
def test_what_is_only_written_in_another_way_is_linked(changed: dict[str, Any]) -> None:
    if changed.get("family_name") == "Loevenbruk":
        assert levels(against(**changed)) == {"family_name": "variant"}
    assert against(**changed).verdict == "link"


@pytest.mark.parametrize(
    ("changed", "level"),
    [
        ({"family_name": "Loevenbrack"}, "close"), ({"family_name": "Lœvenbruck-Sorbier"}, "part"),
        ({"family_name": "Sorbier"}, "differ"), ({"given_names": ["Marie", "Blanche"]}, "order"),
        ({"given_names": ["Blanchet", "Marie"]}, "close"), ({"given_names": ["Marie"]}, "usual"),
        ({"given_names": ["Blanche", "Odette"]}, "others"), ({"given_names": ["B."]}, "initial"),
        ({"birthdate": "1991-11-24"}, "close"), ({"birthdate": "1991"}, "partial"),
        ({"birthdate": "1991-01-01"}, "default"), ({"birthplace": "75112"}, "differ"), ({"gender": "male"}, "differ"),
        ({"birthplace": "93001"}, "near"),
    ],
)  # fmt: skip
def test_what_may_be_an_error_is_a_question(changed: dict[str, Any], level: str) -> None:
    found = against(**changed)

    assert found.verdict == "review"
    assert levels(found).popitem()[1] == level


def test_a_day_and_month_that_are_swapped_are_a_question() -> None:
    assert compare(form(birthdate="1991-03-09"), form(birthdate="1991-09-03")).verdict == "review"


@pytest.mark.parametrize(
    ("one", "other"),
    [("Léa", "Léo"), ("Emma", "Emmy"), ("Michel", "Michèle"), ("Gabriel", "Gabrielle"), ("Joël", "Joëlle"),
     ("Paul Jean", "Jean Paul"), ("Marie Anne", "Marie Claire"), ("Marie", "Marie Claire"), ("Louis", "Louise"),
     ("Tom", "Tim"), ("Camille", "Capucine")],
)  # fmt: skip
@pytest.mark.parametrize("gender", ["female", None])
def test_twins_are_never_linked(one: str, other: str, gender: str | None) -> None:
    twins = [form(given_names=name.split(), gender=gender) for name in (one, other)]

    assert compare(twins[0], twins[1]).score < LINK


def test_namesakes_are_two_people() -> None:
    namesake = against(birthdate="1964-02-11", birthplace="75112")

    assert namesake.score < REVIEW


def test_one_given_name_without_a_place_of_birth_is_enough_where_few_have_the_name() -> None:
    one, other = form(given_names=["Blanche"]), form(given_names=["Blanche"], birthplace=None)

    assert compare(one, other, namesakes=1).verdict == "link"
    assert compare(one, other, namesakes=40).verdict == "review"


def test_one_given_name_without_a_place_of_birth_is_not_enough_for_a_name_that_many_in_the_country_have() -> None:
    one, other = (form(family_name="Martin", given_names=["Pierre"], birthplace=place) for place in ("93066", None))

    assert levels(compare(one, other))["namesakes"] == "several"
    assert compare(one, other).verdict == "review"


def test_a_name_that_holds_digits_is_compared_to_the_letter() -> None:
    assert levels(compare(form(family_name="Personnage01"), form(family_name="Personnage02"))) == {
        "family_name": "differ"
    }


def test_a_thin_identity_is_not_matched() -> None:
    assert Form.of({"family_name": "Sorbier", "given_names": ["Blanche"]}) is None
    assert Form.of({"family_name": "Sorbier", "birthdate": "1991"}) is None


def test_an_explanation_says_nothing_of_the_person() -> None:
    text = str(against(family_name="Loevenbrack", birthdate="1991-11-24").explanation())

    assert "close" in text
    assert "LOEVEN" not in text.upper()
    assert "1991" not in text


_NAMES = st.lists(
    st.sampled_from(["Anne", "Marie", "Léa", "Léo", "Jean", "B", "Sophie", "Sofie"]), min_size=1, max_size=3
)
_DATES = st.sampled_from(["1991", "1991-03", "1991-03-09", "1991-09-03", "1991-01-01", "1991-03-08", "1964-02-11"])


@given(
    one=st.tuples(st.sampled_from(["Le Goff", "Legoff", "Goff", "Martin"]), _NAMES, _DATES),
    other=st.tuples(st.sampled_from(["Le Goff", "Dupont", "Martin-Goff"]), _NAMES, _DATES),
)
def test_a_comparison_is_the_same_from_either_side(
    one: tuple[str, list[str], str], other: tuple[str, list[str], str]
) -> None:
    first, second = (form(family_name=f, given_names=g, birthdate=d) for f, g, d in (one, other))

    assert compare(first, second) == compare(second, first)
    assert compare(first, first).verdict in ("link", "review")


def test_alike_identities_meet_in_a_block_and_other_scopes_never_do() -> None:
    wanted = set(blocking_keys(form(), b"pepper", "saint-aubin"))

    for changed in ({"family_name": "Loevenbrack"}, {"birthdate": "1991-11-24"}, {"given_names": ["Blanchet"]}):
        assert wanted & set(blocking_keys(form(**changed), b"pepper", "saint-aubin"))
    assert not wanted & set(blocking_keys(form(), b"pepper", "val-fleuri"))
    assert not wanted & set(blocking_keys(form(), b"another", "saint-aubin"))


def test_a_match_follows_a_commune() -> None:
    old = form(birthplace="93059")

    assert compare(old, form(), shipped_communes()).score == 100
    assert compare(old, form(birthplace="93001"), shipped_communes()).verdict == "review"


def test_given_names_are_parted_as_for_every_reader() -> None:
    assert compare(form(given_names=["Blanche, Marie"]), form()).score == 100
    assert Form.of(BLANCHE | {"given_names": ["SANS PRENOM"]}) is None
    assert Form.of(BLANCHE | {"given_names": ["-"]}) is None


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        ({"birthplace": "99352", "birthcountry": None}, {"birthplace": None, "birthcountry": "99352"}, "abroad"),
        ({"birthplace": "93066"}, {"birthplace": "93200"}, "city"),
        ({"birthplace": "93066"}, {"birthplace": "93001"}, "near"),
    ],
)  # fmt: skip
def test_a_birthplace_is_compared_by_its_meaning(one: dict[str, Any], other: dict[str, Any], level: str) -> None:
    levels = {field.name: field.level for field in compare(form(**one), form(**other)).fields}

    assert levels["birthplace"] == level
