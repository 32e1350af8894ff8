"""The event and its wire forms: structured, batch, binary HTTP."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidMessage
from schemas.event import MAX_BATCH, MAX_EVENT_BYTES, Event, decode_batch, decode_json
from tests.support.binary import binary_http

BODY: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/valbruyere/publik",
    "type": "citizen.contact-changed",
    "subject": "abonnement 1042",
    "time": "2026-03-02T09:14:05.120Z",
    "dataschema": "urn:unefois:citizen.contact-changed:v1",
    "datacontenttype": "application/json",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "deprecated": True,
    "sequence": 12,
    "data": {"citizen": {"references": [{"system": "publik", "id": "abonnement-1042"}]}},
}


def changed(**changes: Any) -> dict[str, Any]:
    body = BODY | changes
    return {name: value for name, value in body.items() if value is not ...}


def test_the_structured_form_says_all_that_the_event_holds() -> None:
    event = Event.from_dict(BODY)

    assert event.to_dict() == BODY
    assert Event.from_dict(decode_json(event.encode())) == event


# wc-api-python#40
def test_a_byte_order_mark_before_an_event_is_no_part_of_it() -> None:
    mark = b"\xef\xbb\xbf"
    headers, body = binary_http(BODY)
    event = Event.from_dict(BODY)

    assert Event.from_dict(decode_json(mark + event.encode())) == event
    assert decode_batch(mark + b"[" + event.encode() + b"]") == [event]
    assert Event.from_http(headers, mark + body).data == event.data
    with pytest.raises(InvalidMessage):
        decode_json(mark)


def test_an_event_without_dataschema_is_of_version_one() -> None:
    assert Event.from_dict(changed(dataschema=...)).version == 1


def test_a_null_attribute_is_an_absent_one() -> None:
    event = Event.from_dict(changed(subject=None, time=None, dataschema=None, traceparent=None))

    assert event.subject is None
    assert "traceparent" not in event.extensions


MALFORMED = [
    ("not an object", [], "", "not_an_event"),
    ("no specversion", changed(specversion=...), "/specversion", "not_an_event"),
    ("another specversion", changed(specversion="0.3"), "/specversion", "not_an_event"),
    ("no id", changed(id=...), "/id", "not_an_event"),
    ("an empty id", changed(id=""), "/id", "not_an_event"),
    ("a number for an id", changed(id=12), "/id", "not_an_event"),
    ("an endless id", changed(id="x" * 513), "/id", "not_an_event"),
    ("an id of two lines", changed(id="a\r\nb"), "/id", "not_an_event"),
    ("no source", changed(source=...), "/source", "not_an_event"),
    ("a source that is no URI", changed(source="the town hall"), "/source", "not_an_event"),
    ("no type", changed(type=...), "/type", "not_an_event"),
    ("an empty subject", changed(subject=""), "/subject", "not_an_event"),
    ("a time without offset", changed(time="2026-03-02T09:14:05"), "/time", "not_an_event"),
    ("a day that is not", changed(time="2026-02-30T09:14:05Z"), "/time", "not_an_event"),
    ("a dataschema of another type", changed(dataschema="urn:unefois:x:v1"), "/dataschema", "unknown_schema"),
    ("a foreign dataschema", changed(dataschema="https://example.org/x"), "/dataschema", "unknown_schema"),
    ("version zero", changed(dataschema="urn:unefois:citizen.contact-changed:v0"), "/dataschema", "unknown_schema"),
    ("another content type", changed(datacontenttype="text/xml"), "/datacontenttype", "not_json"),
    ("binary data", changed(data=..., data_base64="AAAA"), "/data_base64", "not_json"),
    ("no data", changed(data=...), "/data", "not_json"),
    ("data that is a list", changed(data=[]), "/data", "not_json"),
    ("an attribute in capitals", changed(traceParent="x"), "", "not_an_event"),
    ("an attribute with an underscore", changed(trace_parent="x"), "", "not_an_event"),
    ("an attribute with a line end", changed(**{"trace\n": "x"}), "", "not_an_event"),
    ("an attribute that is an object", changed(extra={}), "/extra", "not_an_event"),
    ("an attribute that is a fraction", changed(extra=1.5), "/extra", "not_an_event"),
    ("an attribute beyond 32 bits", changed(extra=2**31), "/extra", "not_an_event"),
    ("an attribute of two lines", changed(extra="a\nb"), "/extra", "not_an_event"),
    ("an endless attribute", changed(extra="x" * 513), "/extra", "not_an_event"),
]


@pytest.mark.parametrize(("body", "pointer", "code"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_a_malformed_event_is_refused_with_its_pointer(body: Any, pointer: str, code: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        Event.from_dict(body)

    assert (refusal.value.pointer, refusal.value.code) == (pointer, code)


@pytest.mark.parametrize("body", [b"", b"{", b"[1,]", b"\xff\xfe", b'"\\ud800"', b"<xml/>", b"NaN", b"[" * 5000])
def test_what_is_not_json_is_refused_without_an_echo(body: bytes) -> None:
    with pytest.raises(InvalidMessage, match=r"^not JSON \(line \d+, column \d+\)$"):
        decode_json(body)


def test_each_item_of_a_batch_has_its_own_verdict() -> None:
    first, second, third = Event.from_batch([BODY, {"specversion": "1.0"}, changed(id="e-2")])

    assert isinstance(first, Event)
    assert isinstance(second, InvalidMessage)
    assert second.pointer == "/id"
    assert isinstance(third, Event)


@pytest.mark.parametrize(("body", "code"), [({}, "not_a_batch"), ([{}] * (MAX_BATCH + 1), "batch_too_long")])
def test_a_batch_that_is_none_is_refused_whole(body: Any, code: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        Event.from_batch(body)

    assert refusal.value.code == code


def test_the_binary_http_form_is_read_back() -> None:
    headers, body = binary_http(changed(subject='la "place" à 50 %'))

    assert headers["ce-subject"] == "la%20%22place%22%20%C3%A0%2050%20%25"
    assert headers["ce-deprecated"] == "true"
    assert headers["content-type"] == "application/json"
    assert "ce-datacontenttype" not in headers
    assert json.loads(body) == BODY["data"]
    event = Event.from_http(headers, body)
    assert event.subject == 'la "place" à 50 %'
    assert event.extensions["sequence"] == "12"  # HTTP knows text only


def test_a_quoted_http_header_is_read_without_its_quotes() -> None:
    headers, body = binary_http(BODY)

    assert Event.from_http(headers | {"ce-subject": '"a b"'}, body).subject == "a b"


@pytest.mark.parametrize(
    ("headers", "body", "pointer"),
    [
        ({"content-type": "text/xml"}, b"{}", "/datacontenttype"),
        ({"ce-data": "{}"}, b"{}", "/data"),
        ({"ce-data_base64": "AAAA"}, b"{}", "/data_base64"),
        ({"ce-datacontenttype": "application/json"}, b"{}", "/datacontenttype"),
        ({"ce-id": ""}, b"{}", "/id"),
        ({"ce-id": "%ff"}, b"{}", "/id"),
        ({}, b"", ""),
        ({}, b"[]", "/data"),
    ],
)
def test_a_malformed_binary_http_form_is_refused(headers: dict[str, str], body: bytes, pointer: str) -> None:
    good, _ = binary_http(BODY)

    with pytest.raises(InvalidMessage) as refusal:
        Event.from_http(good | headers, body)

    assert refusal.value.pointer == pointer


texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60)


@given(subject=texts, id=texts, extension=texts)
def test_any_attribute_survives_every_wire_form(subject: str, id: str, extension: str) -> None:
    event = Event.from_dict(changed(subject=subject, id=id, tracestate=extension, deprecated=..., sequence=...))

    assert Event.from_dict(decode_json(event.encode())) == event
    assert Event.from_http(*binary_http(event.to_dict())) == event


def test_an_event_cannot_be_changed_and_encodes_read_only_data() -> None:
    event = Event.from_dict(BODY)

    with pytest.raises(AttributeError):
        event.id = "other"  # type: ignore[misc]
    assert event.with_data(MappingProxyType({"citizen": MappingProxyType({})})).encode().endswith(b"}")


def test_the_size_limit_is_the_one_that_every_intermediary_must_forward() -> None:
    assert MAX_EVENT_BYTES == 65536


@pytest.mark.parametrize("said", ["2016-12-31T23:59:60Z", "2016-12-31t23:59:60z", "2017-01-01T00:59:60+01:00"])
def test_a_leap_second_is_taken_in_either_case_and_kept_in_one_form(said: str) -> None:
    event = Event.from_dict(changed(time=said))

    assert event.time == "2016-12-31T23:59:59.999999Z"
    assert Event.from_dict(event.to_dict()) == event


@pytest.mark.parametrize(
    "source", ["/town/a/../b", "/town/a/%2e%2e", "/town/a/%2E./b", "/town/./a", "/town/a/..", "../town", "/town/a/..?b",
               "/town/a%2f..%2fb", ".."],
)  # fmt: skip
def test_a_source_with_dot_segments_is_refused(source: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        Event.from_dict(changed(source=source))

    assert (refused.value.pointer, refused.value.code) == ("/source", "not_an_event")


@pytest.mark.parametrize("source", ["/town/a.b", "/town/...", "/town/.well-known/a", "/town/a..b", "urn:town:a.b"])
def test_a_dot_inside_a_segment_of_a_source_is_taken(source: str) -> None:
    assert Event.from_dict(changed(source=source)).source == source
