"""A birthplace is compared through the movements of communes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.settings.communes import load_communes, shipped_communes
from schemas.errors import ConfigError


def test_a_birthplace_given_as_the_code_of_today_is_the_code_at_birth() -> None:
    assert (
        shipped_communes().compare("91182", "91228", "1974-05-02") == "moved"
    )  # Courcouronnes, in Évry-Courcouronnes since 2019
    assert shipped_communes().compare("93066", "75066", "1951") == "moved"  # Saint-Denis, in the Seine until 1968
    assert shipped_communes().compare("2A004", "20004", "1962-01-01") == "moved"


def test_nobody_was_born_in_a_commune_that_was_no_more() -> None:
    assert shipped_communes().compare("91182", "91228", "2021-05-02") == "near"


def test_two_communes_that_became_one_stay_two_birthplaces() -> None:
    assert shipped_communes().compare("91182", "91000", "1974-05-02") == "near"
    assert shipped_communes().compare("74011", "74093", "1974-05-02") == "near"


def test_the_code_of_a_town_covers_its_districts() -> None:
    assert shipped_communes().compare("75056", "75112", "1974-05-02") == "city"
    assert shipped_communes().compare("75111", "75112", "1974-05-02") == "near"


def test_the_official_file_is_read_and_several_movements_follow_each_other(tmp_path: Path) -> None:
    file = tmp_path / "v_mvt_commune.csv"
    file.write_text(
        "MOD,DATE_EFF,TYPECOM_AV,COM_AV,TNCC_AV,NCC_AV,NCCENR_AV,LIBELLE_AV,"
        "TYPECOM_AP,COM_AP,TNCC_AP,NCC_AP,NCCENR_AP,LIBELLE_AP\n"
        "32,1973-01-01,COM,38901,0,UN,Un,Un,COM,38902,0,DEUX,Deux,Deux\n"
        "32,2018-01-01,COM,38902,0,DEUX,Deux,Deux,COM,38903,0,TROIS,Trois,Trois\n"
        "50,hier,COM,38903,0,TROIS,Trois,Trois,COM,38904,0,QUATRE,Quatre,Quatre\n",
        encoding="utf-8",
    )

    communes = load_communes(file)

    assert communes.compare("38903", "38901", "1960-02-03") == "moved"
    assert communes.compare("38903", "38901", "1990-02-03") == "near"
    assert communes.codes_since("38903", "1960") == frozenset()


def test_a_file_that_holds_no_movements_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n", encoding="utf-8")

    with pytest.raises(ConfigError, match="DATE_EFF"):
        load_communes(tmp_path / "x.csv")
