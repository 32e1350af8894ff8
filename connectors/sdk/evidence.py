"""What a source answers, read member by member into the fields of evidence: `evidence.csv` of a connector.

A right that a connection lacks takes members out of an answer without a word: what is not there is absent, never false
and never zero. What is there in another shape than the one due is no answer at all (TryLater).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from schemas.checks import is_date
from schemas.errors import ConfigError, TryLater
from schemas.sheet import sheet_rows
from schemas.times import to_rfc3339

_T = TypeVar("_T")
_COLUMNS = ("evidence", "operation", "field", "member", "read", "said")
_WRONGLY_READ = re.compile("[\x80-\x9f\ud800-\udfff]")  # what another encoding leaves where letters were
_UNSAYABLE = re.compile(r"[\x00-\x1f\x7f]")
_MOST = 50  # items of a list
_DIGITS = 9999
_UNDATED = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Said:
    """Who says a value, of when, how surely, and until when it holds."""

    source: str
    date: str
    quality: str = "authoritative"
    until: str | None = None

    @staticmethod
    def at(moment: datetime, source: str) -> Said:
        return Said(source, to_rfc3339(moment))

    def value(self, value: Any) -> dict[str, Any]:
        told = {"value": value, "source": self.source, "date": self.date, "quality": self.quality}
        return told | ({"valid_until": self.until} if self.until else {})

    def values(self, told: Mapping[str, Any], fields: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
        """Each field that is known and, where `fields` are given, asked for."""
        asked = told if fields is None else frozenset(fields)
        return {name: self.value(value) for name, value in told.items() if value is not None and name in asked}


@dataclass(frozen=True, slots=True)
class Answer:
    """One object of an answer of `service`. `at`: when it was given, where a reader asks for that. Each reader gives
    None for what is not there, and raises TryLater, naming the member, for another shape than its own."""

    data: Mapping[str, Any]
    service: str
    at: datetime = _UNDATED

    def text(self, name: str, longest: int) -> str | None:
        """One line, cut at `longest`. Raises TryLater for what was read in another encoding than its own."""
        value = self._typed(str, name)
        if value is None:
            return None
        if _WRONGLY_READ.search(value):
            raise self.malformed(name)
        return " ".join(_UNSAYABLE.sub(" ", value).split())[:longest].strip() or None

    def boolean(self, name: str) -> bool | None:
        return self._typed(bool, name)

    def number(self, name: str, least: float = 0, most: float = _DIGITS) -> float | int | None:
        """Within its bounds: a sum or a date beyond all measure is none."""
        value = self._typed(int, name) if isinstance(self.data.get(name), int) else self._typed(float, name)
        if value is not None and not least <= value <= most:
            raise self.malformed(name)
        return value

    def integer(self, name: str, least: int = 0, most: int = _DIGITS) -> int | None:
        value = self.number(name, least, most)
        if value is not None and value != int(value):
            raise self.malformed(name)
        return None if value is None else int(value)

    def date(self, name: str) -> str | None:
        """A whole date of the calendar; one that does not exist is not told (a sandbox answer ends on a 31 June)."""
        text = self.text(name, 40)
        return text if text is not None and is_date(text) else None

    def part(self, name: str) -> Answer:
        """The object under a name; an empty one where there is none."""
        return replace(self, data=self._typed(dict, name) or {})

    def parts(self, name: str, most: int = _MOST) -> list[Answer] | None:
        """The objects of a list; None where there is no list."""
        found = self._typed(list, name)
        if found is None:
            return None
        if len(found) > most or not all(isinstance(one, Mapping) for one in found):
            raise self.malformed(name)
        return [replace(self, data=one) for one in found]

    def malformed(self, name: str) -> TryLater:
        return TryLater(f"{self.service} : {name} n'a pas la forme attendue", fault="away.not-json")

    def _typed(self, kind: type[_T], name: str) -> _T | None:
        value = self.data.get(name)
        if value is None:
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.malformed(name)
        return value


Reader = Callable[[Answer, str], Any]
"""Reads a value: the object that holds it, and its name there."""
Saying = Callable[[Answer, Said], Said | None]
"""What is said otherwise of a value of this answer; None: it is not told."""


def _given_number(kind: str, bounds: str) -> Reader:
    least, _, most = bounds.partition("..")
    if kind == "integer":
        return lambda answer, name: answer.integer(name, int(least or 0), int(most or _DIGITS))
    return lambda answer, name: answer.number(name, float(least or 0), float(most or _DIGITS))


def _opposite(answer: Answer, name: str) -> bool | None:
    value = answer.boolean(name)
    return None if value is None else not value


def _reader(words: str, own: Mapping[str, Reader]) -> Reader:
    """`text:100`, `boolean`, `opposite`, `date`, `integer:0..24`, `number:0..1000`, or a reader of the connector's own.
    Raises ConfigError for another word."""
    kind, _, more = words.partition(":")
    if kind in own:
        return own[kind]
    if kind == "text":
        return lambda answer, name: answer.text(name, int(more))
    if kind in ("integer", "number"):
        return _given_number(kind, more)
    plain: Mapping[str, Reader] = {"boolean": Answer.boolean, "date": Answer.date, "opposite": _opposite}
    if kind not in plain:
        raise ConfigError(f'no such reader "{words}"')
    return plain[kind]


@dataclass(frozen=True, slots=True)
class _Row:
    """`target`: the field, and the member of its value where it is an object. `members`: the first that is there."""

    target: tuple[str, ...]
    members: tuple[tuple[str, ...], ...]
    read: Reader
    said: Saying

    def value(self, answer: Answer) -> Any:
        for *above, name in self.members:
            held = answer
            for step in above:
                held = held.part(step)
            if (value := self.read(held, name)) is not None:
                return value
        return None


@dataclass(frozen=True, slots=True)
class EvidencePart:
    """What one operation of a source gives of one type of evidence."""

    evidence: str
    operation: str
    rows: tuple[_Row, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.target[0] for row in self.rows))

    def values(self, answer: Answer, said: Said) -> dict[str, dict[str, Any]]:
        """The fields that the answer tells, as evidence says them."""
        told: dict[str, Any] = {}
        sayings: dict[str, Saying] = {}
        for row in self.rows:
            value = row.value(answer)
            field, *inside = row.target
            if value is not None:
                told[field] = {**told.get(field, {}), inside[0]: value} if inside else value
                sayings[field] = row.said
        found = {field: saying(answer, said) for field, saying in sayings.items()}
        return {field: one.value(told[field]) for field, one in found.items() if one is not None}


class EvidenceTable(Mapping[str, tuple[EvidencePart, ...]]):
    """The parts of each type of evidence, in the order of `evidence.csv`.

    Its columns: `evidence` and `operation`; `field`, of an object with its member (`school/name`); `member`, the place
    in the answer (`a/b`, or the first of `a|b` that is there); `read`, see `_reader`; `said`, what else is said of it.
    """

    def __init__(
        self, path: Path, *, readers: Mapping[str, Reader] | None = None, sayings: Mapping[str, Saying] | None = None
    ) -> None:
        """`readers`, `sayings`: the connector's own words of `read` and `said`."""
        self._path, self._readers, self._sayings = path, readers or {}, {"": _as_it_is, **(sayings or {})}

    @cached_property
    def _parts(self) -> Mapping[str, tuple[EvidencePart, ...]]:
        rows: dict[tuple[str, str], list[_Row]] = {}
        for cells in sheet_rows(self._path, _COLUMNS):
            rows.setdefault((cells["evidence"], cells["operation"]), []).append(self._row(cells))
        parts: dict[str, tuple[EvidencePart, ...]] = {}
        for (evidence, operation), found in rows.items():
            parts[evidence] = (*parts.get(evidence, ()), EvidencePart(evidence, operation, tuple(found)))
        return parts

    def _row(self, cells: Mapping[str, str]) -> _Row:
        members = tuple(tuple(member.split("/")) for member in cells["member"].split("|"))
        target = tuple(cells["field"].split("/"))
        return _Row(target, members, _reader(cells["read"], self._readers), self._sayings[cells["said"]])

    def __getitem__(self, evidence: str) -> tuple[EvidencePart, ...]:
        return self._parts[evidence]

    def __iter__(self) -> Any:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


def _as_it_is(answer: Answer, said: Said) -> Said:
    return said
