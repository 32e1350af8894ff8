"""What is wrong with a table is told at once, by its line, with the nearest right word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.mapping import Converters, Map, Row, converters_from, names_of, table_faults
from schemas.errors import InvalidMessage
from schemas.registry import Registry
from tests.connectors.sdk.mapping.rdvsp import BOOKING, PARIS, TABLE, declared, rows, written

REGISTRY = Registry.load()
APPOINTMENT = REGISTRY.schema("appointment.changed")
EVENTS = {"received": REGISTRY.schema("request.received", 2), "out": REGISTRY.schema("citizen.contact-changed")}


def faults(folder: Path, text: str | bytes, **more: Any) -> list[str]:
    found = table_faults(written(folder, text), converters=declared(), registry=REGISTRY, **more)
    return [str(fault).replace(f"{folder}/", "") for fault in found]


def test_the_table_of_the_bookings_has_no_fault(tmp_path: Path) -> None:
    known = [*names_of(BOOKING)]

    assert faults(
        tmp_path, TABLE, maps=["received"], events=EVENTS, names={"received": known}, facts=["system"],
        settings=["procedures"],
    ) == []  # fmt: skip


def test_every_fault_is_told_with_its_line_and_the_nearest_word(tmp_path: Path) -> None:
    text = rows(
        "received;/request/refrences/0/id;/data/id;text;oui",
        "received;/request/procedure;/data/motiv/id;seting:procedures;oui",
        "received;/request/procedure;/data/motif/id;setting:procedure;yes",
        "received;/request/intake;={sistem};;",
        "received;/request/requester/citizen/emial;/data/users/0/mail;txet;",
        "recieved;/request/form/x;#NOM?;;",
        "",
        "received;/request/form/y;;;",
        "received;/request/form/z;/data/id;;;x",
    )

    assert faults(
        tmp_path, text, maps=["received"], events=EVENTS, names={"received": names_of(BOOKING)}, facts=["system"],
        settings=["procedures"],
    ) == [
        'mapping.csv:2: target: /request/refrences/0/id: no member "refrences" (did you mean "references"?)',
        'mapping.csv:3: convert: no converter "seting:procedures" (did you mean "setting"?)',
        'mapping.csv:3: source: the package has no "/data/motiv/id" (did you mean "/data/motif/id"?)',
        'mapping.csv:4: convert: no setting "procedure" (did you mean "procedures"?)',
        'mapping.csv:4: required: must be "oui" or empty',
        "mapping.csv:4: target: line 3 has the same target",
        'mapping.csv:5: source: nothing is known as "sistem" (did you mean "system"?)',
        'mapping.csv:6: convert: no converter "txet" (did you mean "text"?)',
        'mapping.csv:6: source: the package has no "/data/users/0/mail" (did you mean "/data/users/*/email"?)',
        'mapping.csv:6: target: /request/requester/citizen/emial: no member "emial" (did you mean "email"?)',
        "mapping.csv:7: source: a spreadsheet has replaced this cell: write it as text",
        "mapping.csv:9: source: missing",
        "mapping.csv:10: has more cells than the first line has columns: is a ; too many in it?",
    ]  # fmt: skip


def test_both_sides_of_a_row_are_compared_with_what_is_known(tmp_path: Path) -> None:
    text = rows(
        "received;/request/requester/citizen/emial;/data/users/0/mail;;",
        "received;/request/form/free/answers;/data/users/0/email;;",
        "out;tel;/phone/valu;;",
        "out;Courriel;/email/value;;",
        "out;x;email;;",
    )

    assert faults(
        tmp_path, text, events=EVENTS, names={"received": names_of(BOOKING), "out": ["Téléphone", "Courriel", "x"]}
    ) == [
        'mapping.csv:2: source: the package has no "/data/users/0/mail" (did you mean "/data/users/*/email"?)',
        'mapping.csv:2: target: /request/requester/citizen/emial: no member "emial" (did you mean "email"?)',
        'mapping.csv:4: source: /phone/valu: no member "valu" (did you mean "value"?)',
        'mapping.csv:4: target: the package has no "tel"',
        'mapping.csv:6: source: "email" is no place of the event: it must begin with /',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["m;/a;/x;;", "m;/a;/y;;"], "3: target: line 2 has the same target"),
        (
            ["m;/a;/x;;", "m;/b;/x;;", "m;c;/y;;"],
            "4: target: the target begins with / in the other rows of the map m: a map goes one way",
        ),
        (
            ["m;/a;/x;;", "m;/a/b;/y;;"],
            "2: target: other rows lead into this target, which only a py: function may fill",
        ),
        (["m;/a/*/b;/x;;"], "2: source: no row of this list reads a list (* in its source)"),
        (["m;/a/*/b;/x/*/b;;", "m;/a/*/c;/y/*/c;;"], "2: source: the rows of one list must read one list"),
        (["m;/a/*/b;/x/*/b;;", "m;/a/0/c;/c;;"], "2: target: a list is filled by * or by positions, not by both"),
        (["m;/a;={x;;"], "2: source: a placeholder is {name}, {setting:name} or {/pointer}"),
        (["m;/a//b;/x;;"], "2: target: a step of the path has no name"),
    ],
)  # fmt: skip
def test_rows_that_cannot_stand_together_are_told(tmp_path: Path, lines: list[str], told: str) -> None:
    assert faults(tmp_path, rows(*lines)) == [f"mapping.csv:{told}"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty: the first line must be map;target;source;convert;required;about"),
        (TABLE.replace(";", ",").encode(), '1: the cells are separated by ",": they must be by ";"'),
        (TABLE.replace(";", "\t").encode(), '1: the cells are separated by tabs: they must be by ";"'),
        (TABLE.encode("utf-16"), "is UTF-16 or no text: save it as CSV UTF-8"),
        (b"map;target;source;convert;required\nm;/a;\x81;;\n", "is neither UTF-8 nor cp1252: save it as CSV UTF-8"),
        (TABLE.replace("target", "tarjet").encode(), '1: tarjet: no such column (did you mean "target"?)'),
        (rows('m;/a;"/x;;', "m;/b;/y;;").encode(), "2: a quote is opened and not closed, or stands inside a cell"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_is_told_how(tmp_path: Path, content: bytes, told: str) -> None:
    assert f"mapping.csv:{'' if told[0].isdigit() else ' '}{told}" in faults(tmp_path, content)


def test_an_open_quote_costs_its_own_line(tmp_path: Path) -> None:
    text = rows('m;/a;"/x;;', "m;/b;/y;txet;", 'm;/c;"/z";;oui')

    assert [line.split(":")[1] for line in faults(tmp_path, text)] == ["2", "3"]


def test_a_map_without_rows_and_one_that_nobody_names_are_told(tmp_path: Path) -> None:
    assert faults(tmp_path, TABLE, maps=["recieved"]) == [
        'mapping.csv: map: no row for the map "recieved", which connector.toml names (did you mean "received"?)',
        'mapping.csv:2: map: connector.toml names no map "received" (did you mean "recieved"?)',
    ]


def test_a_file_that_is_not_there_is_one_fault(tmp_path: Path) -> None:
    found = table_faults(tmp_path / "mapping.csv", converters=declared())

    assert [(fault.line, fault.message) for fault in found] == [(0, "cannot be read (No such file or directory)")]


def test_what_the_event_requires_and_no_row_fills_is_told(tmp_path: Path) -> None:
    lines = [line for line in TABLE.splitlines() if "/procedure" not in line and "given_names" not in line]
    text, identity = "\n".join(lines), "/request/requester/citizen/identity"

    assert faults(tmp_path, text, events=EVENTS, filled={}) == [
        "mapping.csv:2: target: the event requires /request/procedure, and no row fills it",
        f"mapping.csv:6: target: the event requires {identity}/given_names, and no row fills it",
    ]
    assert len(faults(tmp_path, text, events=EVENTS, filled={"received": ["/request/procedure", identity]})) == 0
    assert faults(tmp_path, TABLE, events=EVENTS, filled={}) == []


def test_a_member_that_is_like_no_other_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    text = rows("m;/appointment/place/zzz;/a;;", "m;/requester/x;/b;;", "m;/reason/x;/c;;", "m;/zzz;/d;;")

    assert faults(tmp_path, text, events={"m": APPOINTMENT}) == [
        'mapping.csv:2: target: /appointment/place/zzz: no member "zzz": name, address',
        'mapping.csv:3: target: /requester/x: no member "requester" (did you mean "request"?)',
        'mapping.csv:4: target: /reason/x: no member "x": what it would stand in has no members',
        'mapping.csv:5: target: /zzz: no member "zzz": appointment, citizen, request, reason',
    ]


def test_of_many_members_the_first_are_listed(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, rows("out;x;/citizen/address/zzz;;"), events={"out": EVENTS["out"]})
    listed = told.split('"zzz": ')[1].split(", ")

    assert len(listed) <= 13
    assert (listed[-1] == "…") == (len(listed) == 13)


def test_a_word_that_the_event_does_not_know_is_told_where_it_is_said(tmp_path: Path) -> None:
    words = "booked, cancelled, attended, missed"
    ours = converters_from({"state": {"table": {"A": "attendd", "B": "missed", "C": ""}}}, zone=PARIS)
    text = rows("m;/appointment/state;/etat;state;", "m;/appointment/mode;=x;;", "m;/appointment/subject;=x;;")
    path = written(tmp_path, text)

    said = [str(one) for one in table_faults(path, converters=ours, registry=REGISTRY, events={"m": APPOINTMENT})]
    assert [one.removeprefix(f"{path}:") for one in said] == [
        f'2: convert: /appointment/state: "attendd" is none of its words (did you mean "attended"?): {words}',
        '3: source: /appointment/mode: "x" is none of its words: on-site, phone, video, home',
    ]


def test_a_code_for_a_word_that_no_event_says_is_told_of_an_outgoing_row(tmp_path: Path) -> None:
    ours = converters_from({"state": {"table": {"A": "attendd", "B": "missed"}}}, zone=PARIS)
    path = written(tmp_path, rows("m;etat;/appointment/state;state,text;"))

    (told,) = table_faults(path, converters=ours, registry=REGISTRY, events={"m": APPOINTMENT})
    assert (told.key, told.line) == ("convert", 2)
    assert 'did you mean "attended"' in told.message


@pytest.mark.parametrize(
    ("row", "key", "told"),
    [
        ("/appointment/place;/lieu;text", "target", "/appointment/place: is an object"),
        ("lieu;/appointment/place;", "source", "/appointment/place: is an object"),
        ("/citizen/identity/given_names;/prenoms;", "target", "/citizen/identity/given_names: is a list"),
    ],
)
def test_one_value_is_no_object_and_no_list(tmp_path: Path, row: str, key: str, told: str) -> None:
    inside = ": name what stands in it: name, address" if "place" in row else ""

    assert faults(tmp_path, rows(f"m;{row};"), events={"m": APPOINTMENT}) == [
        f"mapping.csv:2: {key}: {told}, not a text or a number{inside}"
    ]


def test_a_hook_may_make_an_object(tmp_path: Path) -> None:
    ours = Converters(zone=PARIS, hooks={"place": lambda value: {"name": value}})
    path = written(tmp_path, rows("m;/appointment/place;/lieu;py:place;"))

    assert table_faults(path, converters=ours, registry=REGISTRY, events={"m": APPOINTMENT}) == []


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ({"OUI": True, "*": False}, True), ({"OUI": "O", "*": "N"}, True), ({"OUI": True, "NON": False}, False),
        ({"N": False, "*": True}, False), ({"OUI": True, "": False}, False),
    ],
)  # fmt: skip
def test_a_table_by_which_an_unknown_word_would_lose_a_mark_is_told(
    tmp_path: Path, codes: dict[str, Any], told: bool
) -> None:
    ours = converters_from({"codes": {"table": codes}, "mark": "codes,boolean"}, zone=PARIS)
    text = rows("received;/request/requester/citizen/confidential;/data/menace;mark;")
    path = written(tmp_path, text)

    found = [str(fault) for fault in table_faults(path, converters=ours, registry=REGISTRY, events=EVENTS)]

    assert any("lose the mark" in one for one in found) == told


@pytest.mark.parametrize("word", ["VRAI", "x", "yes", "O", True, "1", "Oui, je suis menacée"])
def test_a_declared_connector_reads_a_mark_by_each_word_for_yes(word: Any) -> None:
    row = Row("m", "/citizen/confidential", "/menace", "boolean")
    made = Map.of([row], converters=declared())

    assert made.read({"menace": word}) == {"citizen": {"confidential": True}}
    with pytest.raises(InvalidMessage) as refusal:
        made.read({"menace": "signalée"})
    assert (refusal.value.code, refusal.value.pointer) == ("not_a_boolean", "/menace")
