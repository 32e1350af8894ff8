"""What a twin keeps: records by their key, changed, listed and paged as calls say."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.sdk.contract_twins.places import members, merged, with_value, without_value
from connectors.sdk.contract_twins.values import numbered
from connectors.sdk.kinds.calls import value_at

Record = dict[str, Any]
_FIRST = {"page": 1, "offset": 0}


@dataclass(frozen=True, slots=True)
class Keep:
    """One `[[twin.keep]]`. `path`: that of one record, `users/{id}`; its list is one step above. `key`: where an answer
    about one record holds its key, `/user/id`: the record is what stands above it. `list`: where the list stands in the
    answer of its list, "" when the answer is the list, None for where the contract says."""

    path: str
    key: str
    list: str | None = None

    @property
    def listing(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def around(self) -> str:
        """Where an answer about one record holds the record."""
        return self.key.rpartition("/")[0]

    @property
    def member(self) -> str:
        """Where a record holds its key."""
        return "/" + self.key.rpartition("/")[2]


@dataclass(slots=True)
class Shelf:
    """The records of one `Keep`. `template`: what a new one is made of. `known`: keys of records that were always
    there, which a list shows only to who asks for one of them. `fits`: which records a call lists, beside those that
    its query names; parameters that are `unasked` name nothing. `sorting`: their order. `alone`: its list holds nothing
    but what was put here; else, as long as nothing was, it is the one that the contract shows."""

    keep: Keep
    template: Callable[[], Record]
    known: set[str] = field(default_factory=set)
    records: dict[str, Record] = field(default_factory=dict)
    fits: Callable[[Record, Mapping[str, str]], bool] = lambda record, query: True
    sorting: Callable[[Record], Any] | None = None
    unasked: frozenset[str] = frozenset()
    alone: bool = False

    @property
    def is_listed(self) -> bool:
        return self.alone or bool(self.records.keys() - self.known)

    def know(self, key: str) -> None:
        """Let a record of this key have been there always."""
        self.known.add(key)
        self.put(self.with_key(self.template(), key))

    def get(self, key: str) -> Record | None:
        return self.records.get(key)

    def put(self, record: Record) -> Record:
        self.records[str(value_at(record, self.keep.member))] = record
        return record

    def new(self, said: Any) -> Record:
        """A record that was not there before, with what was said of it."""
        first, count = self.template(), len(self.records)
        key = numbered(value_at(first, self.keep.member), count)
        while str(key) in self.records:
            count += 1
            key = numbered(value_at(first, self.keep.member), count)
        made = merged(first, said) if isinstance(said, Mapping) else first
        return self.put(with_value(made, self.keep.member, key))

    def change(self, key: str, said: Any) -> Record | None:
        found = self.get(key)
        if found is None:
            return None
        inside = said.get(self.keep.around.strip("/")) if isinstance(said, Mapping) and self.keep.around else None
        made = merged(found, inside if isinstance(inside, Mapping) else said if said is not None else {})
        return self.put(self.with_key(made, key))

    def with_key(self, record: Record, key: str) -> Record:
        before = value_at(record, self.keep.member)
        whole = isinstance(before, int) and not isinstance(before, bool) and key.lstrip("-").isdecimal()
        made: Record = with_value(record, self.keep.member, int(key) if whole else key)
        return made

    def listed(self, query: Mapping[str, str]) -> list[Record]:
        """Those that the query asks for: where it names a member of the records, by its value."""
        shown = [key for key in self.records if key not in self.known or self.keep.member.strip("/") in query]
        found = [self.records[key] for key in shown if self.fits(self.records[key], query)]
        names = {name for one in found for name, _ in members(one)}
        for name in names & query.keys() - self.unasked:
            found = [one for one in found if str(dict(members(one)).get(name)) == query[name]]
        return sorted(found, key=self.sorting) if self.sorting is not None else found


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """One page of a list: its records, what the answer holds of the next, the header that leads there."""

    records: list[Record]
    next: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


def page_of(
    records: list[Record], paging: Mapping[str, Any], query: Mapping[str, str], address: str, size: int
) -> PageAnswer:
    """By a table `paging` as `[poll]` has it. `address`: where the list is, with its query but for the page."""
    kind = paging.get("kind")
    if kind is None:
        return PageAnswer(records)
    name = str(paging.get("param", "offset"))
    asked = query.get(name, "")
    start = int(asked) if asked.isdecimal() else 0
    if kind == "page":
        start = (max(start, paging.get("first", 1)) - int(paging.get("first", _FIRST["page"]))) * size
    more = start + size < len(records)
    shown = copy.deepcopy(records[start : start + size])
    if kind in _FIRST or not more:
        return PageAnswer(shown)
    following = f"{address}{'&' if '?' in address else '?'}{name}={start + size}"
    if kind == "cursor":
        return PageAnswer(shown, str(start + size))
    return PageAnswer(shown, following) if kind == "next" else PageAnswer(
        shown, headers={"Link": f'<{following}>; rel="next"'}
    )  # fmt: skip


def list_answer(body: Any, place: str, page: PageAnswer, next_place: str) -> Any:
    """An answer with another page of its list in it."""
    made = with_value(body, place, page.records)
    if not next_place:
        return made
    return without_value(made, next_place) if page.next is None else with_value(made, next_place, page.next)


def shelf_of(shelves: Iterable[Shelf], path: str) -> tuple[Shelf, bool] | None:
    """The shelf whose record, or list, the path of an operation is about; whether it is about one record."""
    for shelf in shelves:
        if path == shelf.keep.path:
            return shelf, True
        if path == shelf.keep.listing:
            return shelf, False
    return None
