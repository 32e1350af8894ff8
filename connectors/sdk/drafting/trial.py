"""Tries what was drafted against its own contract: the call that it makes, and the answers of its samples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from connectors.sdk.contract.openapi import content_of, successes
from connectors.sdk.contract_twins.answers import made_headers
from connectors.sdk.contract_twins.places import with_value
from connectors.sdk.contract_twins.values import Values
from connectors.sdk.drafting.speech import Speech
from connectors.sdk.drafting.writing import Line
from connectors.sdk.kinds.calls import address_of, form_fields
from connectors.sdk.mapping import Map, Row, converters_from
from connectors.sdk.twin import TwinAnswer, TwinCall
from schemas.errors import HubError

_PARIS = ZoneInfo("Europe/Paris")
_BRANCHES = 4
_FORM = "application/x-www-form-urlencoded"


def call_fault(
    speech: Speech, spec: Mapping[str, Any], lines: Sequence[Line], said: Mapping[str, Any], facts: Mapping[str, Any],
    converters: Mapping[str, Any],
) -> str:  # fmt: skip
    """Why the contract refuses the call that `spec` makes of `said` (an event's data, a question); "" when it takes
    it. `facts`: what placeholders name."""
    try:
        call = _call(speech, spec, lines, said, facts, converters)
    except HubError as error:
        return f"{getattr(error, 'pointer', '')} {error}".strip()
    route = speech.check.route(call.method, call.path)
    return "the contract names no such call" if route is None else speech.check.content_fault(call)


def _call(
    speech: Speech, spec: Mapping[str, Any], lines: Sequence[Line], said: Mapping[str, Any], facts: Mapping[str, Any],
    converters: Mapping[str, Any],
) -> TwinCall:  # fmt: skip
    known = converters_from(converters, zone=_PARIS)
    method, path, params = address_of(spec["call"], lambda text: str(facts[text.strip("{}")]))
    forms = {name: Map.of_form(spec[name], converters=known).write(said, facts)
             for name in ("query", "form", "headers") if name in spec}  # fmt: skip
    query = urlencode({**params, **forms.get("query", {})})
    headers = {name.lower(): str(value) for name, value in forms.get("headers", {}).items()}
    body = b""
    if "form" in forms:
        body, headers["content-type"] = urlencode(form_fields(forms["form"]), doseq=True).encode(), _FORM
    elif "map" in spec and lines:
        rows = [Row(one.map, one.target, one.source, one.convert, one.required) for one in lines if one.used]
        body = json.dumps(Map.of(rows, converters=known).write(said, facts)).encode()
        headers["content-type"] = "application/json"
    again = str(spec.get("again", ""))
    headers |= {again.removeprefix("key:").lower(): "key"} if again.startswith("key:") else {}
    plain = {name: str(value) for name, value in {**params, **forms.get("query", {})}.items()}
    return TwinCall(method, f"{speech.check.base}/{path}", plain, headers, body, query)


def answer_with(speech: Speech, name: str, wanted: Mapping[str, Any]) -> Any:
    """An answer to an operation, about nobody, with values at places; None where the contract allows none that was
    tried."""
    sampled = speech.sampled(name)
    if sampled is not None:
        return sampled
    route = next(one for one in speech.check.routes if one.name == name)
    for status in successes(route.own):
        kind, said = content_of(speech.schemas.at((route.own.get("responses") or {}).get(status)))
        for made in _made(speech, said.get("schema")) if kind and "schema" in said else ():
            for place, value in wanted.items():
                made = with_value(made, place, value)
            call = TwinCall(
                route.method.upper(), speech.check.base + route.path.replace("{", "").replace("}", ""), {}, {}, b""
            )
            number = int(status) if status.isdecimal() else 200
            headers = {**made_headers(speech.check, route, status), "Content-Type": kind}
            answer = TwinAnswer(number, json.dumps(made).encode(), headers)
            if not speech.check.answer_fault(call, answer):
                return made
    return None


def _made(speech: Speech, schema: Any) -> Iterator[Any]:
    yield Values(speech.schemas, bare=True).made(schema)
    yield Values(speech.schemas).made(schema)
    for branch in range(_BRANCHES):
        yield Values(speech.schemas.taking(branch), bare=True).made(schema)
        yield Values(speech.schemas.taking(branch)).made(schema)
