"""A → B → A is silent only if an address is known again whatever the package made of it: the real mappings of the
three shapes (Publik's structured fields, Koha's record, rows of files) against the form in which the hub compares."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from connectors.filedrop.client import move_of, read_news, write_rows
from connectors.filedrop.layout import Site
from connectors.koha.mapping import Layout, address_fields, address_of
from connectors.publik.connector import Publik
from connectors.sdk import Secret
from schemas.equal_values import canonical
from schemas.errors import InvalidMessage, Refused
from schemas.registry import Registry
from tests.connectors.publik.scene import MOVE, SLUG, fixture, pushed, settings
from tests.support.context import context_for

Address = dict[str, Any]
Shape = Callable[[Address], Address]
REGISTRY = Registry.load()
DECLARED: dict[str, Address] = {
    "plain": {"house_number": "4", "street": "chemin du Vieux Lavoir", "postal_code": "93001", "city": "Saint-Aubin"},
    "bis": {"house_number": "12 bis", "street": "rue des Tilleuls", "postal_code": "93001", "city": "Saint-Yon"},
    "bis joined": {"house_number": "12bis", "street": "rue des Tilleuls", "postal_code": "93001", "city": "Saint-Yon"},
    "letter": {"house_number": "7 B", "street": "allée Émile-Zola", "postal_code": "38999", "city": "Valbruyère"},
    "complement": {
        "house_number": "3", "street": "place de l'Église", "complement": "Bâtiment C, porte 12",
        "postal_code": "93001", "city": "Saint-Aubin", "insee_code": "93001", "ban_key": "93001_0420_00003",
    },
    "ligature": {"house_number": "1", "street": "rue Sacré-Cœur", "postal_code": "06999", "city": "L’Haÿ-en-Œuvre"},
    "no number": {"street": "lieu-dit Les Grands Prés", "postal_code": "01999", "city": "Pré-d'Ain"},
    "no street": {"complement": "Hameau de la Croix", "postal_code": "20999", "city": "Città"},
    "number in street": {"street": "18 ter, avenue du 8 Mai 1945", "postal_code": "93001", "city": "Saint-Aubin"},
    "abroad": {"house_number": "5", "street": "Łąkowa", "postal_code": "00-950", "city": "Łódź", "country": "PL"},
}  # fmt: skip


def through_koha(layout: Layout) -> Shape:
    """Written into a patron, read back by the poll."""

    def shape(address: Address) -> Address:
        patron = {"cardnumber": "1", "street_number": "9", "address2": "old"} | address_fields(address, layout)
        back = address_of(patron)
        assert back is not None
        return back

    return shape


def through_files(preset: str, **site: Any) -> Shape:
    """Dropped as a row, given back as the package's own news with the very cells it was given."""

    def shape(address: Address) -> Address:
        own = Site.of({"preset": preset, "unmappable": "transliterate", **site})
        layout, news = own.layouts["citizen.address-changed"], own.news
        assert news is not None
        view = {"new_address": {"value": address}, "recipient": {"reference": "F-7"}, "delivery": {"key": "k"}}
        assert write_rows(own, layout, [own.row(layout, view)])
        row = dict(zip(layout.names, own.row(layout, view), strict=True)) | {news.date: "02/03/2026"}
        names = [name for name in (news.reference, news.address, news.complement, news.postal_code, news.city) if name]
        cells = [[*names, news.date], [row[name] for name in [*names, news.date]]]
        text = "\r\n".join(own.form.separator.join(f'"{cell}"' for cell in line) for line in cells)
        table = read_news(own, news, text.encode(own.form.encoding))
        assert len(table.faults) == 0
        return move_of(own, news, table.rows[0]).address

    return shape


def through_publik(address: Address) -> Address:
    """Said again by a citizen in a form with structured fields."""
    body = fixture()
    fields = {k: v for k, v in body["fields"].items() if not k.startswith("nouvelle_adresse") and k != "batiment"}
    names = {"house_number": "housenumber", "street": "street", "postal_code": "postcode", "city": "city"}
    structured = {wire: address[name] for name, wire in names.items() if name in address}
    fields |= {"nouvelle_adresse_structured": structured, "batiment": address.get("complement", "")}
    connector = Publik(context_for("publik", settings(client_secret=Secret("x"), forms={SLUG: MOVE})))
    [event] = [
        event
        for event in connector.receive(pushed(body | {"fields": fields})).polled.events
        if event.type == "citizen.address-changed"
    ]
    value: Address = event.data["new_address"]["value"]
    return value


def shouted(address: Address) -> Address:
    """As old packages keep it: capitals, no accents, no hyphens, no ligatures."""

    def shout(text: str) -> str:
        text = text.replace("œ", "oe").replace("Œ", "OE").replace("ł", "l").replace("Ł", "L")
        bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
        return bare.upper().replace("-", " ").replace("’", " ").replace("'", " ")

    return {name: shout(text) if name in ("street", "complement", "city") else text for name, text in address.items()}


SHAPES: dict[str, Shape] = {
    "koha, one line": through_koha("one-line"),
    "koha, split": through_koha("split"),
    "family file": through_files("family"),
    "family file in cp1252": through_files("family", encoding="cp1252"),
    "billing file": through_files("billing"),
    "billing file in iso-8859-15": through_files("billing", encoding="iso-8859-15"),
    "publik": through_publik,
    "capitals": shouted,
    "koha in capitals": lambda address: shouted(through_koha("one-line")(address)),
    "family file in capitals": lambda address: shouted(through_files("family")(address)),
}


def same(one: Address, other: Address) -> bool:
    return bool(canonical("new_address", one, territory="93001") == canonical("new_address", other, territory="93001"))


def known_again(address: Address, shape: Shape) -> bool:
    """Files have no column for a country: what is abroad is refused. Nor has the form: its postal code is."""
    try:
        return same(shape(address), address)
    except Refused:
        return "country" in address
    except InvalidMessage as refusal:
        return refusal.code in ("postal_code", "bad_postal_code") and "country" in address


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("address", DECLARED.values(), ids=DECLARED.keys())
def test_an_address_is_known_again_in_every_shape(address: Address, shape: Shape) -> None:
    assert known_again(address, shape)


@pytest.mark.parametrize("first", [through_publik, through_koha("split"), through_files("family")])
@pytest.mark.parametrize("second", [through_publik, through_koha("one-line"), through_files("billing")])
@pytest.mark.parametrize("address", DECLARED.values(), ids=DECLARED.keys())
def test_an_address_is_known_again_after_two_packages(address: Address, first: Shape, second: Shape) -> None:
    assert known_again(address, lambda told: second(first(told)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"city": "Saint-Aubin"}, {"city": "SAINT AUBIN"}),
        ({"city": "Saint-Aubin"}, {"city": "St Aubin"}),
        ({"city": "Sainte-Colombe"}, {"city": "STE COLOMBE"}),
        ({"house_number": "12 bis"}, {"house_number": "12BIS"}),
        ({"house_number": "12bis"}, {"house_number": "12 Bis"}),
        ({"street": "rue Lʼéglise"}, {"street": "rue L'Eglise"}),
        ({"postal_code": "93001"}, {"postal_code": "93 001"}),
        ({"complement": "Bât. C  porte 12"}, {"complement": "bât C, porte 12"}),
        ({}, {"insee_code": "93001", "ban_key": "93001_0420_00004", "country": "FR"}),
        ({"street": "e\u0301tang"}, {"street": "étang"}),
    ],
)
def test_two_ways_of_writing_are_one_address(one: Address, other: Address) -> None:
    assert same(DECLARED["plain"] | one, DECLARED["plain"] | other)


@pytest.mark.parametrize(
    "change",
    [
        {"house_number": "5"}, {"house_number": "4 bis"}, {"street": "chemin du Vieux Moulin"}, {"city": "Valbruyère"},
        {"postal_code": "93002"}, {"complement": "Bâtiment C"}, {"street": "rue du Vieux Lavoir"},
    ],
)  # fmt: skip
def test_another_address_is_news(change: Address) -> None:
    assert not same(DECLARED["plain"] | change, DECLARED["plain"])


LETTERS = st.sampled_from("abcdeghilmnorstuvéèêëàâçîïôöùûüÿœæÉÈÀÇŒ'’-  ")
WORDS = st.text(LETTERS, min_size=1, max_size=25).map(lambda text: " ".join(text.split())).filter(
    lambda text: any(c.isalpha() for c in text)
)  # fmt: skip
NUMBERS = st.builds(
    lambda number, suffix: f"{number}{suffix}", st.integers(1, 9999), st.sampled_from(["", " bis", "bis", " ter", " B"])
)
ADDRESSES = st.fixed_dictionaries(
    {"postal_code": st.from_regex(r"(0[1-9]|[1-9][0-9])[0-9]{3}", fullmatch=True), "city": WORDS, "street": WORDS},
    optional={"house_number": NUMBERS, "complement": WORDS},
)


@given(ADDRESSES, st.sampled_from(sorted(SHAPES.keys() - {"publik"})))
def test_no_address_written_in_french_is_lost_by_a_shape(address: Address, name: str) -> None:
    try:
        back = SHAPES[name](address)
    except Refused:
        assume(False)
    assert same(back, address)


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("Odile@Courriel.example", "odile@courriel.example", True),
        ("jean-luc@courriel.example", "jean.luc@courriel.example", False),
        ("jean_luc@courriel.example", "jeanluc@courriel.example", False),
        ("04 00 00 00 12", "0400000012", True),
        ("+33 4 00 00 00 12", "04.00.00.00.12", True),
        ("0033400000012", "+33 (0)4 00 00 00 12", True),
        ("0400000012", "0400000013", False),
        ("+32 400000012", "0400000012", False),
    ],
)
def test_a_contact_is_known_again_and_another_is_news(one: str, other: str, is_one: bool) -> None:
    field = "email" if "@" in one else "phone"
    assert (canonical(field, one) == canonical(field, other)) is is_one
