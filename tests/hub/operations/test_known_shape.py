"""What of an answer is a change, and what is the usual noise: optional members, empty lists, nulls, maps.

The noise is what others were reported for: each report has its test.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from hub.operations.known_shape import Change, Known
from schemas.answer_shape import COLUMNS, JSON, XML, Manner, form_of, shape_of

RECORD = {"id": 1, "nom": "x", "adresse": {"rue": "y"}}


class Watch:
    """One operation, watched as the hub does."""

    def __init__(self, manner: Manner = JSON) -> None:
        self.manner, self.known = manner, Known(manner)
        self.told: list[Change] = []

    def see(self, *answers: Any, times: int = 1) -> list[Change]:
        """What is told of these answers."""
        found: list[Change] = []
        for answer in list(answers) * times:
            new, back = self.known.learn(shape_of(form_of(answer, self.manner), self.manner), self.told)
            found += new
            self.told = [one for one in [*self.told, *new] if one not in back]
        return found

    def settled(self) -> bool:
        return not (self.known.stirred or self.known.unsure)

    def restart(self) -> None:
        self.known = Known.of(self.known.to_dict(), self.manner)

    def names(self) -> str:
        return str(self.known.to_dict())


@pytest.fixture
def watch() -> Watch:
    watch = Watch()
    assert watch.see({"data": [RECORD], "next": None}, times=25) == []
    assert watch.settled()
    return watch


def page(**more: Any) -> dict[str, Any]:
    return {"data": [RECORD | more], "next": None}


def test_a_new_member_is_told_once_after_three_answers(watch: Watch) -> None:
    assert watch.see(page(mail="x"), times=2) == []
    assert watch.see(page(mail="x")) == [Change("new", "/data/*/mail", now="string")]
    assert watch.see(page(mail="x"), times=30) == []
    assert watch.settled()


def test_what_is_new_with_all_it_holds_is_one_change(watch: Watch) -> None:
    found = watch.see(page(foyer={"parts": 2, "membres": [{"nom": "x"}]}), times=5)

    assert found == [Change("new", "/data/*/foyer", now="object")]


def test_a_member_that_goes_is_told_once_and_is_over_when_it_is_back(watch: Watch) -> None:
    without = {"data": [{"id": 1, "adresse": {"rue": "y"}}], "next": None}

    assert watch.see(without, times=19) == []
    assert watch.see(without) == [Change("missing", "/data/*/nom", was="string")]
    assert watch.see(without, times=30) == []
    assert watch.settled()

    assert watch.see(page()) == []
    assert watch.told == []


def test_what_goes_with_all_it_held_is_one_change(watch: Watch) -> None:
    assert watch.see({"data": [{"id": 1, "nom": "x"}], "next": None}, times=40) == [
        Change("missing", "/data/*/adresse", was="object")
    ]


def test_a_member_that_is_sometimes_not_there_is_optional(watch: Watch) -> None:
    without = {"data": [{"id": 1, "adresse": {"rue": "y"}}], "next": None}
    assert watch.see(without, times=15) == []
    assert watch.see(page()) == []

    assert watch.see(without, times=100) == []


def test_a_changed_type_is_told_and_a_whole_number_may_be_none(watch: Watch) -> None:
    changed = {"data": [RECORD | {"id": "A-1"}], "next": None}
    assert watch.see(changed, times=30) == [Change("type", "/data/*/id", "integer", "string")]
    assert watch.see({"data": [RECORD | {"id": 1.5}], "next": None}, times=30) == []


def test_what_is_accepted_is_how_it_is(watch: Watch) -> None:
    changed = {"data": [{"id": "A-1", "mail": {"pro": "x"}, "adresse": {"rue": "y"}}], "next": None}
    found = watch.see(changed, times=30)
    assert {one.change for one in found} == {"new", "type", "missing"}
    for one in found:
        watch.known.accept(one)
    watch.told = []
    watch.restart()

    assert watch.see(changed, times=60) == []
    assert watch.known.strange(shape_of(form_of(changed))) == set()


def test_only_what_nobody_accepted_is_strange(watch: Watch) -> None:
    assert watch.known.strange(shape_of(form_of(page()))) == set()
    assert watch.known.strange(shape_of(form_of(page(mail={"pro": 1})))) == {("/data/*/mail", "")}
    assert watch.known.strange(shape_of(form_of({"data": [RECORD | {"nom": 3}], "next": "x"}))) == {
        ("/data/*/nom", "integer")
    }


def test_a_restart_forgets_nothing_that_was_kept(watch: Watch) -> None:
    watch.restart()

    assert watch.see(page(), times=3) == []
    assert watch.settled()
    assert watch.see(page(mail="x"), times=3) == [Change("new", "/data/*/mail", now="string")]


# what others were reported for


def test_an_empty_list_says_nothing() -> None:
    watch = Watch()
    assert watch.see({"data": [RECORD]}, times=25) == []

    assert watch.see({"data": []}, times=100) == []
    assert watch.see({"data": [RECORD]}, times=3) == []


def test_null_is_no_type() -> None:
    """https://github.com/schemathesis/schemathesis/issues/1618."""
    watch = Watch()
    assert watch.see({"fin": None, "id": 1}, times=25) == []
    assert watch.see({"fin": "2026-01-01", "id": 1}, times=25) == []
    assert watch.see({"fin": None, "id": 1}, times=25) == []
    assert watch.see({"fin": 3, "id": 1}) == [Change("type", "/fin", "string", "integer")]


def test_an_object_that_is_null_for_a_while_lost_nothing() -> None:
    """A nested record that was null violated the frozen columns: https://github.com/dlt-hub/dlt/issues/3183."""
    watch = Watch()
    assert watch.see({"id": 1, "foyer": {"parts": 2, "enfants": [{"age": 3}]}}, times=25) == []

    assert watch.see({"id": 1, "foyer": None}, {"id": 1, "foyer": {"parts": 2, "enfants": None}}, times=50) == []


def test_what_was_null_at_first_may_be_an_object_and_is_one_place() -> None:
    """It was kept as two: https://github.com/dlt-hub/dlt/issues/3125."""
    watch = Watch()
    assert watch.see({"id": 1, "foyer": None}, times=25) == []
    assert watch.see({"id": 1, "foyer": {"parts": 2}}, times=25) == []
    assert watch.known.places["/foyer"].types == {"object"}


def test_words_by_language_are_told_once_for_each_at_most() -> None:
    """A map of few keys is as a record with optional members: https://github.com/lmmx/polars-genson/issues/67."""
    watch = Watch()
    assert watch.see({"titre": {"fr": "x", "en": "y"}}, {"titre": {"fr": "x"}}, {"titre": {"en": "x"}}, times=20) == []

    found = watch.see({"titre": {"de": "x"}}, {"titre": {"fr": "x", "de": "y"}}, times=40)
    assert found == [Change("new", "/titre/de", now="string")]


def test_random_words_as_keys_are_not_kept() -> None:
    """They filled the memory: https://github.com/vearutop/flatjsonl/issues/45."""
    watch = Watch()
    drawn = random.Random(1)
    for _ in range(200):
        token = "".join(drawn.choices("abcdefghijklmnopqrstuvwxyz", k=12))
        assert watch.see({"ok": True, "jetons": {token: 1}}) == []

    assert set(watch.known.places) == {"", "/ok", "/jetons", "/jetons/{}"}
    assert watch.known.pending == {}


def test_a_list_of_mixed_types_is_what_it_was_when_it_was_learned() -> None:
    watch = Watch()
    assert watch.see({"v": [1, "x", {"a": 1}]}, {"v": ["x"]}, {"v": [None]}, {"v": [2.5]}, times=20) == []

    assert watch.see({"v": [{"a": 1}, 3]}, {"v": []}, times=20) == []
    assert watch.see({"v": [True]}) == [Change("type", "/v/*", "integer|number|object|string", "boolean")]


def test_members_that_are_seldom_there_are_told_once_each_at_most() -> None:
    watch = Watch()
    assert watch.see({"id": 1}, times=25) == []

    found = watch.see(*[{"id": 1, "remarque": "x"}, *[{"id": 1}] * 49], times=20)

    assert found == [Change("new", "/remarque", now="string")]


@pytest.mark.parametrize("number", range(5))
def test_optional_members_that_come_one_by_one_are_learned_before_anything_is_told(number: int) -> None:
    """Thirty members, each in one of ten to one of thirty answers: of an API with so many, a few are told."""
    drawn, watch = random.Random(number), Watch()
    names = {f"champ_{chr(97 + n % 26)}{chr(97 + n // 26)}": drawn.uniform(0.03, 0.1) for n in range(30)}
    told = []
    for _ in range(1_000):
        told += watch.see({"id": 1, "nom": "x"} | {name: "x" for name, part in names.items() if drawn.random() < part})

    assert len(told) <= 5
    assert {one.change for one in told} <= {"new"}


def test_people_as_keys_are_never_kept_nor_told() -> None:
    """One person in each answer, by the name alone, with a member beside that is always there."""
    watch = Watch()
    surnames = [f"{a}{b}ier" for a in ("dur", "mart", "pet", "gir", "rou") for b in ("and", "in", "on", "el", "ot")]
    for name in surnames:
        assert watch.see({"personnes": {name: {"age": 3, "ville": "x"}}, "total": 1}) == []

    assert watch.see({"personnes": {"lefevre": {"age": 3, "ville": "y"}}, "total": 1}, times=5) == []
    assert "/personnes/{}/age" in watch.names()
    assert not any(name in watch.names() for name in [*surnames, "lefevre"])


def test_counts_by_name_are_never_kept_nor_told() -> None:
    watch = Watch()
    for number in range(60):
        name = "".join(chr(97 + int(digit)) for digit in str(number)) + "x"
        assert watch.see({"par_agent": {name: number, f"{name}y": number}}) == []

    assert "/par_agent/{}" in watch.names()
    assert set(watch.known.places) == {"", "/par_agent", "/par_agent/{}"}


def test_a_record_with_many_optional_members_is_no_map() -> None:
    watch = Watch()
    names = [f"champ_{chr(97 + n)}" for n in range(26)]
    for turn in range(60):
        watch.see({"id": 1} | {name: "x" for at, name in enumerate(names) if (turn + at) % 4 == 0})

    assert all(f"/{name}" in watch.known.places for name in names)
    assert watch.known.maps == set()


def test_a_new_column_and_a_missing_one_are_told_by_one_file() -> None:
    watch = Watch(COLUMNS)
    assert watch.see({"Nom": "", "Date de naissance": ""}) == []

    assert watch.see({"Nom": "", "Courriel": ""}) == [
        Change("new", "/Courriel", now="string"), Change("missing", "/Date de naissance", was="string")
    ]  # fmt: skip
    assert watch.see({"Nom": "", "Courriel": ""}) == []


def test_an_element_once_or_twice_or_empty_is_the_same() -> None:
    watch = Watch(XML)
    one: Sequence[Any] = [{"nom": [""]}]
    assert watch.see({"agent": one}, {"agent": [{"nom": [""]}, {"nom": [None]}]}, {"agent": [None]}, times=20) == []

    assert watch.see({"agent": [{"nom": [""], "grade": [""]}]}) == [Change("new", "/agent/grade", now="string")]


def test_an_operation_holds_no_more_places_than_it_may() -> None:
    watch = Watch()
    for part in range(40):
        watch.see({f"{chr(97 + part % 26)}{chr(97 + part // 26)}_{chr(97 + n)}{chr(97 + m)}": 1
                   for n in range(10) for m in range(10)}, times=4)  # fmt: skip

    assert len(watch.known.places) + len(watch.known.pending) <= 2_000
