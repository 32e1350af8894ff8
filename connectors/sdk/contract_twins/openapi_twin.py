"""A twin of a package by its OpenAPI file: it refuses what that refuses, and answers what it allows."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from connectors.sdk.contract_twins.answers import Answers
from connectors.sdk.contract_twins.keeping import Keep, Record, Shelf, list_answer, page_of, shelf_of
from connectors.sdk.contract_twins.openapi_check import Beyond, OpenApiCheck, Route, check_of
from connectors.sdk.contract_twins.places import (
    basic_of,
    fields_in,
    is_json,
    said_at_door,
    said_in,
    typed_as,
    with_value,
)  # fmt: skip
from connectors.sdk.kinds.calls import value_at
from connectors.sdk.rest_twin import RestTwin
from connectors.sdk.twin import TwinAnswer, TwinCall

_HARMLESS = ("get", "head", "options")
_REFUSALS = ("422", "400")
_PAGE = 3


@dataclass(frozen=True, slots=True)
class Door:
    """Where a package is signed in at, which its contract need not name. `path`: as it is called. `headers`: those that
    its answer bears; `token`: where its body holds what proves the caller. `asks`: what must be said there, by name."""

    method: str = ""
    path: str = ""
    headers: Sequence[str] = ()
    token: str = ""
    asks: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Written:
    """A call that changed something, and how it was answered."""

    operation: str
    path: str
    said: Any
    query: Mapping[str, str] = field(default_factory=dict)
    answer: TwinAnswer = field(default_factory=TwinAnswer)


class OpenApiTwin(RestTwin):
    """`with OpenApiTwin(path) as twin: twin.url`. A subclass marks methods with `@route` for what the package does
    beyond its contract; a call that the contract refuses does not reach them.

    `keeps`: what it keeps (`[[twin.keep]]`). `samples`: the file with the answer to an operation, None without one;
    without one it answers the contract's example, else what it makes of the schema. `written` holds the calls that
    changed something: by the value of a header of `key_headers`, which makes a repetition do nothing again, by
    operation and path where they are among the `same_state`, else each by itself. `accepted`: secrets of which a call
    must bear one, whatever is borne when there are none. `strangers`: texts that name nobody here. `paging`: as
    `[poll]` has it. `beyond`: what calls may bear though the contract does not know it. `status_only`: operations
    whose success is the status alone. `lists`: where answers may hold a list, which is empty for a stranger.
    """

    def __init__(
        self, path: Path, *, keeps: Sequence[Keep] = (), samples: Callable[[str], Path | None] = lambda name: None,
        door: Door | None = None, paging: Mapping[str, Any] | None = None, beyond: Beyond = frozenset(),
    ) -> None:  # fmt: skip
        super().__init__()
        self.contract: OpenApiCheck = check_of(path, beyond)
        self.answers = Answers(self.contract, samples)
        self.door, self.paging = door or Door(), paging or {}
        self.written: dict[str, Written] = {}
        self.key_headers: set[str] = set()
        self.same_state: set[str] = set()
        self.accepted: set[str] = set()
        self.strangers: set[str] = set()
        self.refusing: list[TwinAnswer] = []
        self.status_only: set[str] = set()
        self.lists: Sequence[str] = ()
        self.page_size = int(self.paging.get("size", _PAGE)) if self.paging else 1
        self.shelves = [self.shelf(keep) for keep in keeps]

    # what it holds

    def shelf(self, keep: Keep) -> Shelf:
        return Shelf(keep, lambda: self.template(keep))

    def template(self, keep: Keep) -> Record:
        """What a record looks like, by the answer that holds one."""
        for path, place in ((keep.path, keep.around), (keep.listing, f"{keep.list or ''}/0")):
            route = next(
                (one for one in self.contract.routes if one.path.strip("/") == path and one.method == "get"), None
            )
            body = self.answers.body(route) if route is not None else None
            found = value_at(body, place) if body is not None else None
            if isinstance(found, dict):
                return found
        return {keep.member.strip("/"): 1}

    def effects(self) -> Any:
        """All that it holds, as a value that can be compared."""
        kept = {shelf.keep.listing: shelf.records for shelf in self.shelves}
        written = {key: (one.operation, one.path, one.said, dict(one.query)) for key, one in self.written.items()}
        return {"kept": kept, "written": written}

    def refuse(self, status: int, body: Any = None, operation: str = "") -> None:
        """Say no to the next call that would change something: with this body, else one that the contract allows."""
        route = next((one for one in self.contract.routes if one.name == operation), None)
        made = self.answers.body(route, str(status)) if body is None and route is not None else body
        self.refusing.append(TwinAnswer(status, made if made is not None else {"error": "refused"}))

    # calls

    def operation(self, call: TwinCall) -> str:
        route = self.contract.route(call.method, call.path)
        return super().operation(call) if route is None else f"{call.method} {self.contract.base}{route.path}"

    def trusts_status(self, call: TwinCall) -> bool:
        route = self.contract.route(call.method, call.path)
        return route is not None and route.name in self.status_only

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        route = self.contract.route(call.method, call.path)
        if self.beyond_contract(call) or (route is not None and not self._unproved(route, call)):
            return None
        return None if route is None else self.answers.refusal(route, 401)

    def answer(self, call: TwinCall) -> TwinAnswer:
        if self.beyond_contract(call):
            return self._let_in(call)
        route = self.contract.route(call.method, call.path)
        if route is None:
            return TwinAnswer(405 if self.contract.names_path(call.path) else 404, {"error": "not found"})
        refusal = self.authenticate(call) or self._refused_by_contract(route, call)
        return refusal if refusal is not None else self._accepted(route, call)

    def _accepted(self, route: Route, call: TwinCall) -> TwinAnswer:
        if route.method in _HARMLESS:
            return self._done(route, call)
        key = self._write_key(route, call)
        before = self.written.get(key)
        if before is not None and route.name not in self.same_state:
            return before.answer
        if self.refusing:
            return self.refusing.pop(0)
        answer = self._done(route, call)
        if answer.status < 300:
            self.written[key] = Written(route.name, call.path, said_in(call), self._named(route, call), answer)
        return answer

    def _named(self, route: Route, call: TwinCall) -> dict[str, str]:
        """The parameters of its query that the contract names."""
        return {name: call.query[name] for name in self.contract.query_names(route) if name in call.query}

    def _told(self, route: Route, call: TwinCall, shelf: Shelf) -> Any:
        """What a call says of a record of the shelf, by its query, as a form or in JSON."""
        record, said = shelf.template(), said_in(call)
        known = {**record, shelf.keep.around.strip("/"): record}
        named = typed_as(known, fields_in(self._named(route, call).items()))
        if said is None or isinstance(said, Mapping):
            return {**named, **((said or {}) if is_json(call) else typed_as(known, said or {}))}
        return said

    def _done(self, route: Route, call: TwinCall) -> TwinAnswer:
        own = [one for one in self._routes if one[0] == call.method and one[1].fullmatch(call.path)]
        return super().answer(call) if own else self.behaviour(route, call)

    def behaviour(self, route: Route, call: TwinCall) -> TwinAnswer:
        """What it does with a call that the contract allows: by what it keeps, else the answer of the operation."""
        arguments = self.contract.arguments(route, call.path)
        found = shelf_of(self.shelves, route.path.strip("/"))
        if self._names_a_stranger(arguments, call):
            return self._nobody(route, call)
        if found is not None and found[1] and route.method in ("get", "put", "patch", "post", "delete"):
            return self._about_one(route, call, found[0], list(arguments.values())[-1])
        if found is not None and route.method == "get" and found[0].is_listed:
            return self._list(route, call, found[0])
        if found is not None and route.method == "post":
            record = found[0].new(self._told(route, call, found[0]))
            return self.answers.answer(route, self._around(route, found[0].keep, record))
        return self.answers.answer(route, self.answers.body(route))

    def by_contract(self, call: TwinCall) -> TwinAnswer:
        """For a subclass's own route: what the twin does with a call that the contract allows."""
        found = self.contract.route(call.method, call.path)
        return self.behaviour(found, call) if found is not None else self.not_found(call)

    def kept(self, path: str, key: str) -> Record:
        """For a subclass's own route: the record of this key among those of `[[twin.keep]]`; {} for one that is not
        there."""
        found = shelf_of(self.shelves, path.strip("/"))
        return (found[0].get(key) if found is not None else None) or {}

    def _about_one(self, route: Route, call: TwinCall, shelf: Shelf, key: str) -> TwinAnswer:
        if route.method == "get":
            record = shelf.get(key)
        elif route.method == "delete":
            record = shelf.get(key)
            shelf.records.pop(key, None)
        else:
            record = shelf.change(key, self._told(route, call, shelf))
        if record is None:
            return self.answers.refusal(route, 404)
        return self.answers.answer(route, self._around(route, shelf.keep, record))

    def _list(self, route: Route, call: TwinCall, shelf: Shelf) -> TwinAnswer:
        query = {name: value for name, value in call.query.items() if name != self.paging.get("param", "offset")}
        address = f"{self.url}{call.path}" + (f"?{urlencode(query)}" if query else "")
        page = page_of(shelf.listed(query), self.paging, call.query, address, self.page_size)
        whole = self.answers.body(route)
        body = list_answer(whole, _list_place(shelf.keep, whole), page, str(self.paging.get("next", "")))
        answer = self.answers.answer(route, body)
        return TwinAnswer(answer.status, answer.body, {**answer.headers, **page.headers})

    def _around(self, route: Route, keep: Keep, record: Record) -> Any:
        """The answer of an operation with this record in it, where the contract allows it there; else as it is."""
        body = self.answers.body(route)
        if body is None:
            return record if route.method == "get" else None
        for place in (keep.around, *_holding(body, keep.member)):
            if isinstance(value_at(body, place), dict):
                made = with_value(body, place, record)
                if not self.answers.fault(route, made):
                    return made
        return body

    # who may call, and what is refused

    def _refused_by_contract(self, route: Route, call: TwinCall) -> TwinAnswer | None:
        if not self.contract.content_fault(call):
            return None
        named = [status for status in _REFUSALS if status in (route.own.get("responses") or {})]
        return self.answers.refusal(route, int(named[0]) if named else 400)

    def _unproved(self, route: Route, call: TwinCall) -> bool:
        if self.contract.unproved(route, call):
            return True
        borne = _borne_by(call)
        return bool(self.accepted) and not any(secret in borne for secret in self.accepted)

    def beyond_contract(self, call: TwinCall) -> bool:
        """Whether it is called where one signs in."""
        return bool(self.door.path) and (call.method, call.path) == (self.door.method, self.door.path)

    def _let_in(self, call: TwinCall) -> TwinAnswer:
        if not self.door.asks.items() <= said_at_door(call).items():
            return TwinAnswer(401, {"error": "invalid_client"})
        token = secrets.token_hex(16)
        self.accepted.add(token)
        route = self.contract.route(call.method, call.path)
        body = self.answers.body(route) if route is not None else {}
        if self.door.token:
            body = with_value(body, self.door.token, token)
        return TwinAnswer(200, body, dict.fromkeys(self.door.headers, token))

    def _names_a_stranger(self, arguments: Mapping[str, str], call: TwinCall) -> bool:
        return bool(self.strangers & {*arguments.values(), *call.query.values()})

    def _nobody(self, route: Route, call: TwinCall) -> TwinAnswer:
        body = self.answers.body(route) if route.method == "get" else None
        kept = next((shelf.keep for shelf in self.shelves if route.path.strip("/") == shelf.keep.listing), None)
        places = self.lists if kept is None else (_list_place(kept, body),)
        place = next((one for one in places if isinstance(value_at(body, one), list)), None)
        if place is not None:
            return self.answers.answer(route, with_value(body, place, []))
        return self.answers.refusal(route, 404)

    def _write_key(self, route: Route, call: TwinCall) -> str:
        header = next((call.headers[name] for name in sorted(self.key_headers) if name in call.headers), None)
        if header is not None:
            return f"{route.name} {header}"
        return f"{route.name} {call.path}" if route.name in self.same_state else f"{route.name} #{len(self.written)}"


def _list_place(keep: Keep, body: Any) -> str:
    """Where the list stands in the answer of a list: as it was said, else its first list."""
    if keep.list is not None or not isinstance(body, dict):
        return keep.list or ""
    return next((f"/{name}" for name, part in body.items() if isinstance(part, list)), "")


def _holding(body: Any, member: str, place: str = "") -> Iterator[str]:
    """The places of the objects in an answer that have this member."""
    if isinstance(body, dict):
        if value_at(body, member) is not None:
            yield place
        for name, part in body.items():
            yield from _holding(part, member, f"{place}/{name}")


def _borne_by(call: TwinCall) -> str:
    """All by which a call can prove who makes it, as one text."""
    scheme, _, proof = call.headers.get("authorization", "").partition(" ")
    proof = "".join(basic_of(call)) if scheme.lower() == "basic" else proof
    return "\n".join([proof, *call.headers.values(), *call.query.values()])
