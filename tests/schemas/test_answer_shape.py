"""Shapes of answers: places and types, no value, and no name that may be somebody's."""

from __future__ import annotations

import time
import tracemalloc
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from schemas.answer_shape import COLUMNS, JSON, XML, Shape, form_of, is_data, shape_of


def shape(value: Any) -> Shape:
    return shape_of(form_of(value))


def test_a_shape_has_places_and_types_and_no_value() -> None:
    answer = {"data": [{"id": 7, "nom": "Durand", "part": 0.5, "actif": True, "fin": None}], "next": None}

    assert shape(answer) == {
        ("", "object"), ("/data", "array"), ("/data/*", "object"), ("/data/*/id", "integer"),
        ("/data/*/nom", "string"), ("/data/*/part", "number"), ("/data/*/actif", "boolean"), ("/data/*/fin", "null"),
        ("/next", "null"),
    }  # fmt: skip


def test_a_member_that_only_some_records_have_is_absent_too() -> None:
    found = shape([{"id": 1, "adresse": {"rue": "x", "etage": 3}}, {"id": 2, "adresse": {"rue": "y"}}, {"id": 3}])

    assert {place for place, kind in found if kind == "absent"} == {"/*/adresse", "/*/adresse/etage"}


@pytest.mark.parametrize(
    "name",
    ["Jean Dupont", "jean.dupont", "j@exemple.fr", "2026-11-28", "F-1042", "1", "a1b2c3d4e5f6", "", "0612345678",
     "0197a1c2-5b7e-7cc0-9d1f-3a5be0c6d201", "DURAND/Zoé", "x" * 80, "🙂", "QF2026"],
)  # fmt: skip
def test_a_name_that_no_program_would_have_is_data(name: str) -> None:
    assert is_data(name)
    assert shape({name: 1, "id": 2}) == {("", "object"), ("/{}", "integer"), ("/id", "integer")}


@pytest.mark.parametrize(
    "name", ["nom", "birth_name", "codePostal", "code-postal", "line1", "@id", "$ref", "_links", "prénom"]
)
def test_a_name_of_a_program_stays(name: str) -> None:
    assert not is_data(name)


def test_entries_of_a_map_are_known_by_being_alike() -> None:
    people = {"durand": {"age": 3, "nom": "x"}, "martin": {"age": 4, "nom": "y"}}

    assert shape(people) == {("", "object"), ("/{}", "object"), ("/{}/age", "integer"), ("/{}/nom", "string")}
    assert ("/petit", "object") in shape({"petit": {"age": 3}, "count": 1}), "of one alone nobody can say"
    assert {place for place, _ in shape({**people, "petit": {"age": 5, "nom": "z"}, "count": 3})} == {
        "", "/{}", "/{}/age", "/{}/nom", "/count"
    }  # fmt: skip


@pytest.mark.parametrize(
    "people",
    [
        {"durand": {"age": 3, "ville": "x"}, "martin": {"age": 4}, "petit": {"age": 5, "classe": "CP"}},
        {"durand": [{"age": 3}], "martin": [], "petit": [{"age": 5, "classe": "CP"}], "girard": [{"age": 1}]},
        {"durand": {}, "martin": {"age": 4}, "petit": {"age": 5}, "girard": None},
        {"durand": {"age": 3}, "martin": {"age": 4}, "petit": {"age": 5}, "total": 3, "ok": True},
    ],
)
def test_entries_of_a_map_need_not_be_the_same(people: dict[str, Any]) -> None:
    """Maps of objects that differ a little were taken for records: https://github.com/duckdb/duckdb/pull/11285."""
    assert not {"/durand", "/martin", "/petit", "/girard"} & {place for place, _ in shape(people)}


def test_parts_of_a_record_that_share_a_name_are_no_map() -> None:
    record = {
        "dossier": {"id": 1, "titre": "x", "objet": "y"}, "usager": {"id": 2, "nom": "x", "courriel": "y"},
        "service": {"id": 3, "siret": "x", "rue": "y"},
    }  # fmt: skip

    assert {"/dossier/titre", "/usager/nom", "/service/siret"} <= {place for place, _ in shape(record)}


@pytest.mark.parametrize("key", ["0a:f5:99:89:bb:37", "fa:b5:99:89:bb:37", "54.209.5.232", "1", "2"])
def test_addresses_and_numbers_as_keys_are_data(key: str) -> None:
    """https://github.com/snowplow-archive/schema-guru/issues/111, https://github.com/glideapps/quicktype/issues/819."""
    assert shape({key: 1, "ok": True}) == {("", "object"), ("/{}", "integer"), ("/ok", "boolean")}


def test_the_order_of_members_and_records_is_no_difference() -> None:
    """One catalogue with two hashes was told as a change, again and again:
    https://github.com/airbytehq/airbyte/issues/23349."""
    one = [{"id": 1, "nom": "x"}, {"id": 2}]
    other = [{"id": 2}, {"nom": "x", "id": 1}]

    assert shape(one) == shape(other)
    assert hash(shape(one)) == hash(shape(other))


def test_an_envelope_and_lists_of_values_are_no_map() -> None:
    assert ("/data/id", "integer") in shape({"data": {"id": 1}, "next": None, "links": {}})
    assert ("/tags/*", "string") in shape({"tags": ["x"], "mails": ["y"], "phones": ["z"]})


def test_columns_of_a_table_may_have_spaces_and_are_no_map() -> None:
    names = {"Date de naissance": "", "N°": "", "QF 2026": "", "2026": "", "u@x.fr": ""}

    assert {place for place, _ in shape_of(form_of(names, COLUMNS), COLUMNS)} == {
        "", "/Date de naissance", "/N°", "/QF 2026", "/{}"
    }  # fmt: skip


def test_an_element_that_repeats_is_the_same_as_one_that_does_not() -> None:
    one, two = {"agent": [{"nom": [""]}]}, {"agent": [{"nom": [""]}, {"nom": [""], "age": [""]}]}

    assert shape_of(form_of(one, XML), XML) == {("", "object"), ("/agent", "object"), ("/agent/nom", "string")}
    assert shape_of(form_of(two, XML), XML) - shape_of(form_of(one, XML), XML) == {
        ("/agent/age", "string"), ("/agent/age", "absent")
    }  # fmt: skip


def test_what_is_empty_says_nothing() -> None:
    assert shape({"a": [], "b": {}, "c": None}) == {("", "object"), ("/a", "array"), ("/b", "object"), ("/c", "null")}


def test_types_of_a_database_have_names() -> None:
    found = shape_of(form_of([{"le": date(2026, 1, 1), "prix": Decimal("1.5"), "pdf": b"x"}], COLUMNS), COLUMNS)

    assert {kind for place, kind in found if place.count("/") == 2} == {"date", "number", "bytes"}


def test_a_hundred_thousand_keys_cost_little_and_leave_no_name() -> None:
    flood = {f"famille{chr(97 + n % 26)}x{n}": {"nom": "x", "age": n} for n in range(100_000)}

    assert shape(flood) == {("", "object"), ("/{}", "object"), ("/{}/nom", "string"), ("/{}/age", "integer")}
    assert spent(flood) < (0.05, 1_000_000)


def test_twenty_megabytes_of_records_cost_little() -> None:
    page = {"data": [{f"champ_{chr(97 + n)}": "x" * 40 for n in range(20)} for _ in range(20_000)]}

    assert len(shape(page)) == 23
    assert spent(page) < (0.2, 1_000_000)


def test_lists_in_lists_in_lists_end() -> None:
    deep: Any = 1
    for _ in range(200):
        deep = {"a": [deep]}
    wide = [[[{"a": 1}] * 300] * 300] * 300

    assert spent(deep) < (0.05, 1_000_000)
    assert spent(wide) < (0.5, 10_000_000)


def test_an_answer_with_more_places_than_anybody_can_know_has_no_shape() -> None:
    names = [f"{a}{b}" for a in "abcdefghij" for b in "abcdefghij"]

    assert shape({one: {f"{one}_{two}": 1 for two in names} for one in names}) == frozenset()


def test_a_known_form_is_compared_and_not_read_again() -> None:
    """Against reading the JSON itself: a page of a hundred records costs less than a few times that."""
    record = {f"champ_{chr(97 + n)}": "x" for n in range(26)} | {"adresse": {"rue": "x", "ville": "y"}}
    page = {"data": [dict(record) for _ in range(100)]}
    form_of(page)
    began = time.perf_counter()
    for _ in range(20):
        hash(form_of(page, JSON))

    assert (time.perf_counter() - began) / 20 < 0.01


def spent(value: Any) -> tuple[float, int]:
    """Seconds, and bytes at most."""
    began = time.perf_counter()
    shape(value)
    seconds = time.perf_counter() - began
    tracemalloc.start()
    try:
        shape(value)
        return seconds, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
