"""The kind `rest`: a package that is spoken to over HTTP in JSON, and that calls back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from connectors.sdk.connector import Context
from connectors.sdk.http import SUCCESS, HttpAnswer, lost_answer
from connectors.sdk.kinds.calls import UNREAD, address_of, form_fields, lenient_json, value_at
from connectors.sdk.kinds.changes import read_ranked, whole_batches
from connectors.sdk.kinds.client import HttpConnector
from connectors.sdk.kinds.events import Collected
from connectors.sdk.kinds.explained import Explained
from connectors.sdk.kinds.facts import DELIVERY_FACTS
from connectors.sdk.kinds.follow import Follows
from connectors.sdk.kinds.look_ups import found_reference, records_of
from connectors.sdk.kinds.paging import Page, Params
from connectors.sdk.kinds.questions import Questions
from connectors.sdk.kinds.rest_checks import rest_faults as rest_faults
from connectors.sdk.kinds.rest_checks import undone_faults
from connectors.sdk.kinds.signatures import Signature, signature_of
from connectors.sdk.kinds.texts import Facts, Only
from connectors.sdk.mapping.places import WHOLE
from connectors.sdk.shapes import check_known
from schemas.delivery import Delivery, Done, Inbound, Listed, Polled, Reply
from schemas.errors import InvalidMessage, Refused
from schemas.exchange import Evidence, Question
from schemas.fault import Fault
from schemas.manifest import FILE, seconds_of
from schemas.registry import Registry
from schemas.times import to_rfc3339

_SETTLED = "2s"
_KEY = "key:"
WEBHOOK = "webhook"
"""The operation of what a package pushes."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a `[[deliver]]` will call. `empty`: the event says nothing that would change anything there."""

    method: str
    path: str
    params: Mapping[str, Any]
    headers: Mapping[str, str]
    form: Mapping[str, Any] | None
    json: Mapping[str, Any] | None
    safe: bool
    empty: bool


class RestConnector(HttpConnector):
    """Does what `[[deliver]]`, `[[follow]]`, `[webhook]`, `[poll]` and `[[answer]]` declare. A subclass overrides the
    method of the one part that cannot be declared, and is written with the others and with those of `HttpConnector`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._polled = self.event_readers("poll", "event")
        self._pushed = self.event_readers("webhook", "event")
        self._stated = self.event_readers("state", "event")
        self._follows = Follows(self.declared, self.language, context, self.event, self._ask)
        webhook = self.declared.get("webhook", {})
        signature = webhook.get("signature")
        self._signature: Signature | None = (
            signature_of(signature, context, self.fill, self.secret) if signature else None
        )

    @classmethod
    def faults(cls, raw: Mapping[str, Any], folder: Path, registry: Registry) -> Iterator[Fault]:
        yield from super().faults(raw, folder, registry)
        if not (folder / "connector.py").exists():
            yield from (Fault(str(folder / FILE), key, message) for key, message in undone_faults(raw))

    # deliveries

    def prepare(self, delivery: Delivery) -> Any:
        message = self.message_for(delivery)
        spec, forms = message.spec, message.forms
        try:
            method, path, query = address_of(spec["call"], lambda text: self.render(text, message))
        except InvalidMessage:
            raise Refused(
                f"{self.name} ne peut pas recevoir ce message : un identifiant n'est pas utilisable"
            ) from None
        again = spec.get("again", "none")
        key = {again.removeprefix(_KEY): delivery.key} if again.startswith(_KEY) else {}
        body = message.body if message.body is not None else forms.get("body")
        said = [part for part in (body, forms.get("form")) if part is not None]
        return Call(
            method, path, params={**query, **forms.get("query", {})},
            headers={**{name: str(value) for name, value in forms.get("headers", {}).items()}, **key},
            form=form_fields(forms["form"]) if "form" in forms else None, json=body,
            safe=again == "same-state" or bool(key), empty=bool(said) and not any(said),
        )  # fmt: skip

    def send(self, delivery: Delivery, prepared: Any) -> Done:
        spec = self.spec_of(delivery)
        if prepared.empty:
            return Done(f"{self.name} : rien à mettre à jour")
        answer = self.request(
            prepared.method, prepared.path, params=prepared.params, headers=prepared.headers,
            form=prepared.form, json=prepared.json, safe=prepared.safe, operation=spec["call"].partition("?")[0],
        )  # fmt: skip
        body = answer.json() if answer.body.strip() else None
        reference = self._reference(spec, answer, body)
        return Done(self._said(spec), reference)

    def look_up(self, delivery: Delivery) -> Done | None:
        """By the `look_up` of its `[[deliver]]`; None without one: such a delivery is never looked up."""
        if "look_up" not in self.spec_of(delivery):
            return None
        message = self.message_for(delivery)
        try:
            reference = found_reference(message, self.call)
        except InvalidMessage:
            raise Refused(f"{self.name} ne peut pas être interrogé sur cet envoi") from None
        return None if reference is None else Done(self._said(message.spec), reference)

    def _said(self, spec: Mapping[str, Any]) -> str:
        return spec.get("answer") or f"Pris en compte par {self.name}"

    def _reference(self, spec: Mapping[str, Any], answer: HttpAnswer, body: Any) -> str | None:
        """The identifier that the package gave. Raises as `HttpAnswer.json` for an answer that is no success."""
        found = value_at(body, spec["reference"]) if "reference" in spec else ""
        try:
            well = Only(spec.get("success", {})).fits(body)
        except InvalidMessage:
            well = False
        if not well or not isinstance(found, str | int) or isinstance(found, bool) or found is None:
            detail = f"{answer.host}: no success, or no identifier"
            raise lost_answer(f"{self.name} {UNREAD}", answer.safe, detail=detail, fault="away.not-json")
        return str(found) or None

    # calls of the package

    def knows_caller(self, head: Inbound) -> bool:
        if self._signature is None or not self._signature.by_head:
            return False
        self._signature.check(head, use=False)
        return True

    def receive(self, inbound: Inbound) -> Reply:
        if self._signature is None:
            return super().receive(inbound)
        self._signature.check(inbound)
        return Reply(self.read_push(inbound).polled())

    def read_push(self, inbound: Inbound) -> Collected:
        """The events of an authentic call. Raises InvalidMessage with its place when nothing of it can be read; of a
        list, the records that cannot be are told beside those that can."""
        try:
            body = lenient_json(inbound.body)
        except ValueError:
            raise InvalidMessage("ce n'est pas du JSON", code="not_json") from None
        self.context.shapes.see(WEBHOOK, body)
        check_known(self.context.shapes.strange(body))  # it is not lost: its sender has it, and sends it again
        listed = self.declared["webhook"].get("list")
        place, records = self._pushed_records(body)
        found = self.collect(records, self._pushed, place=place)
        if found.errors and (listed is None or not found.events):
            error = found.errors[0]
            error.pointer = error.pointer.removeprefix("/0") if listed is None else error.pointer
            raise error
        return found

    def explain_push(self, body: Any) -> list[Explained]:
        """What each table makes of each record of a call, whoever made it: for `unefois connector try`. Raises
        InvalidMessage for a body that holds no list where one should be."""
        _, records = self._pushed_records(body)
        return [reader.explain(record) for record in records for reader in self._pushed]

    def _pushed_records(self, body: Any) -> tuple[str, list[Any]]:
        listed = self.declared["webhook"].get("list")
        place = "" if listed in (None, WHOLE) else str(listed)
        records = [body] if listed is None else value_at(body, place)
        if not isinstance(records, list):
            raise InvalidMessage("une liste est attendue", pointer=place, code="wrong_shape")
        return place, records

    # lists

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        raw = self.declared.get("poll", {})
        pages = self._read_list if "call" in raw else None
        yield from self._follows.poll(cursor, pages, seconds_of(raw["every"]) if "every" in raw else 0.0)

    def _ask(self, spec: Mapping[str, Any], facts: Facts) -> Any:
        query = {name: self.fill(text, **facts) for name, text in spec.get("query", {}).items()}
        return self.call(spec["call"], facts=facts, params=query, safe=True).json()

    def _read_list(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        raw = self.declared["poll"]
        said = raw.get("cursor", {})
        if said.get("kind") == "since":
            at, entry = self.reading(said["at"], "instant"), self.reading(said["id"], "text")
            yield from self.changes(
                cursor, self._since, at=lambda record: datetime.fromisoformat(at(record)), entry=entry,
                collect=self._collect_polled, overlap=self.duration(said.get("overlap", 0)),
                settled=self.duration(said.get("settled", _SETTLED)),
                catch_up=self.duration(raw.get("catch_up", 0), days=True),
            )  # fmt: skip
        elif said.get("kind") == "rank":
            rank = self.reading(said["at"], "integer")
            yield from read_ranked(
                cursor, self._behind, rank=rank, collect=self._collect_polled, first=said.get("first", 0)
            )
        else:
            for page in self._list({}, {}):
                yield from whole_batches(self._collect_polled(page.records, page.place), None)

    def _collect_polled(self, records: Sequence[Any], place: str) -> Collected:
        return self.collect(records, self._polled, place=place)

    def _since(self, horizon: datetime) -> Iterator[Page]:
        said = self.declared["poll"]["cursor"]
        since = to_rfc3339(horizon, "seconds")
        if "write" in said:
            since = _written(self.language.converters.of(said["write"])[0].reverse, since)
        return self._list({"since": since}, {said["param"]: since} if "param" in said else {})

    def _behind(self, rank: int) -> Iterator[Page]:
        said = self.declared["poll"]["cursor"]
        return self._list({"rank": rank}, {said["param"]: str(rank)} if "param" in said else {})

    def _list(self, facts: Facts, params: Params) -> Iterator[Page]:
        raw = self.declared["poll"]
        query = {name: self.fill(text, **facts) for name, text in raw.get("query", {}).items()}
        return self.each(
            raw["call"], facts=facts, params={**query, **params}, place=raw.get("list", ""), paging=raw.get("paging"),
            safe=True,
        )  # fmt: skip

    def people(self) -> Iterator[Listed]:
        """By the `call` of `[people]`, page by page."""
        raw = self.declared.get("people", {})
        if "call" not in raw:
            yield from super().people()
            return
        query = {name: self.fill(text) for name, text in raw.get("query", {}).items()}
        for page in self.each(
            raw["call"], params=query, place=raw.get("list", ""), paging=raw.get("paging"), safe=True
        ):  # fmt: skip
            yield self.listed(page.records, place=page.place)

    def state(self, references: Sequence[str]) -> Iterator[Polled]:
        """By the `call` of `[state]`, person by person."""
        raw = self.declared.get("state", {})
        if "call" not in raw:
            yield from super().state(references)
            return
        for reference in references:
            facts = {DELIVERY_FACTS[0]: reference}
            query = {name: self.fill(text, **facts) for name, text in raw.get("query", {}).items()}
            answer = self.call(raw["call"], facts=facts, params=query, safe=True, expect=(*SUCCESS, 404))
            records = [] if answer.status == 404 else records_of(raw, answer)
            yield self.collect(records, self._stated, place=raw.get("list", "").strip(WHOLE)).polled()

    # questions

    @cached_property
    def _questions(self) -> Questions:
        return Questions(self.declared.get("answer", ()), self.language, self.name, self.context)

    def answer(self, question: Question) -> Evidence:
        return self._questions.answer(question, self.call)


def _written(reverse: Callable[[Any], Any] | None, since: str) -> str:
    return str(reverse(since)) if reverse is not None else since
