"""`look_up` of a `[[deliver]]` over HTTP: whether an earlier attempt had its effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from connectors.sdk.http import SUCCESS, HttpAnswer, lost_answer
from connectors.sdk.kinds.calls import UNREAD, value_at
from connectors.sdk.kinds.declared import Message
from connectors.sdk.kinds.texts import Only, rendering
from connectors.sdk.mapping.places import WHOLE
from schemas.errors import InvalidMessage

Ask = Callable[..., HttpAnswer]


def found_reference(message: Message, ask: Ask) -> str | None:
    """The identifier of what an earlier attempt made; None when the package surely has none. What its answer holds is
    compared with `only` here, whatever the package makes of the query. `ask`: `HttpConnector.call`. Raises TryLater for
    an answer that does not say."""
    spec = message.spec["look_up"]
    params = {name: _filled(text, message) for name, text in spec.get("query", {}).items()}
    answer = ask(
        spec["call"], record=message.data, facts=message.facts, params=params, expect=(*SUCCESS, 404), safe=True
    )  # fmt: skip
    if answer.status == 404:
        return None
    only = Only({place: _filled(text, message) for place, text in spec["only"].items()})
    for record in records_of(spec, answer):
        try:
            ours = only.fits(record)
        except InvalidMessage:
            continue  # another's, of another form
        if ours:
            return _reference(spec, record, answer)
    return None


def records_of(spec: Mapping[str, Any], answer: HttpAnswer) -> list[Any]:
    """The one record that an answer to a harmless call is, or the list that it holds where the table says so. Raises
    TryLater for an answer that holds none."""
    body = answer.json()
    if "list" not in spec:
        return [body]
    found = body if spec["list"] == WHOLE else value_at(body, spec["list"])
    if not isinstance(found, list):
        detail = f"{answer.host}: a list was due at {spec['list']}"
        raise lost_answer(f"{answer.service} {UNREAD}", True, detail=detail, fault="away.not-json")
    return found


def look_up_faults(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and message of a `look_up` that is not asked, or is missing."""
    if "look_up" in spec and spec.get("again") != "look-up":
        yield "look_up", 'is not asked: again is not "look-up"'


def _reference(spec: Mapping[str, Any], record: Any, answer: HttpAnswer) -> str:
    found = value_at(record, spec["reference"])
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        detail = f"{answer.host}: no identifier at {spec['reference']}"
        raise lost_answer(f"{answer.service} {UNREAD}", True, detail=detail, fault="away.not-json")
    return str(found)


def _filled(text: Any, message: Message) -> str:
    made = rendering(str(text), message.facts)(message.data, message.facts)
    return "" if made is None else made
