"""Two ways of writing are one value, and another value is another: what the hub takes for news hangs on both."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.equal_values import canonical
from schemas.registry import Registry

Address = dict[str, Any]
HOME: Address = {
    "house_number": "12 bis", "street": "rue des Tilleuls", "postal_code": "93001", "city": "Saint-Aubin"
}  # fmt: skip


def same(field: str, one: Any, other: Any, territory: str | None = None) -> bool:
    return bool(canonical(field, one, territory=territory) == canonical(field, other, territory=territory))


def line(text: str, **more: Any) -> Address:
    return {"street": text, "postal_code": "93001", "city": "Saint-Aubin"} | more


@pytest.mark.parametrize(("one", "other"), [
    (HOME, line("12BIS RUE DES TILLEULS")), (HOME, line("12 bis, r. des Tilleuls", country="FR")),
    (HOME, line("012 BIS, R DES TILLEULS", city="ST AUBIN CEDEX 2")),
    (HOME | {"complement": "Bât. C"}, line("Bâtiment C 12 bis rue des Tilleuls")),
    (HOME | {"complement": "Rés. Les Pins"}, line("RES LES PINS 12 BIS RUE DES TILLEULS")),
    (HOME, line("12 bis rue des Tilleuls 93001 Saint-Aubin")),
    (HOME, HOME | {"insee_code": "93001", "ban_key": "93001_0420"}),
    (line("12-14 rue X"), line("12 à 14 rue X")), (line("12/14 rue X"), line("rue X", house_number="12-14")),
    (line("3 rue du 11 Novembre"), line("3 RUE DU ONZE NOVEMBRE")),
    (line("1 rue du 1er Mai"), line("1 RUE DU PREMIER MAI")),
    (line("2 rue de l'Église"), line("2 RUE DE LEGLISE")), (line("2 rue d’Artagnan"), line("2 RUE DARTAGNAN")),
    (line("8 ZA des Prés"), line("8 zone d'activités des Prés")),
    (line("8 Z.I. Nord"), line("8 zone industrielle Nord")),
    (line("B.P. 12"), line("BP 12")), (line("n°12 rue X"), line("12 rue X")), (line("No 12 rue X"), line("12 rue X")),
    (line("12 rue X", domiciled_with="CCAS"), line("12 rue X", complement="c/o CCAS")),
    (line("12 rue X", domiciled_with="CCAS", no_fixed_abode=True), line("12 rue X", complement="chez CCAS")),
    (line("allées Jean-Jaurès"), line("ALL JEAN JAURES")), (line("Grande Rue"), line("GR RUE")),
    (line("5 rue du Colonel Fabien"), line("5 r du Cnl Fabien")), (line("1 quartier Foch"), line("1 QUA FOCH")),
    (line("5 Hauptstrasse", postal_code="D-77694", country="DE"),
    line("5 Hauptstraße", postal_code="77694", country="DE")),
    (line("1 rue X", postal_code="97400", country="RE"), line("1 rue X", postal_code="97400")),
    (line("1 bd du Nord", postal_code="98000", city="Monaco"),
    line("1 BD DU NORD", postal_code="98000", city="MONACO", country="MC")),
    (line("L'Haÿ", city="L'Haÿ-les-Roses"), line("LHAY", city="LHAY LES ROSES")),
])  # fmt: skip
def test_two_ways_of_writing_are_one_address(one: Address, other: Address) -> None:
    assert same("new_address", one, other)


@pytest.mark.parametrize(("one", "other"), [
    # The country is never dropped.
    (line("5 Hauptstrasse", postal_code="77694", country="DE"),
    line("5 Hauptstrasse", postal_code="77694", country="FR")),
    (line("5 Hauptstrasse", postal_code="77694", country="DE"), line("5 Hauptstrasse", postal_code="77694")),
    ({"city": "Dakar", "country": "SN"}, {"city": "Dakar", "postal_code": "00000"}),
    (line("rue du 8 mai 1945"), line("8 rue de mai 1945")), (line("12 rue du 8 mai 1945"), line("rue du 8 mai 1945")),
    (line("allée R"), line("allée Rue")), (line("rue B"), line("rue Bis")), (line("12 B rue X"), line("12 bis rue X")),
    (line("place du Cours"), line("cours de la Place")), (line("rue de la Résidence"), line("résidence de la rue")),
    (line("3 Bât 12 rue X"), line("12 Bât 3 rue X")), (line("12 rue X Bât 3"), line("3 rue X Bât 12")),
    (line("12 rue X", complement="12"), line("12 rue X")), (line("12-14 rue X"), line("12 rue X")),
    (line("1214 rue X"), line("12-14 rue X")), (line("avenue Saint-Jean"), line("avenue Sainte-Jean")),
    (line("12 rue X", complement="appartement 1"), line("12 rue X", complement="appartement 2")),
    (line("bâtiment D rue X"), line("bâtiment C rue X")), (line("1 rue L"), line("1 rue D")),
    ({"city": "Saint-Denis", "insee_code": "93066"}, {"city": "Saint-Denis", "insee_code": "97411"}),
    ({"city": "Dublin 4", "country": "IE"}, {"city": "Dublin 6", "country": "IE"}),
    (line("1 rue X", postal_code="VLT 1117", country="MT"), line("1 rue X", postal_code="MSD 1117", country="MT")),
    (line("12 rue X", domiciled_with="CCAS"), line("12 rue X")), (line("1 rue X"), line("1 avenue X")),
])  # fmt: skip
def test_another_address_is_another(one: Address, other: Address) -> None:
    assert not same("new_address", one, other)


PLACED = ("house_number", "street", "complement", "domiciled_with")


@pytest.mark.parametrize("member", PLACED)
@pytest.mark.parametrize("moved", [
    HOME | {"house_number": "14"}, line("14 rue des Tilleuls"), HOME | {"complement": "bât. B"},
    HOME | {"domiciled_with": "CCAS"},
])  # fmt: skip
def test_whoever_sees_a_part_of_the_place_misses_no_move(moved: Address, member: str) -> None:
    """One package tells the number in the street, another apart: which of them a reader sees must not matter."""
    assert canonical("new_address", HOME)[member] != canonical("new_address", moved)[member]
    assert canonical("new_address", HOME)["city"] == canonical("new_address", moved)["city"]


@pytest.mark.parametrize("member", ["insee_code", "ban_key"])
def test_whoever_sees_a_key_alone_misses_no_move_to_another_town(member: str) -> None:
    for moved in (HOME | {"postal_code": "93002"}, HOME | {"city": "Saint-Yon"}):
        assert canonical("new_address", HOME)[member] != canonical("new_address", moved)[member]


@pytest.mark.parametrize(("one", "other", "territory"), [
    ("06 12 34 56 78", "+33 6 12 34 56 78", None), ("06.12.34.56.78", "0033612345678", "93001"),
    ("33612345678", "0612345678", "93001"), ("612345678", "06 12 34 56 78", "93001"),
    ("0692 11 22 33", "+262 692 11 22 33", "97411"), ("0692112233", "+262 (0)692112233", "93001"),
    ("0590 29 00 00", "+590 590 29 00 00", "97105"), ("78 12 34", "+687 781234", "98818"),
    ("0612345678", "+33612345678", "98818"), ("87 12 34 56", "+689 87 12 34 56", "98735"),
    ("41 23 45", "+508 412345", "97502"), ("0508 41 23 45", "+508 41 23 45", "93001"),
    ("0508 41 23 45", "41 23 45", "97502"), ("72 12 34", "+681 721234", "98613"),
    ("+49 (0)30 123456", "+49 30 123456", None), ("+39 011 651 1111", "0039 0116511111", None),
])  # fmt: skip
def test_two_ways_of_dialling_are_one_number(one: str, other: str, territory: str | None) -> None:
    assert same("phone", one, other, territory)


@pytest.mark.parametrize(("one", "other", "territory"), [
    ("0612345678", "0612345679", None), ("78 12 34", "+687 781234", "93001"), ("3949", "+33 3949", None),
    ("115", "119", None), ("+32 470123456", "0470123456", None), ("+39 011 6511111", "+39 11 6511111", None),
    ("0400000012", "0400000012 x1", None), ("781234", "+689 781234", "98818"),
])  # fmt: skip
def test_another_number_is_another(one: str, other: str, territory: str | None) -> None:
    assert not same("phone", one, other, territory)


@pytest.mark.parametrize(("one", "other"), [
    ("Odile@Courriel.example", "odile@courriel.EXAMPLE"), ("odile@élan.example", "odile@xn--lan-9la.example"),
    ("odile@ÉLAN.example", "odile@élan.example"), ("odile@courriel.example.", "odile@courriel.example"),
    ("éloi@courriel.example", "éloi@courriel.example"), ("odile@courriel。example", "odile@courriel.example"),
])  # fmt: skip
def test_two_ways_of_writing_are_one_mailbox(one: str, other: str) -> None:
    assert same("email", one, other)


@pytest.mark.parametrize(("one", "other"), [
    ("jean-luc@courriel.example", "jean.luc@courriel.example"), ("jean+koha@courriel.example", "jean@courriel.example"),
    ("odile@straße.example", "odile@strasse.example"), ("maß@courriel.example", "mass@courriel.example"),
    ("eloi@courriel.example", "éloi@courriel.example"),
])  # fmt: skip
def test_another_mailbox_is_another(one: str, other: str) -> None:
    assert not same("email", one, other)


# What public reports say of others, kept here as it stands: each pair is one value, or two.
REPORTED_AS_ONE = [
    ("phone", "0508411010", "+508 41 10 10", "97502"),  # https://github.com/google/libphonenumber/issues/1060
    ("phone", "41 10 10", "0508411010", "97502"),  # https://github.com/AfterShip/phone/pull/275
    # https://github.com/demarche-numerique/demarche.numerique.gouv.fr/pull/5549
    ("phone", "87473500", "+689 87 47 35 00", "98735"),
    ("phone", "+687 75 12 34", "751234", "98818"),  # https://github.com/betagouv/rdv-service-public/pull/6400
    ("phone", "0696600024", "+596696600024", "97209"),  # https://github.com/google/libphonenumber/issues/1748
    ("phone", "0694137600", "+594694137600", "93001"),  # https://github.com/marmelroy/PhoneNumberKit/issues/734
    # A package that writes each number anew: https://github.com/odoo/odoo/pull/62387
    ("phone", "+1 202-555-7799", "001 (202) 555 7799", "93001"),
    # https://github.com/foundata/roundcube-plugin-identity-from-directory/issues/8
    ("email", "bar@überALL.example.com", "bar@xn--berALL-2ya.example.com", None),
    ("email", "foo@Überall.example.com", "foo@xn--berall-2ya.example.com", None),
    # https://github.com/thunderbird/thunderbird-android/issues/925
    ("email", "Foo@list.example.com", "foo@list.example.com", None),
    # https://github.com/OpenCageData/address-formatting/issues/117
    ("new_address", line("r des Voituriers"), line("Rue des Voituriers"), None),
    # https://github.com/openvenues/libpostal/issues/357, https://github.com/pelias/parser/issues/178
    ("new_address", line("bd st martin"), line("boulevard saint-martin"), None),
    ("new_address", line("1 bis Av. Amélie"), line("avenue Amélie", house_number="1BIS"), None),
    # https://github.com/addok/addok/pull/196
    ("new_address", line("3 imp du Pré"), line("3 IMPASSE DU PRE"), None),
]  # fmt: skip
REPORTED_AS_TWO = [
    # Both stand in one street: https://github.com/addok/addok/issues/507, .../api-gestion-poc/issues/197
    ("new_address", line("30 B rue de Pontoise"), line("30 BIS rue de Pontoise"), None),
    # https://github.com/addok/addok/issues/30
    ("new_address", line("Résidence B"), line("Résidence Bis"), None),
    ("new_address", line("Passage des Chevreuils Saint Bis"), line("76 bis passage des Chevreuils"), None),
    # Unit and number are the same figure: https://github.com/bcgov/ols-geocoder/issues/79
    ("new_address", line("108 rue X", complement="108"), line("108 rue X"), None),
    ("new_address", line("rue 1814"), line("1814 rue"), None),  # https://github.com/addok/addok/issues/59
    # A plus that was lost is another number: https://github.com/aluxnimm/outlookcaldavsynchronizer/issues/158
    ("phone", "+43 664 1234567", "43 664 1234567", "93001"),
    # https://github.com/cofoundry-cms/cofoundry/issues/468
    ("email", "t.est+123@courriel.example", "test@courriel.example", None),
]  # fmt: skip


@pytest.mark.parametrize(("field", "one", "other", "territory"), REPORTED_AS_ONE)
def test_what_others_took_for_two_is_one(field: str, one: Any, other: Any, territory: str | None) -> None:
    assert same(field, one, other, territory)


@pytest.mark.parametrize(("field", "one", "other", "territory"), REPORTED_AS_TWO)
def test_what_others_took_for_one_is_two(field: str, one: Any, other: Any, territory: str | None) -> None:
    assert not same(field, one, other, territory)


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)
PARTS = st.lists(st.sampled_from([
    "12", "bis", "B", "R", "rue", "AV", "bd", "ch", "lot", "L", "D", "l'", "d'", "lieu-dit", "LD", "ZA", "Z", "A", "I",
    "0", "007", "8", "mai", "huit", "ST", "GR", "chez", "c/o", "B.P.", "cedex", "93001", "Saint-Aubin", "RES",
    "GPL", "N°",
    "Pt", "Rd", "zone", "d'activités", "artisanale", "bât", "C", "C3", "ieudit", "-", "1er",
]), min_size=1, max_size=8).map(" ".join)  # fmt: skip
ANY = TEXT | PARTS
ADDRESSES = st.fixed_dictionaries(
    {"city": ANY},
    optional={
        "postal_code": st.from_regex(r"\A[0-9A-Za-z][0-9A-Za-z -]{0,11}\Z"), "street": ANY, "house_number": ANY,
        "complement": ANY, "domiciled_with": ANY, "country": st.sampled_from(["FR", "DE", "RE", "MC", "SN", "UK"]),
        "insee_code": st.from_regex(r"\A(?:0[1-9]|[1-9][0-9]|2[AB])[0-9]{3}\Z"), "no_fixed_abode": st.booleans(),
    },
)  # fmt: skip


@given(ADDRESSES)
@example({"city": "L D OM", "street": "L IEUDIT X", "country": "FR"})
def test_the_form_of_an_address_is_its_own_form(address: Address) -> None:
    once = canonical("new_address", address)
    assert canonical("new_address", once) == once


@given(
    st.from_regex(r"0{0,2}[0-9]{1,4}", fullmatch=True),
    st.sampled_from(
        ["rue", "R", "av.", "Bd", "all", "place", "chemin", "GR rue", "cours de l'", "lotissement", "quai"]
    ),
    st.sampled_from(
        ["", "des Lilas", "du 8 mai 1945", "A 12", "L Abbé", "de l'Église", "B", "bis", "12 rue X", "Bât. C"]
    )
    | TEXT,
)
def test_a_number_before_a_way_is_one_wherever_it_is_kept(number: str, way: str, name: str) -> None:
    street = f"{way} {name}".strip()
    assert same("new_address", line(street, house_number=number), line(f"{number} {street}"))
    built = line(way, complement=name or "Bât. C") if way.isalpha() else line(street, complement="R 3, porte 12")
    whole = f"{number} {built['street']} {built['complement']}"
    assert same("new_address", built | {"house_number": number}, line(whole))


@given(
    st.from_regex(r"\A[+0-9][0-9 .()/-]{2,29}\Z") | TEXT,
    st.sampled_from([None, "93001", "97411", "97502", "98735", "98818"]),
)
def test_the_form_of_a_number_is_its_own_form(number: str, territory: str | None) -> None:
    once = canonical("phone", number, territory=territory)
    assert canonical("phone", once, territory=territory) == once


@given(st.builds("{}@{}.example".format, TEXT, TEXT) | TEXT)
def test_the_form_of_a_mailbox_is_its_own_form(text: str) -> None:
    once = canonical("email", text)
    assert canonical("email", once) == once


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.sampled_from(["city", "country"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["new_address", "phone", "email", "other"]))
def test_whatever_is_said_has_a_form_that_stays(value: Any, field: str) -> None:
    once = canonical(field, value)
    assert canonical(field, once) == once


def test_the_examples_of_the_shared_events_keep_their_forms() -> None:
    registry, told = Registry.load(), 0
    for kind in registry.types():
        for version in registry.versions(kind):
            for data in registry.schema(kind, version)["examples"]:
                for field, said in data.items():
                    if isinstance(said, dict) and "quality" in said:
                        once = canonical(field, said["value"], territory="38999")
                        assert canonical(field, once, territory="38999") == once
                        told += 1
    assert told > 4
