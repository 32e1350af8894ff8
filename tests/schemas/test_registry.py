"""The shared schemas: each says what it should, the registry refuses the rest, both validators agree."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from schemas.checks import FORMATS
from schemas.errors import InvalidMessage
from schemas.event import MAX_EVENT_BYTES, Event
from schemas.registry import Registry
from schemas.validators import LIST, NAMED, ONE, check_schema, opened

REGISTRY = Registry.load()
SET = REGISTRY.schema_set
URIS = sorted(SET.schemas)


def example(event_type: str, index: int = 0) -> dict[str, Any]:
    return copy.deepcopy(REGISTRY.schema(event_type)["examples"][index])


def event(event_type: str, data: Any, version: int = 1) -> Event:
    return Event(type=event_type, source="/valbruyere/publik", data=data, version=version)


def verdict(event_type: str, data: Any, version: int = 1) -> InvalidMessage | None:
    try:
        REGISTRY.validate(event(event_type, data, version))
    except InvalidMessage as fault:
        return fault
    return None


def refusal(event_type: str, data: Any, version: int = 1) -> InvalidMessage:
    fault = verdict(event_type, data, version)
    assert fault is not None
    return fault


INVISIBLE = {
    "zero width space": "\u200b", "zero width joiner": "\u200d", "soft hyphen": "\u00ad", "byte order mark": "\ufeff",
    "right to left": "\u202e", "no-break space": "\u00a0", "thin space": "\u2009", "line separator": "\u2028",
    "next line": "\u0085", "control of windows-1252": "\u0092", "filler": "\u3164", "blank of braille": "\u2800",
    "variation selector": "\ufe0f", "tag": "\U000e0041",
}  # fmt: skip


# cpython#122476, flask-mail#28
@pytest.mark.parametrize("character", INVISIBLE.values(), ids=INVISIBLE)
@pytest.mark.parametrize(
    "address", ["{}maelle@b.example", "ma{}elle@b.example", "maelle@b.ex{}ample", "maelle@b.example{}"]
)
def test_an_address_with_what_cannot_be_seen_is_refused(address: str, character: str) -> None:
    email = address.format(character)
    changed = example("citizen.contact-changed") | {
        "email": {"value": email, "source": "publik", "date": "2026-03-02", "quality": "declared"}
    }
    message = example("message.requested")
    message["to"]["email"] = email

    for kind, data, pointer in (
        ("citizen.contact-changed", changed, "/data/email/value"), ("message.requested", message, "/data/to/email"),
    ):  # fmt: skip
        fault = refusal(kind, data)
        assert (fault.code, fault.pointer) == ("schema_violation", pointer)
        assert not SET.reference_accepts(f"urn:unefois:{kind}:v1", data)


@pytest.mark.parametrize(
    "email", ["élodie@b.example", "e\u0301lodie@b.example", "a@café.example", "山田@例え.example", "a+b@c.example"]
)
def test_an_address_in_letters_of_the_world_is_taken(email: str) -> None:
    message = example("message.requested")
    message["to"]["email"] = email

    assert verdict("message.requested", message) is None


def test_a_check_beside_a_released_schema_leaves_its_text_alone() -> None:
    published = REGISTRY.bundled("events/message.requested.v1.json")["$defs"]

    assert all("format" not in definition for name, definition in published.items() if "email" in name)
    assert (
        SET.fault("urn:unefois:record:email:v1", "ma\u200belle@b.example").sentence
        == "must hold no invisible character"
    )


# -- what the schemas are


@pytest.mark.parametrize("uri", URIS)
def test_each_schema_is_documented_and_sound(uri: str) -> None:
    schema = SET.schemas[uri]

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert check_schema(schema) is None
    assert schema["title"]
    assert schema["description"]
    assert len(schema["examples"]) >= 2


@pytest.mark.parametrize("uri", URIS)
def test_every_example_of_every_schema_is_valid(uri: str) -> None:
    for document in SET.schemas[uri]["examples"]:
        assert SET.accepts(uri, document)
        assert SET.reference_accepts(uri, document)


@pytest.mark.parametrize("uri", [uri for uri in URIS if "properties" in SET.schemas[uri]])
def test_each_record_refuses_a_property_that_it_does_not_know(uri: str) -> None:
    document = {**SET.schemas[uri]["examples"][0], "shoe_size": 42}

    assert not SET.accepts(uri, document)
    assert not SET.reference_accepts(uri, document)
    assert SET.fault(uri, document).pointer == "/shoe_size"
    assert SET.open().accepts(uri, document)


def every_part(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield path, schema
        for keyword, value in schema.items():
            if keyword in ONE:
                yield from every_part(value, f"{path}/{keyword}")
            elif keyword in LIST | NAMED:
                parts = value.items() if keyword in NAMED else enumerate(value)
                for name, part in parts:
                    yield from every_part(part, f"{path}/{keyword}/{name}")


@pytest.mark.parametrize("uri", URIS)
def test_every_part_of_a_schema_is_bounded_and_closed(uri: str) -> None:
    for path, part in every_part(SET.schemas[uri]):
        if part.get("type") == "string":
            assert "maxLength" in part, path
        if part.get("type") == "array":
            assert "maxItems" in part, path
        if part.get("type") == "object" and not path.endswith(("/form", "/parameters")):
            assert part.get("unevaluatedProperties") is False, path


@pytest.mark.parametrize("event_type", REGISTRY.types())
def test_each_type_says_how_it_is_ordered(event_type: str) -> None:
    expected = {"request": "request", "citizen": "citizen"}.get(event_type.split(".")[0], "subject")

    assert REGISTRY.order_of(event_type) == expected
    assert REGISTRY.supersedes(event_type) is False
    assert REGISTRY.category(event_type)


@pytest.mark.parametrize("event_type", REGISTRY.types())
def test_every_example_fits_an_event(event_type: str) -> None:
    for document in REGISTRY.schema(event_type)["examples"]:
        REGISTRY.validate(event(event_type, document))
        assert len(event(event_type, document).encode()) < MAX_EVENT_BYTES


# -- what is refused


def cut(document: Any, *path: Any) -> None:
    for step in path[:-1]:
        document = document[step]
    del document[path[-1]]


def put(document: Any, *path: Any) -> None:
    *steps, name, value = path
    for step in steps:
        document = document[step]
    document[name] = value


REFUSED: list[tuple[str, str, Callable[[Any], None], str, str]] = [
    ("a missing property", "request.received", lambda d: cut(d, "request", "procedure"), "/request/procedure",
     "required"),
    ("an unknown channel", "request.received", lambda d: put(d, "request", "intake", "fax"), "/request/intake", "enum"),
    ("an unknown property", "request.received", lambda d: put(d, "request", "hue", 1), "/request/hue",
     "unevaluatedProperties"),
    ("no reference", "request.received", lambda d: put(d, "request", "references", []), "/request/references",
     "minItems"),
    ("two persons in one", "request.received",
     lambda d: put(d, "request", "requester", "organisation", {"name": "x"}), "/request/requester", "oneOf"),
    ("nobody", "request.received", lambda d: put(d, "request", "requester", {}), "/request/requester", "oneOf"),
    ("a citizen without a name", "request.received", lambda d: put(d, "request", "requester", "citizen", {}),
     "/request/requester/citizen", "anyOf"),
    ("a SIRET with a wrong key", "request.received",
     lambda d: put(d, "request", "requester", {"organisation": {"name": "x", "siret": "99999000500013"}}),
     "/request/requester/organisation/siret", "format"),
    ("a day that is not", "request.received", lambda d: put(d, "request", "submitted_at", "2026-02-30T00:00:00Z"),
     "/request/submitted_at", "format"),
    ("a birthdate of 30 February", "request.received",
     lambda d: put(d, "request", "beneficiaries", 0, "identity", "birthdate", "1962-02-30"),
     "/request/beneficiaries/0/identity/birthdate", "format"),
    ("a form that is a list", "request.received", lambda d: put(d, "request", "form", []), "/request/form", "type"),
    ("a path for a file name", "request.received",
     lambda d: put(d, "request", "documents", 0, "name", "../../etc/passwd"), "/request/documents/0/name", "pattern"),
    ("a digest in capitals", "request.received",
     lambda d: put(d, "request", "documents", 0, "sha256", "A" * 64), "/request/documents/0/sha256", "pattern"),
    ("a negative size", "request.received", lambda d: put(d, "request", "documents", 0, "size", -1),
     "/request/documents/0/size", "minimum"),
    ("a status of another word", "request.status-changed", lambda d: put(d, "status", "done"), "/status", "anyOf"),
    ("no native status", "request.status-changed", lambda d: cut(d, "native"), "/native", "required"),
    ("a link to nothing", "request.status-changed", lambda d: put(d, "request", {}), "/request", "anyOf"),
    ("a value without quality", "citizen.address-changed", lambda d: cut(d, "new_address", "quality"),
     "/new_address/quality", "required"),
    ("a value that is no address", "citizen.address-changed", lambda d: put(d, "new_address", "value", "here"),
     "/new_address/value", "type"),
    ("an INSEE code that is a number", "citizen.address-changed",
     lambda d: put(d, "new_address", "value", "insee_code", 38999), "/new_address/value/insee_code", "type"),
    ("an INSEE code of no department", "citizen.address-changed",
     lambda d: put(d, "new_address", "value", "insee_code", "2C004"), "/new_address/value/insee_code", "pattern"),
    ("a line end after the code", "citizen.address-changed",
     lambda d: put(d, "new_address", "value", "ban_key", "38999_0420\n"), "/new_address/value/ban_key", "pattern"),
    ("a line end in a name", "citizen.address-changed",
     lambda d: put(d, "citizen", "identity", "family_name", "a\nb"), "/citizen/identity/family_name", "pattern"),
    ("nothing that changed", "citizen.contact-changed", lambda d: cut(d, "email"), "", "anyOf"),
    ("an e-mail address without domain", "citizen.contact-changed",
     lambda d: put(d, "email", "value", "maelle@courriel"), "/email/value", "pattern"),
    ("two e-mail addresses", "citizen.contact-changed",
     lambda d: put(d, "email", "value", "a@b.example,c@d.example"), "/email/value", "pattern"),
    ("a header in the subject", "message.requested", lambda d: put(d, "subject", "x\r\nBcc: y"), "/subject", "pattern"),
    ("an endless text", "message.requested", lambda d: put(d, "text", "x" * 20001), "/text", "maxLength"),
    ("no kind", "document.received", lambda d: cut(d, "kind"), "/kind", "required"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("event_type", "spoil", "pointer", "rule"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_spoiled_event_is_refused_with_its_pointer_and_rule(
    event_type: str, spoil: Callable[[Any], None], pointer: str, rule: str
) -> None:
    data = example(event_type)
    spoil(data)

    fault = refusal(event_type, data)

    assert (fault.pointer, fault.rule, fault.code) == (f"/data{pointer}", rule, "schema_violation")


def test_a_refusal_never_repeats_what_was_sent() -> None:
    def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        if isinstance(value, dict | list):
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                yield from leaves(inner, (*path, key))
        else:
            yield path

    secret = "Zénobie Quatremère 0601020304"
    for event_type in REGISTRY.types():
        for path in leaves(example(event_type)):
            for wrong in (secret + "\n", secret * 5000, [secret], {secret: secret}):
                data = example(event_type)
                put(data, *path, wrong)
                fault = verdict(event_type, data)
                if fault is not None:
                    assert "Zénobie" not in f"{fault} {fault.pointer} {fault.rule} {fault.__context__}", path


def test_an_unknown_name_is_shown_only_when_it_looks_like_one() -> None:
    data = example("request.received")
    data["request"]["Zénobie Quatremère"] = True

    assert refusal("request.received", data).pointer == "/data/request"


@pytest.mark.parametrize(
    ("event_type", "version", "code", "pointer"),
    [
        ("request.exploded", 1, "unknown_type", "/type"),
        ("request.received", 3, "unknown_schema", "/dataschema"),
    ],
)
def test_an_unknown_type_or_version_is_refused(event_type: str, version: int, code: str, pointer: str) -> None:
    fault = refusal(event_type, {}, version)

    assert (fault.code, fault.pointer) == (code, pointer)
    assert not REGISTRY.known(event_type, version)


def test_asking_how_to_order_an_unknown_type_is_refused() -> None:
    with pytest.raises(InvalidMessage):
        REGISTRY.order_of("request.exploded")
    assert REGISTRY.versions("request.exploded") == ()


def nested(depth: int) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for _ in range(depth):
        body = {"a": body}
    return body


def test_what_is_accepted_can_always_be_written_again() -> None:
    data = example("request.received")
    accepted = 0
    for depth in range(200, 300):
        data["request"]["form"] = nested(depth)
        fault = verdict("request.received", data)
        if fault is None:
            accepted += 1
            assert json.loads(event("request.received", {"view": data}).encode())
        else:
            assert fault.code == "not_json"
    assert 0 < accepted < 100


@pytest.mark.parametrize("form", [{"a": "\ud800"}, {"a": object()}, {1: "a"}, {"a": 2**70}, {"a": b"x"}])
def test_data_that_is_no_json_is_refused(form: Any) -> None:
    data = example("request.received")
    data["request"]["form"] = form

    assert refusal("request.received", data).code == "not_json"


def test_read_only_data_is_validated_like_any_other() -> None:
    data = example("request.received")

    REGISTRY.validate(event("request.received", MappingProxyType({"request": MappingProxyType(data["request"])})))
    fault = refusal("request.received", MappingProxyType({"request": MappingProxyType({})}))
    assert fault.code == "schema_violation"


# -- formats


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("siret", ["99999000500012", "35600000000048", "35600000012346", "35600000000006"],
         ["99999000500013", "35600000000002", "9999900050001",
          "999990005000120", "9999900050001x", "٩9999000500012", ""]),
        ("date", ["2024-02-29", "1900-12-31"], ["2023-02-29", "2024-2-29", "20240229", "2024-W01-1", "2024-13-01", ""]),
        ("partial-date", ["1962", "1962-03", "1962-03-09"],
         ["62", "1962-13", "1962-02-30", "1962-", "1962-03-09-01", "0000"]),
        ("date-time", ["2026-03-02T09:14:05Z", "2026-03-02T09:14:05.123456789+01:00"],
         ["2026-03-02T09:14:05", "2026-03-02 09:14:05Z", "2026-03-02T24:00:00Z", "2026-03-02T09:14:60Z",
          "2026-03-02T09:14:05+0100", "2026-02-30T09:14:05Z", "20260302T091405Z"]),
    ],
)  # fmt: skip
def test_formats_know_the_calendar_and_the_keys(name: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not FORMATS[name](text)] == []
    assert [text for text in bad if FORMATS[name](text)] == []


# -- one verdict


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["", "\n", "a\n", "0", "٣", "1962", "2026-02-30", "x" * 400, "99999000500012", "FR", "12\n"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from places(inner)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, Any]:
    """A shared schema and a document made from one of its examples by a few changes, or by none."""
    uri = draw(st.sampled_from(URIS))
    box = [copy.deepcopy(draw(st.sampled_from(SET.schemas[uri]["examples"])))]
    for _ in range(draw(st.integers(0, 3))):
        holder, key = draw(st.sampled_from(list(places(box))))
        change = draw(st.sampled_from(["replace", "drop", "edit", "add", "other"]))
        if change == "replace":
            holder[key] = draw(values)
        elif change == "drop" and holder is not box:
            del holder[key]
        elif change == "edit" and isinstance(holder[key], str):
            at = draw(st.integers(0, len(holder[key])))
            holder[key] = (
                holder[key][:at] + draw(st.sampled_from(["\n", "9", "é", "/", "@", " ", "٣"])) + holder[key][at:]
            )
        elif change == "add" and isinstance(holder[key], dict):
            holder[key][draw(st.sampled_from(["x", "citizen", "organisation", "value", "id", "city", "a b"]))] = draw(
                values
            )
        elif change == "other":
            other = SET.schemas[draw(st.sampled_from(URIS))]["examples"]
            holder[key] = copy.deepcopy(draw(st.sampled_from(other)))
    return uri, box[0]


@settings(max_examples=600, deadline=None)
@given(documents())
def test_both_validators_give_the_same_verdict(made: tuple[str, Any]) -> None:
    uri, document = made

    assert SET.accepts(uri, document) == SET.reference_accepts(uri, document)


def test_both_validators_refuse_a_last_line_end_in_a_record_of_a_record() -> None:
    data = example("citizen.address-changed")
    data["citizen"]["identity"]["given_names"] = ["Maëlle\n"]

    assert not SET.accepts("urn:unefois:citizen.address-changed:v1", data)
    assert not SET.reference_accepts("urn:unefois:citizen.address-changed:v1", data)


# -- the faces that are served


@pytest.mark.parametrize("name", REGISTRY.names())
def test_a_served_schema_stands_alone(name: str) -> None:
    served = json.loads(json.dumps(REGISTRY.bundled(name)))

    assert check_schema(served) is None
    assert "urn:unefois" not in json.dumps({k: v for k, v in served.items() if k != "$id"})
    alone = Draft202012Validator(served)
    for document in served["examples"]:
        assert alone.is_valid(document)
    if "properties" in served:
        assert not alone.is_valid({**served["examples"][0], "shoe_size": 42})


def test_the_readers_face_ignores_what_it_does_not_know() -> None:
    data = example("citizen.address-changed")
    data["recipient"] = {"system": "koha", "reference": "0012345"}
    data["new_address"]["value"]["floor"] = 3
    reader = Draft202012Validator(opened(REGISTRY.bundled("events/citizen.address-changed.v1.json")))

    assert reader.is_valid(data)
    del data["new_address"]["quality"]
    assert not reader.is_valid(data)
    assert "unevaluatedProperties" not in json.dumps(opened(REGISTRY.bundled("events/request.received.v1.json")))


def test_an_unknown_schema_cannot_be_served() -> None:
    with pytest.raises(KeyError):
        REGISTRY.bundled("events/request.exploded.v1.json")
    with pytest.raises(KeyError):
        REGISTRY.bundled("../pyproject.toml")


def test_the_listing_has_one_line_for_each_version() -> None:
    lines = REGISTRY.listing()

    assert [(line["type"], line["version"]) for line in lines] == [
        (event_type, version) for event_type in REGISTRY.types() for version in REGISTRY.versions(event_type)
    ]
    assert lines[0]["path"] == "/schemas/events/appointment.changed.v1.json"
    assert json.dumps(lines)


# -- loading


def folder_with(tmp_path: Path, name: str, schema: Any) -> Path:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "schema", "says"),
    [
        ("events/a.v1.json", "{", "not JSON"),
        ("events/a.v1.json", {"$id": "urn:unefois:b:v1"}, "must be urn:unefois:a:v1"),
        ("events/a.json", {"$id": "urn:unefois:a:v1"}, "must be events/"),
        ("records/a.v1.json", {"$id": "urn:unefois:record:a:v1", "$ref": "urn:unefois:record:b:v1"}, "leads nowhere"),
    ],
)
def test_a_faulty_folder_is_refused_with_the_name_of_the_file(
    tmp_path: Path, name: str, schema: Any, says: str
) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        Registry.load(folder_with(tmp_path, name, schema))

    assert name in str(caught.value)


def test_the_door_is_fast_enough_for_a_batch() -> None:
    data = example("request.received")
    data["request"]["form"] = {f"question_{n}": "une réponse" for n in range(8)}
    one = event("request.received", data)
    assert 1100 < len(one.encode()) < 1500
    REGISTRY.validate(one)

    best = min(_seconds(lambda: REGISTRY.validate(one), 2000) for _ in range(5))

    assert 2000 / best > 20_000


def test_loading_is_quick_enough_for_a_command() -> None:
    assert min(_seconds(Registry.load, 1) for _ in range(3)) < 0.15


def _seconds(work: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return time.perf_counter() - start


def test_a_refusal_stands_when_only_the_fast_validator_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "urn:unefois:record:email:v1"
    monkeypatch.setattr(SET, "_reference", lambda *_: Draft202012Validator({}))

    fault = SET.fault(uri, "nobody")

    assert (fault.pointer, fault.rule) == ("", "schema")
    assert "nobody" not in fault.sentence
