"""No record, whatever it holds, is more than a refusal with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.sdk.mapping import Converters, Map, MappingTable, Row, converters_from, table_faults
from connectors.sdk.mapping.rows import COLUMNS
from schemas.errors import ConfigError, InvalidMessage
from tests.connectors.sdk.mapping.rdvsp import BOOKING, DECLARED, FACTS, PARIS, SETTINGS, booking, table, written

HOOKS = {"upside": lambda value: value[::-1], "object": lambda value: {"street": value["line"]}}
WORDS = (
    "", "text", "upper", "integer", "integer:1..9", "decimal", "cents", "cents:100..5000", "date", "date:%d/%m/%Y",
    "instant", "iso", "boolean", "setting:procedures", "intake", "birth", "months", "paid", "yes", "text,upper",
    "py:upside", "py:object",
)  # fmt: skip
MORE: dict[str, Any] = {
    "birth": {"date": ["%d/%m/%Y", "%Y"]},
    "months": {"date": "%Y-%m"},
    "paid": {"cents": "..100", "mark": "."},
    "yes": {"boolean": {"true": "O", "false": "N"}},
}
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(max_size=30), st.binary(max_size=5),
    st.sampled_from(["9" * 5000, "1e999", "\ud800", "\x00", "\u202e", "0020-01-01", "٣", "²", "-0", "NaN"]),
    st.sampled_from(["9999-12-31T23:59:59-12:00", "1000-01-01T00:00:00+14:00", "2026-02-30", "31/04/2026"]),
    st.dates(), st.datetimes(), st.times(), st.decimals(), st.just(Decimal("1e999999")), st.uuids(),
    st.datetimes(timezones=st.just(PARIS)), st.timedeltas(),
    st.dates().map(str), st.datetimes().map(str), st.dates().map(lambda day: f"{day:%d/%m/%Y}"),
)  # fmt: skip
GARBAGE = st.recursive(
    SCALARS,
    lambda inside: st.one_of(
        st.lists(inside, max_size=3),
        st.dictionaries(st.sampled_from(["a", "0", "users", "name", "line", "*", ""]), inside, max_size=3),
        st.tuples(inside), st.sets(st.integers(), max_size=2), st.just(object()),
    ),
    max_leaves=6,
)  # fmt: skip
PLACES = (
    "/a",
    "/a/0",
    "/a/users",
    "/a/*/name",
    "a/users",
    ".",
    "/a|/users",
    "/a + /users",
    "={/a}",
    "/a/*/users/*/name",
)


CONVERTERS: Converters = converters_from(
    {"iso": "instant"} | DECLARED | MORE, zone=PARIS, settings=SETTINGS, hooks=HOOKS
)
CELLS = (
    "m", "received", "/a", "/a/*", "/a/*/b", "/a/0", "a", "a b", ".", "=", "={x}", "={", "/a|/b", "/a/*/b + /c", "",
    "/", "//", "text", "py:upside", "setting:procedures", "setting:", "oui", "non", "~", "/~2", "*", "=/a", "={/a/*}",
)  # fmt: skip
SECRETS = (
    "Corvisart", "DURAND-LEPIC", "maelle@courriel.example", "0612345678", "1987-03-09", "12 rue des Tilleuls",
    "2870338999",
)  # fmt: skip


def made(source: str, word: str, *, target: str = "/x", required: bool = False) -> Map:
    return Map.of([Row("m", target, source, word, required)], converters=CONVERTERS, settings=SETTINGS)


def refusal(call: Callable[[object], object], given_to_it: object) -> InvalidMessage | None:
    """Any other error fails the test."""
    try:
        call(given_to_it)
    except InvalidMessage as fault:
        return fault
    return None


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def with_part(value: Any, path: tuple[Any, ...], part: Any) -> Any:
    if not path:
        return part
    value[path[0]] = with_part(value[path[0]], path[1:], part)
    return value


@settings(max_examples=400, deadline=None)
@given(source=st.sampled_from(PLACES), word=st.sampled_from(WORDS), record=GARBAGE, required=st.booleans())
def test_any_record_is_read_or_refused_with_its_place(source: str, word: str, record: object, required: bool) -> None:
    make = made(source, word, target="/x/*/y" if source == "/a/*/name" else "/x", required=required)

    for whole in (record, {"a": record}, {"a": [record, {"users": record, "name": record}]}):
        told = make.problems(whole)
        fault = refusal(make.read, whole)
        assert bool(told) == (fault is not None)
        if fault is not None:
            assert (fault.pointer, fault.code) == (told[0].pointer, told[0].code)
            assert re.fullmatch(r"(/[^\x00]+)*", fault.pointer)


@settings(max_examples=300, deadline=None)
@given(word=st.sampled_from([word for word in WORDS if not word.startswith("py:")]), record=GARBAGE)
def test_what_is_read_can_be_written_as_json(word: str, record: object) -> None:
    for whole in ({"a": record}, {"a": [record]}):
        if refusal((make := made("/a|/a/0", word)).read, whole) is None:
            json.dumps(make.read(whole), allow_nan=False, ensure_ascii=False).encode()


@settings(max_examples=300, deadline=None)
@given(word=st.sampled_from(WORDS), data=GARBAGE, target=st.sampled_from(["x", "x/y", "Nom d'usage"]))
def test_any_data_is_written_or_refused_with_its_place(word: str, data: object, target: str) -> None:
    for whole in (data, {"a": data}):
        fault = refusal(made("/a", word, target=target).write, whole)
        assert fault is None or re.fullmatch(r"(/a(/[^\x00]+)*)?", fault.pointer)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from([*places(BOOKING)]), garbage=GARBAGE)
def test_a_booking_with_anything_in_any_place_is_read_or_refused(tmp_path: Path, path: Any, garbage: Any) -> None:
    make = table(tmp_path)["received"]
    record = with_part(booking(), path, garbage)

    fault = refusal(lambda one: make.read(one, FACTS), record)
    assert bool(make.problems(record, FACTS)) == (fault is not None)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
def test_no_refusal_quotes_what_is_said_of_a_person(word: str, secret: str) -> None:
    for make in (made("/a", word), made("/a", word, target="x")):
        for record in ({"a": secret}, {"a": [secret]}, {"a": {"b": secret}}):
            for fault in make.problems(record):
                assert secret not in f"{fault} {fault.pointer} {fault.detail} {fault.code}"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
)
def test_any_file_is_a_table_or_a_list_of_faults(tmp_path: Path, content: bytes) -> None:
    for found in (content, ";".join(COLUMNS).encode() + b"\n" + content):
        path = written(tmp_path, found)
        assert table_faults(path, converters=CONVERTERS) or loads(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.lists(st.sampled_from(CELLS), max_size=6), max_size=5))
def test_what_check_passes_can_be_loaded_and_nothing_else(tmp_path: Path, lines: list[list[str]]) -> None:
    path = written(tmp_path, "\n".join(";".join(line) for line in [list(COLUMNS), *lines]))

    assert loads(path) == (table_faults(path, converters=CONVERTERS) == [])


def loads(path: Path) -> bool:
    try:
        maps = MappingTable.load(path, converters=CONVERTERS, settings=SETTINGS)
    except ConfigError:
        return False
    for one in maps.values():
        refusal(partial(one.read if one.incoming else one.write, facts={"x": "y"}), {"a": [{}]})
        assert isinstance(one.fields, tuple)
    return True
