"""What a connector over HTTP is written with: its client, calls as `connector.toml` writes them, lists and what changed
in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from connectors.sdk.http import MAX_BYTES, HttpAnswer, HttpClient
from connectors.sdk.kinds.auth import client_of
from connectors.sdk.kinds.calls import UNREAD, address_of
from connectors.sdk.kinds.changes import Changes, Collect
from connectors.sdk.kinds.declared import DeclaredConnector
from connectors.sdk.kinds.paging import Page, Params, pages
from connectors.sdk.kinds.questions import evidence_of
from connectors.sdk.kinds.texts import Facts, pointer_in, rendering, required
from schemas.delivery import Polled, Probe
from schemas.errors import HubError, InvalidMessage, TryLater
from schemas.exchange import Evidence, Question
from schemas.manifest import seconds_of

_TIMEOUT = "20s"


class HttpConnector(DeclaredConnector):
    """A package behind the `[http]` of a `connector.toml`. Its methods are for code that reads and writes by itself.
    `max_bytes`: the largest answer that is read."""

    max_bytes = MAX_BYTES

    @cached_property
    def http(self) -> HttpClient:
        """The client, made at the first call."""
        raw = self.declared["http"]
        headers = {"accept": "application/json"} | {
            name.lower(): self.fill_secret(text) for name, text in raw.get("headers", {}).items()
        }
        return client_of(
            self.fill(raw["base"]), raw.get("auth", {}), self.fill_secret, self.context.now, headers=headers,
            timeout=self.duration(raw.get("timeout", _TIMEOUT)).total_seconds(), service=self.name,
            max_bytes=self.max_bytes, read_error=self.errors.error_for if self.errors.rules else None,
            shapes=self.context.shapes,
        )  # fmt: skip

    def call(
        self, text: str, *, facts: Facts | None = None, record: Any = None, params: Params | None = None, **options: Any
    ) -> HttpAnswer:
        """Make a call as a `connector.toml` writes it, `GET users/{reference}`; what the placeholders give stays in its
        step of the path. `options`: those of `HttpClient.request`. Raises what that raises, `[[error]]` first."""
        known = {**self.facts, **(facts or {})}
        method, path, query = address_of(text, lambda one: self._rendered(one, record, known))
        named = {"operation": text.partition("?")[0], **options}
        return self.request(method, path, params={**query, **(params or {})}, **named)

    def request(self, method: str, path: str, *, params: Params | None = None, **options: Any) -> HttpAnswer:
        """As `HttpClient.request`, with the query parameters that every call bears."""
        every = {name: self.fill(value) for name, value in self.declared["http"].get("query", {}).items()}
        return self.http.request(method, path, params={**every, **(params or {})} or None, **options)

    def read(self, method: str, path: str, place: str) -> Any:
        """One value of the answer to a harmless call, at a place such as `/version | integer`: TryLater for an answer
        that does not hold it."""
        answer = self.request(method, path, safe=True)
        try:
            return self.reading(place)(answer.json())
        except InvalidMessage as error:
            detail = f"{answer.host}: {error.pointer} {error.code}"
            raise TryLater(f"{self.name} {UNREAD}", detail=detail, fault="away.not-json") from None

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
        at: Callable[[Any], datetime], entry: Callable[[Any], str], collect: Collect,
        overlap: timedelta = timedelta(0), settled: timedelta = timedelta(seconds=2),
        catch_up: timedelta = timedelta(0),
    ) -> Iterator[Polled]:  # fmt: skip
        """What changed in a list since the cursor (see `Changes`). `listed`: its pages from a date on. `at`, `entry`:
        date and identifier of a record. `collect`: the events of records."""
        dated = Changes(
            self.context.now(), lambda record: (entry(record), at(record)), collect,
            overlap, settled, catch_up,
        )  # fmt: skip
        return dated.read(cursor, listed)

    def reading(self, text: str, convert: str = "") -> Callable[[Any], Any]:
        """A function of a record: the value at a place such as `/at | instant`, which raises InvalidMessage when it is
        absent or cannot be read."""
        read, place = self.language.value(text, convert), pointer_in(text)
        return lambda record: required(read(record, self.facts), place)

    def evidence(self, question: Question, values: Mapping[str, Any], quality: str = "authoritative") -> Evidence:
        """What was asked for of these values, as this connection says them now."""
        return evidence_of(question, values, self.context, quality)

    def _rendered(self, text: str, record: Any, known: Facts) -> str:
        return str(required(rendering(text, known)(record or {}, known), pointer_in(text)))

    def duration(self, said: object, *, days: bool = False) -> timedelta:
        """A duration, or the setting that says its seconds or its days."""
        if isinstance(said, str) and said in self.settings:
            return timedelta(days=self.settings[said]) if days else timedelta(seconds=self.settings[said])
        return timedelta(seconds=seconds_of(said))
