"""The event: one CloudEvents 1.0.2 message, immutable, and its wire forms."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import orjson

from schemas.errors import InvalidMessage
from schemas.json_text import parse_json
from schemas.times import one_form

MAX_EVENT_BYTES = 64 * 1024  # CloudEvents 1.0.2, "Size Limits"
MAX_BATCH = 500
MAX_BATCH_BYTES = 8 * 1024 * 1024
_MAX_VALUES = 500_000  # in one batch; a parsed value takes many times the bytes that wrote it
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

_ATTRIBUTE = re.compile(r"^[a-z0-9]{1,40}$")
_CORE = ("specversion", "id", "source", "type", "subject", "time", "dataschema", "datacontenttype")
_NAMED = frozenset((*_CORE, "data"))
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # CloudEvents 1.0.2, "String"
_URI_REFERENCE = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
# Whoever resolves such a path (RFC 3986 §5.2.4) reads another source than the one whose beginning was checked.
_DOT_SEGMENT = re.compile(r"(?:^|/|%2f)(?:\.|%2e){1,2}(?:/|%2f|[?#]|$)", re.IGNORECASE)
_MAX_TEXT = 512
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Event:
    """One CloudEvent. `source` + `id` name it for ever: a resend keeps both.

    `data` is a JSON object valid under the schema of `type` and `version`; personal data lives only there,
    never in an attribute. `time` is kept in UTC. `extensions` are lower-case CloudEvents extension attributes.
    """

    type: str
    source: str
    data: Mapping[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    subject: str | None = None
    time: str | None = None
    version: int = 1
    extensions: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)

    @property
    def dataschema(self) -> str:
        return f"urn:unefois:{self.type}:v{self.version}"

    def with_data(self, data: Mapping[str, Any]) -> Event:
        return replace(self, data=data)

    def to_dict(self) -> dict[str, Any]:
        """The structured JSON form."""
        body: dict[str, Any] = {"specversion": "1.0", "id": self.id, "source": self.source, "type": self.type}
        if self.subject is not None:
            body["subject"] = self.subject
        if self.time is not None:
            body["time"] = self.time
        body["dataschema"] = self.dataschema
        body["datacontenttype"] = "application/json"
        body.update(self.extensions)
        body["data"] = self.data
        return body

    def encode(self) -> bytes:
        return orjson.dumps(self.to_dict(), default=dict)

    @staticmethod
    def from_dict(body: object) -> Event:
        """Read the structured JSON form. Raises InvalidMessage with the pointer of the first fault."""
        if not isinstance(body, Mapping):
            raise InvalidMessage("an event is a JSON object", code="not_an_event")
        if body.get("specversion") != "1.0":
            raise InvalidMessage('specversion must be "1.0"', pointer="/specversion", code="not_an_event")
        for name in ("id", "source", "type"):
            _text_attribute(body, name, required=True)
        if not _URI_REFERENCE.fullmatch(body["source"]):
            raise InvalidMessage("source must be a URI-reference", pointer="/source", code="not_an_event")
        if _DOT_SEGMENT.search(body["source"]):
            raise InvalidMessage("source may not hold dot segments", pointer="/source", code="not_an_event")
        subject = _text_attribute(body, "subject")
        time = _text_attribute(body, "time")
        if time is not None:
            time = _time_in_one_form(time)
        if "data_base64" in body:
            raise InvalidMessage("data must be JSON, not data_base64", pointer="/data_base64", code="not_json")
        content_type = _text_attribute(body, "datacontenttype")
        if content_type is not None and not _is_json(content_type):
            raise InvalidMessage("datacontenttype must be JSON", pointer="/datacontenttype", code="not_json")
        data = body.get("data")
        if not isinstance(data, Mapping):
            raise InvalidMessage("data must be a JSON object", pointer="/data", code="not_json")
        event_type = body["type"]
        extensions = {name: value for name, value in body.items() if name not in _NAMED and value is not None}
        for name, value in extensions.items():
            _check_extension(name, value)
        return Event(
            type=event_type,
            source=body["source"],
            data=data,
            id=body["id"],
            subject=subject,
            time=time,
            version=version_of(event_type, _text_attribute(body, "dataschema")),
            extensions=MappingProxyType(extensions) if extensions else _EMPTY,
        )

    @staticmethod
    def from_batch(body: object) -> list[Event | InvalidMessage]:
        """Read the JSON batch form: one verdict per item, in order. Raises InvalidMessage when it is not an array or
        holds more than MAX_BATCH items."""
        if not isinstance(body, list):
            raise InvalidMessage("a batch is a JSON array of events", code="not_a_batch")
        if len(body) > MAX_BATCH:
            raise InvalidMessage(f"a batch holds at most {MAX_BATCH} events", code="batch_too_long")
        return [_read_item(item) for item in body]

    @staticmethod
    def from_http(headers: Mapping[str, str], body: bytes) -> Event:
        """Read the binary HTTP form: `ce-*` headers, percent-encoded, body = data. Header names in lower case."""
        attributes = {name[3:]: _from_http(name[3:], v) for name, v in headers.items() if name.startswith("ce-")}
        return _binary(attributes, headers.get("content-type"), body)


Submitted = Event | InvalidMessage
"""An item of a batch: what could not even be read keeps its place in it."""


def decode_batch(body: bytes) -> list[Submitted]:
    """Read a batch from the wire, as `Event.from_batch` does. Size and number of values are looked at before anything
    is parsed: `[{},{},…]` takes thirty times its size in memory. Raises InvalidMessage, also `too_large`."""
    if len(body) > MAX_BATCH_BYTES:
        raise InvalidMessage(f"a batch takes at most {MAX_BATCH_BYTES} bytes", code="too_large")
    # Those inside of texts are counted too: a bound that is cheap to keep, ten times what real batches hold.
    if sum(map(body.count, (b",", b"{", b"["))) > _MAX_VALUES:
        raise InvalidMessage(f"a batch holds at most {_MAX_VALUES} values", code="too_large")
    return Event.from_batch(decode_json(body))


def decode_json(body: bytes) -> Any:
    """Parse JSON or raise InvalidMessage; never echoes the text."""
    try:
        return parse_json(body)
    except orjson.JSONDecodeError as error:
        raise InvalidMessage(f"not JSON (line {error.lineno}, column {error.colno})", code="not_json") from None


def version_of(event_type: str, dataschema: str | None) -> int:
    """The schema version that a `dataschema` names. Absent means version 1, for ever."""
    if dataschema is None:
        return 1
    match = re.fullmatch(r"urn:unefois:([a-z0-9.-]+):v([1-9]\d{0,3})", dataschema)
    if match is None or match.group(1) != event_type:
        raise InvalidMessage(
            f"dataschema must be urn:unefois:{event_type}:v<number>", pointer="/dataschema", code="unknown_schema"
        )
    return int(match.group(2))


def _text_attribute(body: Mapping[str, Any], name: str, *, required: bool = False) -> str | None:
    value = body.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value or not _is_clean(value):
        raise InvalidMessage(
            f"{name} must be a non-empty text of at most {_MAX_TEXT} characters",
            pointer=f"/{name}",
            code="not_an_event",
        )
    return value


def _time_in_one_form(time: str) -> str:
    try:
        return one_form(time)
    except ValueError:
        raise InvalidMessage("time must be RFC 3339", pointer="/time", code="not_an_event") from None


def _check_extension(name: str, value: Any) -> None:
    if not _ATTRIBUTE.fullmatch(name):
        raise InvalidMessage("attribute names use a-z and 0-9 only", code="not_an_event")
    fits = _is_clean(value) if isinstance(value, str) else isinstance(value, int) and -(2**31) <= value < 2**31
    if not fits:
        raise InvalidMessage("attributes are text, whole numbers or booleans", pointer=f"/{name}", code="not_an_event")


def _is_clean(text: str) -> bool:
    return len(text) <= _MAX_TEXT and (text.isprintable() or _CONTROL.search(text) is None)


def _read_item(item: object) -> Event | InvalidMessage:
    try:
        return Event.from_dict(item)
    except InvalidMessage as fault:
        return fault


def _binary(attributes: dict[str, Any], content_type: str | None, body: bytes) -> Event:
    for name in ("data", "data_base64", "datacontenttype"):
        if name in attributes:
            raise InvalidMessage(f"{name} is no attribute of the binary form", pointer=f"/{name}", code="not_an_event")
    content_type = content_type or "application/json"
    if not _is_json(content_type):
        raise InvalidMessage("the content type must be JSON", pointer="/datacontenttype", code="not_json")
    return Event.from_dict(attributes | {"datacontenttype": content_type, "data": decode_json(body)})


def _from_http(name: str, value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    try:
        return unquote(value[1:-1] if quoted else value, errors="strict")
    except UnicodeDecodeError:
        raise InvalidMessage("the header is not UTF-8", pointer=f"/{name}", code="not_an_event") from None


def _is_json(content_type: str) -> bool:
    media = content_type.split(";")[0].strip().lower()
    return media == "application/json" or media.endswith("+json")
