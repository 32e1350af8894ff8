"""What `unefois check` says of the tables of the kind `rest`, beyond what their schema can."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from connectors.sdk.kinds.auth import auth_faults
from connectors.sdk.kinds.checks import facts_known, secrets_known, unknown_names
from connectors.sdk.kinds.facts import DELIVERY_FACTS
from connectors.sdk.kinds.follow import FOLLOW_FACTS
from connectors.sdk.kinds.look_ups import look_up_faults
from connectors.sdk.kinds.paging import paging_faults
from connectors.sdk.kinds.signatures import signature_faults
from connectors.sdk.kinds.texts import texts_of
from schemas.manifest import seconds_of

Found = Iterator[tuple[str, str]]
POLL_FACTS = ("since", "rank")
"""What placeholders of `[poll]` may name beside: from when on, and behind which number, the list is asked for."""


def rest_faults(raw: Mapping[str, Any]) -> Found:
    """Every fault of its own tables."""
    http, known, secret = raw["http"], facts_known(raw), secrets_known(raw)
    yield from _unknown("http", {name: http[name] for name in ("base", "probe", "query") if name in http}, known)
    inner = {name: http[name] for name in ("auth", "headers") if name in http}
    yield from _unknown("http", inner, known | secret)
    yield from _duration("http.timeout", http.get("timeout", 1), raw)
    if "auth" in http:
        yield from (
            (f"http.auth.{key}", message) for key, message in auth_faults(http["auth"], raw.get("settings", {}))
        )
    yield from _delivered(raw)
    yield from _pushed(raw, known, secret)
    yield from _polled(raw, known)
    yield from _unknown("people", _asked(raw.get("people", {})), known)
    yield from _unknown("state", _asked(raw.get("state", {})), {*known, *DELIVERY_FACTS[:1]})
    if not raw.get("state", {}).get("call", "GET ").startswith("GET "):
        yield "state.call", "is a GET: it changes nothing"
    yield from _answered(raw, known)
    for number, spec in enumerate(raw.get("follow", ())):
        yield from _unknown(f"follow[{number}]", _asked(spec), {*known, FOLLOW_FACTS[0]})


def _asked(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {name: spec[name] for name in ("call", "query") if name in spec}


def undone_faults(raw: Mapping[str, Any]) -> Found:
    """What no code of its own does, and the tables do not say either."""
    poll, webhook = raw.get("poll", {}), raw.get("webhook", {"signature": {}, "event": ()})
    if "probe" not in raw["http"]:
        yield "http.probe", "missing: the call that tells whether the package answers"
    yield from ((f"webhook.{key}", "missing") for key in ("signature", "event") if key not in webhook)
    if "every" in poll:
        yield from ((f"poll.{key}", "missing") for key in ("call", "event") if key not in poll)
    if "people" in raw:
        yield from ((f"people.{key}", "missing") for key in ("call", "map") if key not in raw["people"])
    if "state" in raw:
        yield from ((f"state.{key}", "missing") for key in ("call", "event") if key not in raw["state"])
    for number, spec in enumerate(raw.get("deliver", ())):
        if "call" not in spec:
            yield f"deliver[{number}].call", "missing: which call says it"
    for number, spec in enumerate(raw.get("answer", ())):
        if "call" not in spec:
            yield f"answer[{number}].call", "missing: which call answers"


def _delivered(raw: Mapping[str, Any]) -> Found:
    for number, spec in enumerate(raw.get("deliver", ())):
        yield from ((f"deliver[{number}].{key}", message) for key, message in look_up_faults(spec))
        if len([name for name in ("form", "body", "map") if name in spec]) > 1:
            yield f"deliver[{number}]", "one of form, body and map says what is sent"


def _pushed(raw: Mapping[str, Any], known: Collection[str], secret: Collection[str]) -> Found:
    signature = raw.get("webhook", {}).get("signature")
    if signature is None:
        return
    yield from ((f"webhook.signature.{key}", message) for key, message in signature_faults(signature))
    if "secret" in signature and signature["secret"] not in secret:
        yield "webhook.signature.secret", f'no secret setting "{signature["secret"]}"'
    if "public_key" in signature and signature["public_key"] not in known:
        yield "webhook.signature.public_key", f'no setting "{signature["public_key"]}"'
    shown = {name: signature[name] for name in ("user", "issuer", "audience") if name in signature}
    yield from _unknown("webhook.signature", shown, known)


def _polled(raw: Mapping[str, Any], known: Collection[str]) -> Found:
    poll = raw.get("poll", {})
    if "call" not in poll:
        return
    yield from _unknown("poll", _asked(poll), {*known, *POLL_FACTS})
    yield from ((f"poll.paging.{key}", message) for key, message in paging_faults(poll.get("paging", {})))
    cursor = poll.get("cursor", {})
    if cursor.get("kind") == "since" and "id" not in cursor:
        yield "poll.cursor.id", "missing: what names a record"
    if "catch_up" in poll and cursor.get("kind") != "since":
        yield "poll.catch_up", "is for a cursor of the kind since"
    yield from _duration("poll.catch_up", poll.get("catch_up", 0), raw)


def _answered(raw: Mapping[str, Any], known: Collection[str]) -> Found:
    for number, spec in enumerate(raw.get("answer", ())):
        if "call" in spec and "map" not in spec:
            yield f"answer[{number}].map", "missing: what makes the fields of the evidence"
        yield from _unknown(f"answer[{number}]", _asked(spec), {*known, *DELIVERY_FACTS[:1]})


def _unknown(place: str, tables: Mapping[str, Any], known: Collection[str]) -> Found:
    for name, value in tables.items():
        for text in texts_of(value):
            yield from ((f"{place}.{name}", message) for message in unknown_names(text, known))


def _duration(key: str, said: object, raw: Mapping[str, Any]) -> Found:
    if isinstance(said, str) and said in raw.get("settings", {}):
        return
    try:
        seconds_of(said)
    except ValueError as error:
        yield key, f"{error}, nor the name of a setting"
