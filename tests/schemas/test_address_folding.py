"""One folding of streets and towns: what packages abbreviate, and what only looks abbreviated."""

from __future__ import annotations

import pytest

from schemas.addresses import fold_address, fold_code, fold_street, fold_town


@pytest.mark.parametrize(("one", "other"), [
    ("12 av. Foch", "12 AVENUE FOCH"), ("3 bd St-Michel", "3 Boulevard Saint Michel"),
    ("PL DE L EGLISE", "place de l’Église"),
    ("CHE DU LAC", "Chemin du Lac"), ("14 Ch. du Lac", "14 chemin du lac"),
    ("12 RTE DE LYON", "12 route de Lyon"),  # https://github.com/osm-fr/bano/issues/285
    ("217 B CRS DE LA MARNE", "217 B cours de la Marne"),  # https://github.com/addok/addok/issues/753
    # https://github.com/BaseAdresseNationale/ban-plateforme/issues/482
    ("240 crs de la somme", "240 cours de la Somme"),
    ("241 r de fayet", "241 rue de Fayet"),  # https://github.com/addok/addok/issues/99
    ("RD-PT CROIX ST BENOIT", "Rond-point Croix Saint-Benoît"),  # https://github.com/addok/addok/issues/328
    ("12 BIS villa Gaudelet", "12bis villa Gaudelet"), ("12Bis", "12 BIS"),  # https://github.com/addok/addok/issues/448
    ("caves de la mairie st maur", "Caves de la Mairie Saint-Maur"),  # https://github.com/etalab/sirene_as_api/issues/52
    ("LIEU DIT PECHOT", "Péchot"),  # https://github.com/ban-archive/api-gestion-poc/issues/154
    ("n° 12, rue du Dr Calmette", "12 rue du Docteur-Calmette"),
    ("0012 RUE DU GAL LECLERC", "12 rue du Général Leclerc"),
    ("5 quater imp. du Puits", "5QUATER IMPASSE DU PUITS"), ("4 rue X, Bât. C3", "4 rue X bâtiment C 3"),
])  # fmt: skip
def test_two_ways_of_writing_are_one_street(one: str, other: str) -> None:
    assert fold_street(one) == fold_street(other)


@pytest.mark.parametrize(("one", "other"), [
    ("EN BAS DU VILLAGE", "Enceinte bas du village"),  # https://github.com/etalab/ban-data/issues/17
    # https://github.com/etalab/ban-data/issues/73
    ("SEN DEVEAUX", "Sentier Deveaux"), ("SENTE DEVEAUX", "Sentier Deveaux"),
    # A letter is no `bis`: https://github.com/mapbox/geocoder-abbreviations/pull/20,
    # https://github.com/osm-fr/osm-vs-fantoir/issues/135
    ("12 B rue du Lac", "12 bis rue du Lac"), ("89 A Coupeur", "89 avenue Coupeur"),
    ("rue du Pas", "rue du Passage"), ("rue du Lot", "rue du Lotissement"), ("rue de Ham", "rue de Hameau"),
    ("Chemin de l'Abattoir", "Rue des Anciens Abattoirs"),  # https://github.com/etalab/ban-data/issues/35
    ("rue de la Paix", "rue Paix"), ("10 rue X", "1 rue X"), ("12 bis rue X", "12 ter rue X"),
    ("rue du Moulin", "rue des Moulins"),
])  # fmt: skip
def test_two_streets_stay_two(one: str, other: str) -> None:
    assert fold_street(one) != fold_street(other)


@pytest.mark.parametrize(("one", "other"), [
    ("ST DENIS", "Saint-Denis"), ("Chalon s/ Saône", "CHALON SUR SAONE"), ("Fontenay-s/s-Bois", "Fontenay-sous-Bois"),
    ("Villers-lez-Nancy", "Villers-lès-Nancy"), ("BOBIGNY CEDEX", "Bobigny"), ("Bobigny Cedex 9", "Bobigny"),
    ("Paris 12e Arrondissement", "PARIS 12"), ("Lyon 3ème", "LYON 03"), ("Lyon", "LYON 03"),
])  # fmt: skip
def test_two_ways_of_writing_are_one_town(one: str, other: str) -> None:
    assert fold_town(one) == fold_town(other)


def test_another_town_is_another() -> None:
    towns = ("Saint-Denis", "Saint-Ouen", "Sainte-Denis", "Vitry-sur-Seine", "Vitry-en-Artois", "Dublin 4", "Dublin 6")
    assert len({fold_town(town) for town in towns}) == len(towns)


def test_a_code_has_no_spaces_and_no_case() -> None:
    assert fold_code("2b 050") == fold_code("2B050")
    assert fold_code("93 001") == "93001"
    assert fold_code("0930123 a") == fold_code("0930123A")
    assert fold_code("01000") != fold_code("1000")


def test_an_address_is_what_says_the_place_its_code_and_its_town() -> None:
    one = {
        "house_number": "12 bis",
        "street": "av. Foch",
        "complement": "Bât C",
        "postal_code": "75 012",
        "city": "Paris",
    }
    other = {"street": "12BIS AVENUE FOCH BATIMENT C", "postal_code": "75012", "city": "PARIS 12", "ban_key": "75112_1"}
    assert fold_address(other) == ["12 BIS AVENUE FOCH BATIMENT C", "75012", "PARIS"]
    assert fold_address(one | {"city": "Paris"}) == fold_address(other)


def test_without_a_postal_code_the_district_of_a_town_counts() -> None:
    one, other = ({"street": "Main Street", "city": city, "country": "IE"} for city in ("Dublin 4", "Dublin 6"))
    assert fold_address(one) != fold_address(other)
    assert fold_address({"city": "Lyon 3"}) != fold_address({"city": "Lyon 4"})
