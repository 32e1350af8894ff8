"""The contract holds on both sides: what the connector calls and what the twin answers is allowed, and the twin takes
nothing that is not."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from connectors.conformance.acts import acts_of, staged
from connectors.conformance.examination import Examination
from connectors.conformance.garbage import evenly
from connectors.conformance.spoiling import spoilt, whole_of
from connectors.sdk.contract_twins.checking import Contracted
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall
from schemas.errors import HubError

_AT_MOST = 120  # copies of one call
_HUGE = "x" * 4000
_FORM = "application/x-www-form-urlencoded"

Heard = list[tuple[TwinCall, TwinAnswer]]
Spoilt = tuple[str, TwinCall]


def contract(exam: Examination) -> None:
    heard: dict[str, tuple[TwinCall, TwinAnswer]] = {}
    for number, _ in enumerate((None, *acts_of(exam))):
        with exam.opened() as opened:
            twin = opened.case.twin
            if not isinstance(twin, HttpTwin) or not isinstance(twin, Contracted):
                exam.fault("the manifest names a contract, and the twin is not held against it")
                return
        for call, answer in _passed(exam, number - 1):
            _both_allowed(exam, twin, call, answer)
            if answer.status < 300 and not twin.beyond_contract(call):
                heard.setdefault(twin.operation(call), (call, answer))
    for name, (call, _) in heard.items():
        _spoilt_copies(exam, name, call)


def _passed(exam: Examination, number: int) -> Heard:
    """What passes between connector and twin in one act, or in a probe before the first."""
    heard: Heard = []

    def listen(call: TwinCall, answer: TwinAnswer) -> TwinAnswer:
        heard.append((call, answer))
        return answer

    if number < 0:
        with exam.opened() as opened:
            opened.case.twin.alter = listen  # type: ignore[attr-defined]
            exam.without_error("probe", opened.connector.probe)
        return heard
    with staged(exam, acts_of(exam)[number]) as stage:
        stage.opened.case.twin.alter = listen  # type: ignore[attr-defined]
        try:
            stage.run()
            stage.rest(1)
        except HubError as error:
            exam.overhear(error)
            exam.fault(f"{stage.act.name}: raised {type(error).__name__} ({error}) while nothing was wrong")
    return heard


def _both_allowed(exam: Examination, twin: Any, call: TwinCall, answer: TwinAnswer) -> None:
    name = twin.operation(call)
    if twin.beyond_contract(call):
        return
    refused = twin.contract.request_fault(call)
    exam.expect(not refused, f"{name}: the contract refuses what the connector calls: {refused}")
    unlike = twin.contract.answer_fault(call, answer)
    exam.expect(not unlike, f"{name}: the contract does not allow what the twin answers: {unlike}")


def _spoilt_copies(exam: Examination, name: str, call: TwinCall) -> None:
    """Copies of a call that was taken, each with one thing wrong: what the contract refuses must not be taken."""
    with exam.opened() as opened:
        twin: Any = opened.case.twin
        stranger = getattr(twin, "let_in", None)
        if stranger is not None:
            stranger(call)
        for what, copied in evenly(list(_copies(call)), _AT_MOST):
            refused = twin.contract.request_fault(copied)
            if refused and _answered(twin, copied).status < 300:
                exam.fault(f"{name}: the twin takes what the contract refuses ({what}: {refused})")


def _answered(twin: Any, call: TwinCall) -> TwinAnswer:
    try:
        with twin.lock:
            answer: TwinAnswer = twin.answer(call)
            return answer
    except Exception:  # a twin that breaks takes nothing
        return TwinAnswer(500)


def _copies(call: TwinCall) -> Iterator[Spoilt]:
    yield from _other_bodies(call)
    yield from _other_queries(call)
    steps = call.path.split("/")
    for place in range(2, len(steps)):
        path = "/".join([*steps[:place], _HUGE, *steps[place + 1 :]])
        yield f"step {place} of the path as a huge text", replace(call, path=path)
    proofs = {"authorization", "cookie"} | {name for name in call.headers if "key" in name or "token" in name}
    yield "no proof", replace(call, headers={k: v for k, v in call.headers.items() if k not in proofs})
    yield "another method", replace(call, method="TRACE")


def _other_bodies(call: TwinCall) -> Iterator[Spoilt]:
    if not call.body:
        return
    yield "no body", replace(call, body=b"")
    yield "another content type", replace(call, headers={**call.headers, "content-type": "text/unknown"})
    if call.headers.get("content-type", "").startswith(_FORM):
        for what, pairs in _other_pairs(call.body.decode()):
            yield what, replace(call, body=urlencode(pairs).encode())
        return
    whole = whole_of(call.body)
    for what, made in spoilt(whole):
        yield what, replace(call, body=made())
    if whole.form == "json":
        for place, value in _without(json.loads(call.body)):
            yield f"{place} left out", replace(call, body=json.dumps(value).encode())


def _other_queries(call: TwinCall) -> Iterator[Spoilt]:
    more = ("a parameter more", [*parse_qsl(call.query_string, keep_blank_values=True), ("unefois", "x")])
    for what, pairs in (*_other_pairs(call.query_string), more):
        yield what, replace(call, query=dict(pairs), query_string=urlencode(pairs))


def _other_pairs(text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    pairs = parse_qsl(text, keep_blank_values=True)
    for place, (name, _) in enumerate(pairs):
        yield f"{name} left out", pairs[:place] + pairs[place + 1 :]
        for what, value in (("a huge text", _HUGE), ("nothing", "")):
            yield f"{name} as {what}", [*pairs[:place], (name, value), *pairs[place + 1 :]]


def _without(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The value without each of its members in turn."""
    for name, part in value.items() if isinstance(value, Mapping) else ():
        yield f"{place}/{name}", {key: one for key, one in value.items() if key != name}
        for inner, less in _without(part, f"{place}/{name}"):
            yield inner, {**copy.deepcopy(value), name: less}
