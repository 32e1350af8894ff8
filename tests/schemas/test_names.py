"""One folding of names: what is the same name however it is written, and what is another."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from schemas.names import ascii_letters, bare_letters, fold_name, joined_name, words_of


@pytest.mark.parametrize(("written", "folded"), [
    ("Lefèvre", "LEFEVRE"), ("Le  Goff-d'Arc", "LE GOFF D ARC"), ("Œuvrard", "OEUVRARD"), (" ø ", "O"), ("…", ""),
    ("Yılmaz", "YILMAZ"), ("İnci", "INCI"), ("ﬁlippi", "FILIPPI"), ("Ǽgir", "AEGIR"), ("ＭＡＲＩＥ", "MARIE"),
    ("Teriʻi", "TERI I"), ("Kɔfi", "KOFI"), ("Γιώργος", "ΓΙΩΡΓΟΣ"),
])  # fmt: skip
def test_a_name_is_folded(written: str, folded: str) -> None:
    assert fold_name(written) == folded


@pytest.mark.parametrize(("one", "other"), [
    ("Jean-Pierre", "JEAN PIERRE"), ("Jean‑Pierre", "Jean–Pierre"), ("Jean_Pierre", "JEAN-PIERRE"),
    ("O'Brien", "O’Brien"),  # https://github.com/geneweb/geneweb/pull/763
    ("Fabian Weiß", "FABIAN WEISS"), ("STRAẞER", "Straßer"), ("Møller", "MOLLER"),
    ("Sigurðardóttir", "Sigurdardottir"),  # https://github.com/KodeStar/audiosilo-meta/pull/1276
    ("Cheng‘en", "Cheng’en"),
    ("Jean\u00a0Luc", "Jean Luc"),  # https://github.com/openreview/openreview-web/issues/781
    ("Mar\u200btin", "MARTIN"), ("Mar\u00adtin", "MARTIN"), ("\ufeffMartin", "MARTIN"),
    ("Kirchenbu\u0308cher", "Kirchenbücher"),  # https://github.com/genealogix/glx/issues/919
    # https://github.com/etalab/siade_staging_data/pull/56
    ("Nomàâäáãåîïìíôöòóõùûüúéèêëçÿñ", "NOMAAAAAAIIIIOOOOOUUUUEEEECYN"),
    ("Nguyễn", "NGUYEN"), ("ŁUKASZ", "Lukasz"),
])  # fmt: skip
def test_two_ways_of_writing_are_one_name(one: str, other: str) -> None:
    assert fold_name(one) == fold_name(other)


@pytest.mark.parametrize(("one", "other"), [
    ("Đại", "Ái"),  # https://github.com/tronghieu/lumina-wiki/issues/50: no letter is lost
    ("Étienne", "Tienne"), ("Michèle", "Michel"), ("Чайка", "Чаика"), ("が", "か"), ("देव", "दव"), ("Dupond", "Dupont"),
    ("Jean Pierre", "JeanPierre"),
])  # fmt: skip
def test_two_names_stay_two(one: str, other: str) -> None:
    assert fold_name(one) != fold_name(other)


def test_no_character_of_unicode_is_folded_otherwise_a_second_time() -> None:
    folded = {fold_name(chr(code)) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000}
    assert [one for one in folded if fold_name(one) != one] == []


def test_nobody_else_folds_letters() -> None:
    root = Path(__file__).parents[2]
    folds = re.compile(r"NFK?D\b|combining\(")
    rooms = ("schemas", "bus", "connectors", "hub", "gateway", "commands", "demo", "benchmarks", "scripts")
    files = (file for room in rooms for file in (root / room).rglob("*.py"))
    found = [str(file.relative_to(root)) for file in files if folds.search(file.read_text("utf-8"))]
    assert found == ["schemas/names.py"]


def test_a_joined_name_has_no_spaces() -> None:
    assert {joined_name(name) for name in ("Jean-Pierre", "Jean Pierre", "JEANPIERRE", "jean’pierre")} == {"JEANPIERRE"}
    assert joined_name("Jean-Paul") != joined_name("Jean-Pierre")


@pytest.mark.parametrize(("name", "words"), [
    ("dateNaissance", ("date", "naissance")), ("Date de naissance", ("date", "de", "naissance")),
    ("IDFamille", ("id", "famille")), ("cœur_d’élève", ("coeur", "d", "eleve")), ("N°", ("n",)), ("…", ()),
])  # fmt: skip
def test_what_programs_call_something_is_read_as_words(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words


def test_letters_that_are_written_keep_their_case_and_none_is_lost_but_what_no_ascii_letter_is() -> None:
    assert ascii_letters("Cœur d’été – Ørsted, Straße") == "Coeur dete  Orsted, Strasse"
    assert bare_letters("Cœur d’été") == "Coeur d’ete"
    assert ascii_letters("plain") == "plain"
