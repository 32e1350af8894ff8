"""The kind `soap`: a package that is spoken to in SOAP, by its own contract."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from connectors.sdk.connector import Context
from connectors.sdk.http import HttpClient
from connectors.sdk.kinds.arguments import filled, merged, plain_record, readable, with_value
from connectors.sdk.kinds.changes import Changes, whole_batches
from connectors.sdk.kinds.declared import DeclaredConnector, Message
from connectors.sdk.kinds.events import Collected, collect
from connectors.sdk.kinds.follow import Follows
from connectors.sdk.kinds.paging import Page
from connectors.sdk.kinds.soap_checks import contract_faults
from connectors.sdk.kinds.soap_checks import soap_faults as soap_faults
from connectors.sdk.kinds.soap_list import list_pages
from connectors.sdk.kinds.soap_questions import SoapQuestions
from connectors.sdk.kinds.texts import Facts, pointer_in, required
from connectors.sdk.mapping import Map
from connectors.sdk.mapping.places import Place, getter
from connectors.sdk.mapping.scalars import is_empty, text_value
from connectors.sdk.soap import SoapClient
from schemas.delivery import Delivery, Done, Polled, Probe
from schemas.errors import AccessDenied, HubError, InvalidMessage, Refused, Unknown, detailed_fault
from schemas.exchange import Evidence, NotMatched, Question
from schemas.fault import Fault
from schemas.manifest import seconds_of
from schemas.registry import Registry
from schemas.secret import Secret
from schemas.times import to_rfc3339

_KEY = "key:"
_TIMEOUT = "20s"
_SETTLED = "2s"
_ONCE = ("none", "look-up")  # values of `again` whose call may not simply be made again


class SoapConnector(DeclaredConnector):
    """A package behind `[soap]`. What `[[deliver]]`, `[[follow]]`, `[poll]` and `[[answer]]` declare is done; a
    subclass overrides the method of the one part that cannot be declared, and uses `call`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._auth: Mapping[str, Any] = self.declared["soap"].get("auth", {"kind": "none"})
        self._session: Secret | None = None
        self._signing_in = threading.Lock()
        self._follows = Follows(self.declared, self.language, context, self.event, self._ask)
        self._polled = self.event_readers("poll", "event")
        self._look_ups = {
            (one["type"], one.get("version", 1)): self._form(one["look_up"]["ask"])
            for one in self.declared.get("deliver", ())
            if "look_up" in one
        }

    @classmethod
    def faults(cls, raw: Mapping[str, Any], folder: Path, registry: Registry) -> Iterator[Fault]:
        yield from super().faults(raw, folder, registry)
        yield from contract_faults(raw, folder)

    @cached_property
    def client(self) -> SoapClient:
        """The client, made at the first call."""
        raw, folder = self.declared["soap"], self.context.manifest.folder
        account = None
        if self._auth["kind"] in ("basic", "ws-security"):
            account = (self.fill(self._auth["user"]), self.fill_secret(self._auth["password"]))
        http = HttpClient(
            self.fill(raw["url"]), auth=account if self._auth["kind"] == "basic" else None, timeout=self._timeout,
            service=self.name, read_error=self.errors.error_for if self.errors.rules else None,
        )  # fmt: skip
        return SoapClient(
            folder / raw["wsdl"], self.fill(raw["url"]), http=http, errors=self.errors,
            schema=folder / raw["xsd"] if "xsd" in raw else None,
            token=account if self._auth["kind"] == "ws-security" else None, shapes=self.context.shapes,
        )  # fmt: skip

    def call(
        self, operation: str, arguments: Mapping[str, Any], *, safe: bool, each: str = "", seconds: float | None = None
    ) -> dict[str, Any]:
        """Call an operation; its answer as a record of texts, numbers, lists and objects. Raises what `SoapClient.call`
        raises, `[[error]]` first. `safe`, `each`, `seconds`: see there."""
        how: dict[str, Any] = {"safe": safe, "each": each, "seconds": seconds}
        if self._auth["kind"] != "session":
            return plain_record(self.client.ask(operation, arguments, **how))
        session = self._signed_in()
        try:
            return self._in_session(session, operation, arguments, how)
        except AccessDenied:
            return self._in_session(self._signed_in(instead=session), operation, arguments, how)

    def probe(self) -> Probe:
        raw = {**self.declared["soap"]["probe"]}
        try:
            if "get" in raw:
                self.client.read_description(raw["get"])
            else:
                self.call(raw.pop("operation"), filled(raw, self.fill), safe=True)
        except HubError as error:
            return self.said_by_probe(error)
        return self.said_by_probe(None)

    def close(self) -> None:
        if "client" in vars(self):
            self.client.close()

    # deliveries

    def send(self, delivery: Delivery, prepared: Message) -> Done:
        spec, again = prepared.spec, prepared.spec.get("again", "none")
        arguments = merged(prepared.body or {}, prepared.forms.get("ask", {}))
        if again.startswith(_KEY):
            arguments = with_value(arguments, again.removeprefix(_KEY), delivery.key)
        answer = self.call(spec["operation"], arguments, safe=again not in _ONCE)
        reference = None
        if "reference" in spec:
            reference = self._reference(answer, spec["reference"])
            if reference is None:
                said = f"{self.name} n'a pas rendu l'identifiant attendu"
                fault = detailed_fault("bad-return", *Place.of(spec["reference"]).steps)
                raise Unknown(said, detail=f"{spec['operation']}: no {spec['reference']}", fault=fault)
        return self._done(spec, reference)

    def look_up(self, delivery: Delivery) -> Done | None:
        key = (delivery.event.type, delivery.event.version)
        if key not in self._look_ups:
            return None
        message = self.prepare(delivery)
        spec = message.spec["look_up"]
        try:
            arguments = self._look_ups[key].write(message.data, message.facts)
            answer = self.call(spec["operation"], arguments, safe=True)
        except InvalidMessage as error:
            raise Refused(f"{self.name} ne peut pas être interrogé sur cet envoi : {error.reason}") from error
        except NotMatched:
            return None
        reference = self._reference(answer, spec["reference"])
        return self._done(message.spec, reference) if reference is not None else None

    def _done(self, spec: Mapping[str, Any], reference: str | None) -> Done:
        return Done(spec.get("answer") or f"Pris en compte par {self.name}", reference)

    def _reference(self, answer: Mapping[str, Any], place: str) -> str | None:
        try:
            found = getter(Place.of(place).steps)(answer)
            return None if is_empty(found) else text_value(found)
        except InvalidMessage:
            return None

    # what is read

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        raw = self.declared.get("poll", {})
        pages = self._read_list if "operation" in raw else None
        yield from self._follows.poll(cursor, pages, seconds_of(raw["every"]) if "every" in raw else 0.0)

    def _read_list(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        said = self.declared["poll"].get("cursor")
        if said is None:
            for page in self._pages():
                yield from whole_batches(self._collect_polled(page.records, page.place), None)
            return
        at, entry = self._reading(said["at"], "instant"), self._reading(said["id"], "text")
        changes = Changes(
            self.context.now(), lambda record: (entry(record), datetime.fromisoformat(at(record))),
            self._collect_polled, overlap=_duration(said.get("overlap", 0)),
            settled=_duration(said.get("settled", _SETTLED)), catch_up=_duration(said.get("catch_up", 0)),
        )  # fmt: skip
        yield from changes.read(cursor, self._pages)

    def _pages(self, since: datetime | None = None) -> Iterator[Page]:
        raw = self.declared["poll"]
        arguments = filled(raw.get("ask", {}), self.fill)
        said = raw.get("cursor", {})
        if since is not None and "argument" in said:
            text = to_rfc3339(since, "seconds")
            write = self.language.converters.of(said["write"])[0].reverse if "write" in said else None
            arguments = with_value(arguments, said["argument"], text if write is None else write(text))
        each = Place.of(raw["list"]).steps[-1]
        return list_pages(
            lambda asked: self.call(raw["operation"], asked, safe=True, each=each), arguments, list_at=raw["list"],
            name=self.name, paging=raw.get("paging"),
        )  # fmt: skip

    def _collect_polled(self, records: Sequence[Any], place: str) -> Collected:
        return collect(records, self._polled, place=place, before=readable)

    def _reading(self, text: str, convert: str) -> Callable[[Any], Any]:
        read, place = self.language.value(text, convert), pointer_in(text)
        return lambda record: required(read(readable(record), self.facts), place)

    # questions

    @cached_property
    def _questions(self) -> SoapQuestions:
        return SoapQuestions(self.declared, self.language, self.context)

    def answer(self, question: Question) -> Evidence:
        def ask(operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
            return self.call(operation, arguments, safe=True, seconds=question.seconds)

        return self._questions.answer(question, ask)

    # what is open

    def _ask(self, spec: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        return self.call(spec["operation"], filled(spec.get("ask", {}), self._filling(facts)), safe=True)

    def _filling(self, facts: Facts) -> Callable[[str], str]:
        return lambda text: self.fill(text, **facts)

    # sessions

    def _in_session(
        self, session: Secret, operation: str, arguments: Mapping[str, Any], how: Mapping[str, Any]
    ) -> dict[str, Any]:
        with_it = with_value(arguments, self._auth["argument"], session.reveal())
        return plain_record(self.client.ask(operation, with_it, **how))

    def _signed_in(self, instead: Secret | None = None) -> Secret:
        """The session that is open; another one `instead` of one that the package does not know any more."""
        with self._signing_in:
            if self._session is None or self._session is instead:
                self._session = self._sign_in()
            return self._session

    def _sign_in(self) -> Secret:
        arguments = filled(self._auth.get("ask", {}), lambda text: self.fill_secret(text).reveal())
        answer = plain_record(self.client.ask(self._auth["operation"], arguments, safe=True))
        token = self._reference(answer, self._auth["token"])
        if token is None:
            raise AccessDenied(f"{self.name} n'ouvre pas de session", fault="denied.login")
        return Secret(token)

    def _form(self, form: Mapping[str, Any]) -> Map:
        return Map.of_form(form, converters=self.language.converters, settings=self.settings)

    @property
    def _timeout(self) -> float:
        said = self.declared["soap"].get("timeout", _TIMEOUT)
        return seconds_of(self.settings.get(said, said) if isinstance(said, str) else said)


def _duration(said: object) -> timedelta:
    return timedelta(seconds=seconds_of(said))
