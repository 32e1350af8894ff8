"""The kind `rest`: a package that is spoken to over HTTP in JSON, and that calls back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from connectors.sdk.connector import Context
from connectors.sdk.http import HttpAnswer, HttpClient, lost_answer
from connectors.sdk.kinds.auth import client_of
from connectors.sdk.kinds.calls import address_of, form_fields, lenient_json, value_at
from connectors.sdk.kinds.changes import Changes, Collect, read_ranked, whole_batches
from connectors.sdk.kinds.declared import DeclaredConnector, Message
from connectors.sdk.kinds.events import Collected
from connectors.sdk.kinds.paging import Page, Params, pages
from connectors.sdk.kinds.questions import Questions, evidence_of
from connectors.sdk.kinds.rest_checks import rest_faults as rest_faults
from connectors.sdk.kinds.rest_checks import undone_faults
from connectors.sdk.kinds.signatures import Signature, signature_of
from connectors.sdk.kinds.texts import Facts, Only, pointer_in, rendering, required
from connectors.sdk.mapping.places import WHOLE
from schemas.delivery import Delivery, Done, Inbound, Polled, Probe, Reply
from schemas.errors import HubError, InvalidMessage, Refused
from schemas.exchange import Evidence, Question
from schemas.fault import Fault
from schemas.manifest import FILE, seconds_of
from schemas.registry import Registry
from schemas.times import to_rfc3339

_TIMEOUT = "20s"
_SETTLED = "2s"
_KEY = "key:"
_UNREAD = "a renvoyé des données qui n'ont pas la forme attendue"


@dataclass(frozen=True, slots=True)
class Call:
    """What a `[[deliver]]` will call. `empty`: the event says nothing that would change anything there."""

    message: Message
    method: str
    path: str
    params: Mapping[str, Any]
    headers: Mapping[str, str]
    form: Mapping[str, Any] | None
    json: Mapping[str, Any] | None
    safe: bool
    empty: bool


class RestConnector(DeclaredConnector):
    """A package behind `[http]`. What `[[deliver]]`, `[webhook]`, `[poll]` and `[[answer]]` declare is
    done; a subclass overrides the method of the one part that cannot be declared, and uses the others: `call`,
    `each`, `changes`, `collect`.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._polled = self.event_readers("poll", "event")
        self._pushed = self.event_readers("webhook", "event")
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

    @cached_property
    def http(self) -> HttpClient:
        """The client, made at the first call."""
        raw = self.declared["http"]
        headers = {"accept": "application/json"} | {
            name.lower(): self.fill_secret(text) for name, text in raw.get("headers", {}).items()
        }
        return client_of(
            self.fill(raw["base"]), raw.get("auth", {}), self.fill_secret, self.context.now, headers=headers,
            timeout=self._duration(raw.get("timeout", _TIMEOUT)).total_seconds(), service=self.name,
            read_error=self.errors.error_for if self.errors.rules else None,
        )  # fmt: skip

    def call(
        self, text: str, *, facts: Facts | None = None, record: Any = None, params: Params | None = None, **options: Any
    ) -> HttpAnswer:
        """Make a call as a `connector.toml` writes it, `GET users/{reference}`; what the placeholders give stays in its
        step of the path. `options`: those of `HttpClient.request`. Raises what that raises, `[[error]]` first."""
        known = {**self.facts, **(facts or {})}
        method, path, query = address_of(text, lambda one: self._rendered(one, record, known))
        every = {name: self.fill(value) for name, value in self.declared["http"].get("query", {}).items()}
        return self.http.request(method, path, params={**every, **query, **(params or {})} or None, **options)

    def probe(self) -> Probe:
        try:
            answer = self.call(self.declared["http"]["probe"], safe=True)
            if answer.body.strip():
                answer.json()
        except HubError as error:
            return self.said_by_probe(error)
        return self.said_by_probe(None)

    def close(self) -> None:
        if "http" in vars(self):
            self.http.close()

    # deliveries

    def prepare(self, delivery: Delivery) -> Any:
        message = self.message_for(delivery)
        spec, forms = message.spec, message.forms
        try:
            method, path, query = address_of(spec["call"], lambda text: self.render(text, message))
        except InvalidMessage as error:
            raise Refused(f"{self.name} ne peut pas recevoir ce message : {error.reason}") from error
        again = spec.get("again", "none")
        key = {again.removeprefix(_KEY): delivery.key} if again.startswith(_KEY) else {}
        body = message.body if message.body is not None else forms.get("body")
        said = [part for part in (body, forms.get("form")) if part is not None]
        return Call(
            message, method, path, params={**query, **forms.get("query", {})},
            headers={**{name: str(value) for name, value in forms.get("headers", {}).items()}, **key},
            form=form_fields(forms["form"]) if "form" in forms else None, json=body,
            safe=again == "same-state" or bool(key), empty=bool(said) and not any(said),
        )  # fmt: skip

    def send(self, delivery: Delivery, prepared: Any) -> Done:
        spec = prepared.message.spec
        if prepared.empty:
            return Done(f"{self.name} : rien à mettre à jour")
        every = {name: self.fill(value) for name, value in self.declared["http"].get("query", {}).items()}
        answer = self.http.request(
            prepared.method, prepared.path, params={**every, **prepared.params} or None, headers=prepared.headers,
            form=prepared.form, json=prepared.json, safe=prepared.safe,
        )  # fmt: skip
        body = answer.json() if answer.body.strip() else None
        reference = self._reference(spec, answer, body)
        return Done(spec.get("answer") or f"Pris en compte par {self.name}", reference)

    def _reference(self, spec: Mapping[str, Any], answer: HttpAnswer, body: Any) -> str | None:
        """The identifier that the package gave. Raises as `HttpAnswer.json` for an answer that is no success."""
        found = value_at(body, spec["reference"]) if "reference" in spec else ""
        try:
            well = Only(spec.get("success", {})).fits(body)
        except InvalidMessage:
            well = False
        if not well or not isinstance(found, str | int) or isinstance(found, bool) or found is None:
            detail = f"{answer.host}: no success, or no identifier"
            raise lost_answer(f"{self.name} {_UNREAD}", answer.safe, detail=detail, fault="away.not-json")
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
        listed = self.declared["webhook"].get("list")
        place = "" if listed in (None, WHOLE) else str(listed)
        records = [body] if listed is None else value_at(body, place)
        if not isinstance(records, list):
            raise InvalidMessage("une liste est attendue", pointer=place, code="wrong_shape")
        found = self.collect(records, self._pushed, place=place)
        if found.errors and (listed is None or not found.events):
            error = found.errors[0]
            error.pointer = error.pointer.removeprefix("/0") if listed is None else error.pointer
            raise error
        return found

    # lists

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        raw = self.declared.get("poll", {})
        said = raw.get("cursor", {})
        if "call" not in raw:
            return
        elif said.get("kind") == "since":
            at, entry = self.reading(said["at"], "instant"), self.reading(said["id"], "text")
            yield from self.changes(
                cursor, self._since, at=lambda record: datetime.fromisoformat(at(record)), entry=entry,
                overlap=self._duration(said.get("overlap", 0)), settled=self._duration(said.get("settled", _SETTLED)),
                catch_up=self._duration(raw.get("catch_up", 0), days=True),
            )  # fmt: skip
        elif said.get("kind") == "rank":
            rank = self.reading(said["at"], "integer")
            yield from read_ranked(
                cursor, self._behind, rank=rank, collect=self._collect_polled, first=said.get("first", 0)
            )
        else:
            for page in self._list({}, {}):
                yield from whole_batches(self._collect_polled(page.records, page.place), None)

    def each(
        self, text: str, *, facts: Facts | None = None, params: Params | None = None, place: str = "",
        paging: Mapping[str, Any] | None = None, **options: Any,
    ) -> Iterator[Page]:  # fmt: skip
        """Each page of a list, by a table `paging` as `[poll]` has it. `place`: where the list stands in an answer."""
        return pages(
            lambda own: self.call(text, facts=facts, params={**(params or {}), **own}, **options), paging, place=place
        )

    def changes(
        self, cursor: Mapping[str, Any] | None, listed: Callable[[datetime], Iterator[Page]], *,
        at: Callable[[Any], datetime], entry: Callable[[Any], str], collect: Collect | None = None,
        overlap: timedelta = timedelta(0), settled: timedelta = timedelta(seconds=2),
        catch_up: timedelta = timedelta(0),
    ) -> Iterator[Polled]:  # fmt: skip
        """What changed in a list since the cursor (see `Changes`). `listed`: its pages from a date on. `at`, `entry`:
        date and identifier of a record. `collect`: the events of records; by default those of `[[poll.event]]`."""
        dated = Changes(
            self.context.now(), lambda record: (entry(record), at(record)), collect or self._collect_polled,
            overlap, settled, catch_up,
        )  # fmt: skip
        return dated.read(cursor, listed)

    def reading(self, text: str, convert: str = "") -> Callable[[Any], Any]:
        """A function of a record: the value at a place such as `/at | instant`, which raises InvalidMessage when it is
        absent or cannot be read."""
        read, place = self.language.value(text, convert), pointer_in(text)
        return lambda record: required(read(record, self.facts), place)

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

    # questions

    @cached_property
    def _questions(self) -> Questions:
        return Questions(self.declared.get("answer", ()), self.language, self.name, self.context)

    def answer(self, question: Question) -> Evidence:
        return self._questions.answer(question, self.call)

    def evidence(self, question: Question, values: Mapping[str, Any], quality: str = "authoritative") -> Evidence:
        """What was asked for of these values, as this connection says them now."""
        return evidence_of(question, values, self.context, quality)

    def _rendered(self, text: str, record: Any, known: Facts) -> str:
        return str(required(rendering(text, known)(record or {}, known), pointer_in(text)))

    def _duration(self, said: object, *, days: bool = False) -> timedelta:
        """A duration, or the setting that says its seconds or its days."""
        if isinstance(said, str) and said in self.settings:
            return timedelta(days=self.settings[said]) if days else timedelta(seconds=self.settings[said])
        return timedelta(seconds=seconds_of(said))


def _written(reverse: Callable[[Any], Any] | None, since: str) -> str:
    return str(reverse(since)) if reverse is not None else since
