"""The case of a declared REST connector: its twin is the contract, its people are the samples."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from connectors.conformance.case import Bench, Case, Stand
from connectors.conformance.played.base import base_path, calls_of, concrete
from connectors.conformance.played.followed import Followed
from connectors.conformance.played.news import News, since_filter, unread
from connectors.conformance.played.refusing import Refusals
from connectors.conformance.played.samples import Samples, personal_in
from connectors.conformance.played.settings import addresses_of, drawn_secret, settings_of
from connectors.conformance.played.signing import Signer, key_pair
from connectors.sdk.contract.openapi import JSON, content_of, successes
from connectors.sdk.contract.schemas import Schemas
from connectors.sdk.contract_twins.keeping import Keep, Shelf
from connectors.sdk.contract_twins.openapi_check import Route, check_of
from connectors.sdk.contract_twins.openapi_twin import Door, OpenApiTwin
from connectors.sdk.contract_twins.places import with_value
from connectors.sdk.discovery import connector_class, folder_module
from connectors.sdk.jwt_check import drawn_pair
from connectors.sdk.kinds.calls import address_of, lenient_json, value_at
from connectors.sdk.kinds.rest import RestConnector
from connectors.sdk.kinds.texts import names_in, value_row
from connectors.sdk.mapping.places import WHOLE
from connectors.sdk.signed_query import PARAMETERS
from schemas.delivery import Inbound, Opened
from schemas.errors import ConfigError
from schemas.exchange import Question
from schemas.manifest import Manifest, seconds_of

_PROOFS: Mapping[str, Sequence[str]] = {"basic": ("password",), "bearer": ("token",), "api-key": ("value",)}
_CLIENT = {"client_id": "client_id", "client_secret": "client_secret"}
_SIGNS = {"oauth": _CLIENT, "oauth-password": {**_CLIENT, "user": "username", "password": "password"}}
_REFUSALS = (422, 409, 400, 404)
_A_DAY, _A_MINUTE = "1d", 60.0
_KEY = "key:"


def cases(manifest: Manifest, samples: Samples) -> Sequence[Stand]:
    """One: everything that is declared, against a twin that keeps to the contract."""
    return (partial(_played, samples),)


@contextmanager
def _played(samples: Samples, bench: Bench) -> Iterator[Case]:
    play = Play(samples, bench)
    with play.twin:
        yield play.case()


class Play:
    """One connection to one twin. Raises ConfigError for a contract that does not name what the connector calls, and
    for samples that it does not allow."""

    def __init__(self, samples: Samples, bench: Bench) -> None:
        self.samples, self.bench = samples, bench
        self.declared: Mapping[str, Any] = samples.manifest.declared
        self.path = samples.manifest.folder / str(self.declared["contract"]["openapi"])
        self.check = check_of(self.path)
        self.opened: list[Opened] = []
        self.base, self.prefix = base_path(self.declared, self.check)
        for call in calls_of(self.declared):
            self.route(call)
        self.twin = self._new_twin()
        self.manifest = _waiting(samples.manifest, bench.timeout)
        self.webhook: Mapping[str, Any] = self.declared.get("webhook", {})

    # the twin

    def _new_twin(self) -> OpenApiTwin:
        kind = OpenApiTwin
        if (self.samples.manifest.folder / "twin.py").exists():
            kind = folder_module(self.samples.manifest.folder, "twin").Twin
        twin = kind(
            self.path, keeps=self._keeps(), samples=self.samples.answer,
            paging=self.declared.get("poll", {}).get("paging"), beyond=frozenset(self._beyond()),
        )  # fmt: skip
        for spec in self.declared.get("deliver", ()):
            route, again = self.route(spec["call"]), spec.get("again", "none")
            twin.key_headers |= {again.removeprefix(_KEY).lower()} if again.startswith(_KEY) else set()
            twin.same_state |= {route.name} if again == "same-state" else set()
            bare = not {"success", "reference"} & spec.keys() and not _answers_json(route, self.check.schemas)
            twin.status_only |= {route.name} if bare else set()
        for call, _, _ in self._listed():
            self._shelf(twin, self.route(call).path.strip("/")).alone = True
        twin.lists = tuple(
            _list_place(one.get("list")) or "" for one in self.declared.get("answer", ()) if "list" in one
        )
        twin.strangers = self._strangers()
        return twin

    def _beyond(self) -> Iterator[tuple[str, str]]:
        """What calls bear beyond the contract: what `[[twin.beyond]]` says, the proofs of `[http] auth`, and what
        stands in the twin's own address of a next page."""
        for one in self.declared.get("twin", {}).get("beyond", ()):
            yield from ((self.route(one["call"]).name, what) for what in one["sends"])
        poll, auth = self.declared.get("poll", {}), self.declared["http"].get("auth", {})
        if poll.get("paging", {}).get("kind") in ("next", "link"):
            yield self.route(poll["call"]).name, poll["paging"].get("param", "offset")
        signed = PARAMETERS if auth.get("kind") in ("publik", "signature") else ()
        yield from (("*", name) for name in (*signed, *([auth["query"]] if "query" in auth else ())))

    def _keeps(self) -> list[Keep]:
        """Those of `[[twin.keep]]`, and what the poll and the look-ups need to be kept."""
        said = self.declared.get("twin", {}).get("keep", ())
        found = [Keep(one["path"].strip("/"), one["key"], one.get("list")) for one in said]
        known = {route.path.strip("/") for route in self.check.routes}
        for keep in found:
            if keep.path not in known:
                raise ConfigError(f"[[twin.keep]] names {keep.path}, and {self.path.name} names no such path")
        for call, place, key in self._listed():
            listing = self.route(call).path.strip("/")
            if listing not in {one.listing for one in found}:
                found.append(Keep(f"{listing}/{{key}}", key, place))
        for spec in self.declared.get("follow", ())[:1]:
            path = self.route(spec["call"]).path.strip("/")
            if path not in {one.path for one in found}:
                given = [one["reference"] for one in self.declared.get("deliver", ()) if "reference" in one]
                found.append(Keep(path, given[0] if given else "/id"))
        return found

    def _listed(self) -> Iterator[tuple[str, str, str]]:
        """Each list that the connector reads its own records from: the call, where the list stands, a record's key."""
        poll = self.declared.get("poll", {})
        if "call" in poll:
            cursor = poll.get("cursor", {})
            named = [name for one in poll.get("event", ()) for name in names_in(one["id"]) if name.startswith("/")]
            key = value_row(cursor["id"]).source.split("|")[0].strip() if "id" in cursor else (named or ["/id"])[0]
            yield poll["call"], _list_place(poll.get("list")) or "", key
        for spec in self.declared.get("deliver", ()):
            look = spec.get("look_up")
            if look and "list" in look:
                yield look["call"], _list_place(look["list"]) or "", look["reference"]

    def route(self, call: str) -> Route:
        """The operation of a call, as the manifest writes it."""
        found = self.check.route(*concrete(self.base, call))
        if found is None:
            raise ConfigError(f"{self.path.name} names no `{call}` below {self.base or '/'}")
        return found

    def _strangers(self) -> set[str]:
        said = [asked.stranger for asked in self.samples.asked if asked.stranger is not None]
        known = {text for asked in self.samples.asked for text in _told_by(asked.question)}
        return {text for one in said for text in _told_by(one)} - known

    # the connection

    def connect(self) -> RestConnector:
        kind: Any = connector_class(self.manifest)
        context = replace(self.bench, manifest=self.manifest).context(self.settings)
        opened = replace(context, opened=lambda since: [one for one in self.opened if one.at >= since])
        connector: RestConnector = kind(opened)
        return connector

    def _settings(self) -> dict[str, Any]:
        http = self.declared["http"]
        within = names_in(http["base"])
        given: dict[str, Any] = {
            **addresses_of(self.declared, "http", lambda name: self.twin.url + (self.prefix if name in within else ""))
        }
        waits, catch_up = http.get("timeout"), self.declared.get("poll", {}).get("catch_up")
        if waits in self.declared.get("settings", {}):
            given[waits] = self.bench.timeout
        if catch_up in self.declared.get("settings", {}):
            given[catch_up] = 1
        signature = self.webhook.get("signature", {})
        if "public_key" in signature:
            given[signature["public_key"]] = key_pair(signature.get("algorithm", "HS256"))[1]
        return settings_of(self.samples, given, self._records())

    def _records(self) -> list[Any]:
        """What the package says: bodies of webhooks, and a record of the polled list."""
        return [*self._pushed(), *(shelf.template() for shelf in self.twin.shelves)]

    def _pushed(self) -> list[Any]:
        bodies = [lenient_json(body) for body in self.samples.webhooks]
        listed = _list_place(self.webhook.get("list")) if "list" in self.webhook else None
        if listed is not None:
            bodies = [one for body in bodies for one in value_at(body, listed) or ()]
        return bodies

    def _unshown_calls(self, connector: RestConnector) -> Iterator[str]:
        folder = f"{self.declared['contract'].get('samples', 'samples')}/webhooks"
        for name in unread(connector.event_readers("webhook", "event"), self._pushed(), "webhook.event"):
            yield f"no sample of {folder} gives {name}"

    def _open_door(self, connector: RestConnector) -> None:
        """Let in who bears what this connection was given."""
        auth = self.declared["http"].get("auth")
        if auth is None:
            return
        kind = connector.fill_secret(auth["kind"]).reveal()
        if kind.startswith("oauth"):
            path = urlsplit(connector.fill_secret(auth["token_url"]).reveal()).path
            asks = {said: connector.fill_secret(auth[name]).reveal() for name, said in _SIGNS[kind].items()}
            self.twin.door = Door("POST", path, token="/access_token", asks=asks)  # noqa: S106
        elif kind == "session":
            method, path, params = address_of(auth["call"], lambda text: connector.fill_secret(text).reveal())
            said = {**auth.get("form", {}), **auth.get("body", {})}
            asks = params | {name: connector.fill_secret(text).reveal() for name, text in said.items()}
            keep, token = tuple(auth.get("keep", ())), auth.get("token", "")
            self.twin.door = Door(method, f"{self.base}/{path}", keep, token, asks)
        self.twin.accepted |= {connector.fill_secret(auth[name]).reveal() for name in _PROOFS.get(kind, ())}
        if self.twin.door.path:
            self.twin.accepted.add(secrets.token_hex(16))  # nobody's: what is borne must have been given at the door

    # the case

    def case(self) -> Case:
        self.settings = self._settings()
        connector = self.connect()
        self._open_door(connector)
        self._know_people()
        news = self._news(connector)
        signer = self._signer(connector)
        webhooks = self.samples.webhooks
        return Case(
            connect=self.connect, twin=self.twin, deliveries=self.samples.deliveries,
            effects=self.twin.effects, refuse=self._refuse if self.samples.deliveries else None,
            deny=lambda: self.twin.misbehave("401", times=4), turns=self.samples.turns,
            news=news.add if news else None, turn=news.turn if news else None, opened=self.opened,
            words=getattr(news, "words", ()),
            inbound=[signer.call(body) for body in webhooks] if signer else (),
            resigned=(lambda inbound, body: signer.call(body)) if signer else None,
            forged=_forged(signer, webhooks[0], self._stranger_key()) if signer and webhooks else (),
            refusals=Refusals(self.samples, self.twin, self.route).of(connector),
            personal=self._personal(), samples=self.samples.webhook_files if signer else (),
            unshown=[*self._unshown_calls(connector), *(news.unshown() if isinstance(news, News) else ())],
            asked=self.samples.asked,
        )  # fmt: skip

    def _personal(self) -> Sequence[str]:
        return [*self.samples.personal, *(text for one in self.twin.shelves for text in personal_in(one.template()))]

    def _know_people(self) -> None:
        """Let those be at the twin about whom something is said or asked."""
        said = {one.event.type: one.reference for one in self.samples.deliveries}
        asked = {one.question.evidence: one.question.reference for one in self.samples.asked}
        for table, references in (("deliver", said), ("answer", asked)):
            for spec in self.declared.get(table, ()):
                path, reference = self.route(spec["call"]).path.strip("/"), references.get(spec["type"])
                for shelf in self.twin.shelves:
                    if shelf.keep.path == path and reference is not None:
                        shelf.know(reference)

    def _news(self, connector: RestConnector) -> News | Followed | None:
        poll = self.declared.get("poll", {})
        if "call" not in poll or "every" not in poll:
            return self._followed(connector)
        shelf = self._shelf(self.twin, self.route(poll["call"]).path.strip("/"))
        news = News(connector, shelf)
        shelf.fits, shelf.unasked = since_filter(connector), frozenset(poll.get("query", {}))
        if self.declared["poll"].get("cursor", {}).get("kind") == "since":
            at = connector.reading(poll["cursor"]["at"], "instant")
            shelf.sorting = at
        return news

    def _followed(self, connector: RestConnector) -> Followed | None:
        if not self.declared.get("follow"):
            return None
        path = self.route(self.declared["follow"][0]["call"]).path.strip("/")
        shelf = next(one for one in self.twin.shelves if one.keep.path == path)
        return Followed(connector, shelf, self.opened, self.bench.clock)

    def _shelf(self, twin: OpenApiTwin, listing: str) -> Shelf:
        return next(one for one in twin.shelves if one.keep.listing == listing)

    def _refuse(self) -> None:
        spec = self.declared["deliver"][-1]
        last = self.samples.deliveries[-1].event
        spec = next((one for one in self.declared["deliver"] if one["type"] == last.type), spec)
        status, body = self._refusal(self.route(spec["call"]))
        self.twin.refuse(status, body, self.route(spec["call"]).name)

    def _refusal(self, route: Route) -> tuple[int, Any]:
        """A no that the connector reads as one: of `[[error]]`, else one that the contract names."""
        named = {int(status) for status in route.own.get("responses") or {} if str(status).isdecimal()}
        for error in self.declared.get("error", ()):
            statuses = error.get("status", 422)
            statuses = statuses if isinstance(statuses, list) else [statuses]
            code = _refusing_code(error)
            if code is not None:
                status = next((one for one in statuses if one in named and one >= 400), statuses[0])
                return status, self._with_code(route, status, error.get("native"), code)
        return next((status for status in _REFUSALS if status in named), _REFUSALS[0]), None

    def _with_code(self, route: Route, status: int, place: str | None, code: str) -> Any:
        if place is None or not place.startswith("/") or not code:
            return None
        return with_value(self.twin.answers.body(route, str(status)) or {}, place, code)

    # calls of the package

    def _signer(self, connector: RestConnector) -> Signer | None:
        said = self.webhook.get("signature")
        if said is None:
            return None
        texts = {name: connector.fill(said[name]) for name in ("user", "issuer", "audience") if name in said}
        key = key_pair(said["algorithm"])[0] if "public_key" in said else connector.secret(said["secret"]).reveal()
        return Signer({**said, **texts}, key, self.bench.clock)

    def _stranger_key(self) -> str:
        signature = self.webhook["signature"]
        if "public_key" in signature:
            return drawn_pair(signature["algorithm"])[0]
        return drawn_secret(self.samples.manifest, str(signature.get("secret"))).reveal()


def _waiting(manifest: Manifest, timeout: float) -> Manifest:
    """The manifest as a connection would have it that waits as long as the bench says, whose first poll looks back, and
    that asks for what was opened each minute: where no setting says so, it is written for a package that is far away
    and for hours in which nobody looks."""
    declared, settings = dict(manifest.declared), manifest.declared.get("settings", {})
    if declared["http"].get("timeout") not in settings:
        declared["http"] = {**declared["http"], "timeout": timeout}
    poll = declared.get("poll", {})
    if poll.get("cursor", {}).get("kind") == "since" and poll.get("catch_up") not in settings:
        declared["poll"] = {**poll, "catch_up": _A_DAY}
    if "follow" in declared:
        declared["follow"] = [
            {**one, "every": [min([*map(seconds_of, one["every"]), _A_MINUTE])]} for one in declared["follow"]
        ]
    return replace(manifest, declared=declared)


def _list_place(said: str | None) -> str | None:
    return "" if said == WHOLE else said


def _answers_json(route: Route, schemas: Schemas) -> bool:
    kinds = [content_of(schemas.at(route.own["responses"][status]))[0] for status in successes(route.own)]
    return any(JSON.match(kind) for kind in kinds)


def _refusing_code(error: Mapping[str, Any]) -> str | None:
    """A code of an `[[error]]` that refuses; "" where the status alone does; None where none of it refuses."""
    for code, meaning in error.get("table", {}).items():
        word = meaning.get("means") if isinstance(meaning, Mapping) else meaning
        if word == "refused" and code != "*":
            return str(code)
    return "" if error.get("means") == "refused" else None


def _told_by(question: Question) -> set[str]:
    """The texts by which a question says about whom it is."""
    named = (question.identity or {}).values()
    texts = {one for value in named for one in (value if isinstance(value, list | tuple) else [value])}
    return {str(one) for one in (question.reference, *texts) if isinstance(one, str)}


def _forged(signer: Signer, body: bytes, key: str) -> Sequence[Inbound]:
    return [signer.call(body, key), signer.unsigned(body)]
