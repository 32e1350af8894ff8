"""Where somebody was born is compared by what the codes mean."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from schemas import communes
from schemas.communes import Communes, Movement, read_movements, shipped_communes
from schemas.errors import InvalidMessage


@pytest.mark.parametrize(
    ("one", "other", "born", "place"),
    [
        ("91182", "91228", "1974-05-02", "moved"),  # Courcouronnes, in Évry-Courcouronnes since 2019
        ("75044", "92044", "1950-03-02", "moved"),  # Levallois-Perret, in the Seine until 1968
        ("75044", "92044", "1971-03-02", "differ"),  # … but nobody born later was born in the Seine
        ("93066", "75066", "1951", "moved"),
        ("78018", "95018", "1960-07-09", "moved"),  # Argenteuil, in Seine-et-Oise
        ("78032", "93005", "1960-07-09", "moved"),  # Aulnay-sous-Bois, whose number changed too
        ("78032", "93006", "1960-07-09", "differ"),
        ("20050", "2B050", "1962-01-01", "moved"),  # Calvi, before Corsica was parted
        ("2A004", "20004", "1962-01-01", "moved"),
        ("20050", "2A050", "1962-01-01", "differ"),
        ("75059", "93059", "1955", "moved"),  # Pierrefitte: three codes, the last since 2025
        ("75059", "93066", "1955", "moved"),
        ("01018", "01033", "1990-01-01", "moved"),  # Bellegarde and its neighbours, now Valserhône
        ("98511", "97611", "1999-02-03", "moved"),  # Mamoudzou, before Mayotte was a department
        ("97123", "97701", "1980-02-03", "moved"),
        ("97411", "97412", "1980-02-03", "differ"),
        ("75056", "75112", "1974-05-02", "city"),
        ("69123", "69389", "1974-05-02", "city"),
        ("13055", "13201", "1974-05-02", "city"),
        ("13055", "13001", "1974-05-02", "near"),  # Aix-en-Provence, though it is a postal code of Marseille too
        ("75012", "75112", "1980-01-01", "city"),  # a postal code
        ("75012", "75112", "1950-01-01", "city"),  # … or Boulogne-Billancourt: it may be
        ("75012", "92012", "1950-01-01", "moved"),
        ("93200", "93066", "1980-01-01", "city"),
        ("93200", "93001", "1980-01-01", "near"),
    ],
)  # fmt: skip
def test_a_code_is_read_by_its_meaning(one: str, other: str, born: str, place: str) -> None:
    assert shipped_communes().compare(one, other, born) == place
    assert shipped_communes().compare(other, one, born) == place


@pytest.mark.parametrize(
    ("one", "other", "born", "place"),
    [
        (("99352", ""), ("", "99352"), "1985", "abroad"),  # the country in the place of the commune
        (("99352", "99352"), ("", "99351"), "1985", "differ"),
        (("91352", ""), ("", "99352"), "1950", "abroad"),  # Algiers, as it was written until 1962
        (("91352", ""), ("", "99352"), "1990", "differ"),
        (("93352", "99100"), ("99352", ""), "1961-12-31", "abroad"),
        (("93017", "99352"), ("99352", ""), "1955", "abroad"),  # a commune of Algeria that no list has
        (("93017", ""), ("99352", ""), "1955", "differ"),
        (("93066", "99352"), ("99352", ""), "1955", "differ"),  # Saint-Denis, whatever the country says
        (("", "99100"), ("", "99352"), "1955-02-03", "unknown"),  # France, then
        (("", "99100"), ("", "99352"), "1975-02-03", "differ"),
        (("99100", ""), ("93066", ""), "1975-02-03", "unknown"),
        (("", ""), ("93066", ""), "1975-02-03", "unknown"),
        (("", ""), ("", ""), "1975-02-03", "unknown"),
    ],
)  # fmt: skip
def test_a_country_is_read_wherever_it_stands(
    one: tuple[str, str], other: tuple[str, str], born: str, place: str
) -> None:
    assert shipped_communes().compare(one[0], other[0], born, (one[1], other[1])) == place
    assert shipped_communes().compare(other[0], one[0], born, (other[1], one[1])) == place


def test_two_communes_that_became_one_stay_two_birthplaces() -> None:
    assert shipped_communes().compare("91182", "91000", "1974-05-02") == "near"
    assert shipped_communes().compare("74011", "74093", "1974-05-02") == "near"
    assert shipped_communes().compare("75111", "75112", "1974-05-02") == "near"


def test_every_commune_of_today_comes_along_and_its_source_is_named() -> None:
    lines = [*communes._lines()]
    first = communes.files("schemas").joinpath("communes.csv").read_text("utf-8").partition("\n")[0]

    assert len(lines) > 34_900
    assert len({code for code, *_ in lines}) == len(lines)
    assert all(communes._CODE.fullmatch(code) for code, *_ in lines)
    assert sum(bool(postal) for _, _, postal, _ in lines) > 34_900
    assert sum(len(former.split()) for *_, former in lines) > 4_000
    assert "INSEE" in first
    assert "Licence Ouverte" in first


def test_the_communes_are_read_in_the_time_of_a_breath_and_only_when_codes_differ() -> None:
    began = time.process_time()
    assert Communes().compare("91182", "91228", "1974-05-02") == "moved"
    assert time.process_time() - began < 1.0

    def never() -> Sequence[Movement]:
        raise AssertionError("nothing was to be compared")

    assert Communes(never).compare("", "", "1974", ("99351", "99351")) == "abroad"


def test_the_official_file_is_read_and_several_movements_follow_each_other() -> None:
    file = (
        b"MOD,DATE_EFF,TYPECOM_AV,COM_AV,TNCC_AV,NCC_AV,NCCENR_AV,LIBELLE_AV,"
        b"TYPECOM_AP,COM_AP,TNCC_AP,NCC_AP,NCCENR_AP,LIBELLE_AP\n"
        b"32,1973-01-01,COM,38901,0,UN,Un,Un,COM,38902,0,DEUX,Deux,Deux\n"
        b"32,2018-01-01,COM,38902,0,DEUX,Deux,Deux,COM,38903,0,TROIS,Trois,Trois\n"
        b"50,hier,COM,38903,0,TROIS,Trois,Trois,COM,38904,0,QUATRE,Quatre,Quatre\n"
    )

    dated = Communes(lambda: read_movements(file))

    assert dated.compare("38903", "38901", "1960-02-03") == "moved"
    assert dated.compare("38903", "38901", "1990-02-03") == "near"
    assert dated.codes_since("38903", "1960") == frozenset()
    assert dated.compare("98511", "97611", "1999-02-03") == "moved"  # overseas stands in no file of communes


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", b"\xff\xfe", b"MOD,DATE_EFF,COM_AV,COM_AP\n10,2020-01-01,38901,38901\n"]
)
def test_a_file_that_holds_no_movements_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidMessage) as refused:
        read_movements(content)

    assert refused.value.code == "not_a_file_of_movements"


def test_two_places_may_be_one_unless_something_says_otherwise() -> None:
    may_be_one = shipped_communes().may_be_one

    assert may_be_one("75044", "92044", "1950")
    assert may_be_one("93066", "", "1950")
    assert not may_be_one("93066", "93001", "1950")
    assert not may_be_one("", "", "1975", ("99352", "99351"))
