"""One row compiled: where its value is looked for, how it is converted, what its absence means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.sdk.mapping.converters import Convert
from connectors.sdk.mapping.faults import BadRow
from connectors.sdk.mapping.places import EACH, Get, Place, Steps, getter
from connectors.sdk.mapping.scalars import is_empty, text_value
from connectors.sdk.mapping.sources import Source
from connectors.sdk.mapping.stars import marked, steps_before
from schemas.errors import InvalidMessage
from schemas.pointers import pointer_of

Read = Callable[[Any, "Run"], Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row in one direction: what is put at `target`. `absent`: what is put where the source says nothing."""

    target: Steps
    source: Source
    convert: Convert
    absent: Any = None
    required: bool = False
    whole: bool = False
    line: int = 0


class Run:
    """One record on its way: the facts, the items of the lists that it is in, and the faults where all are wanted."""

    __slots__ = ("facts", "faults", "scopes")

    def __init__(self, record: Any, facts: Mapping[str, Any], faults: list[InvalidMessage] | None = None) -> None:
        self.facts = facts
        self.faults = faults
        self.scopes: tuple[Any, ...] = (record,)

    def refuse(self, fault: InvalidMessage) -> None:
        """Raise it, or keep it and go on."""
        if self.faults is None:
            raise fault
        self.faults.append(fault)


@dataclass(frozen=True, slots=True)
class Part:
    """`counts`: whether it reads the record or, in a list, its item. An object that does is made only when something
    was found there: constants alone make none."""

    read: Read
    counts: bool


def value_part(rule: Rule, depth: int) -> Part:
    if rule.source.constant is not None:
        return _constant(rule)
    alternatives = [_joined(one, depth, rule.line) for one in rule.source.alternatives]
    pointer, get, outer = alternatives[0]
    if len(alternatives) > 1 or outer is not None:
        return Part(_first_of(rule, alternatives, depth), any(scope is None for *_, scope in alternatives))
    return Part(_only(rule, pointer, get, depth), True)


def _only(rule: Rule, pointer: str, get: Get, depth: int) -> Read:
    convert, missing = rule.convert, _missing(rule, source_pointer(rule, depth))

    def read(here: Any, run: Run) -> Any:
        try:
            value = get(here)
        except InvalidMessage as fault:
            return run.refuse(fault)
        if value is None or (not value.strip() if type(value) is str else not value and is_empty(value)):
            return missing(run)
        try:
            value = convert(value)
        except InvalidMessage as fault:
            fault.pointer = pointer + fault.pointer
            return run.refuse(fault)
        return missing(run) if value is None else value

    return read


def _first_of(rule: Rule, alternatives: list[tuple[str, Get, int | None]], depth: int) -> Read:
    convert, missing = rule.convert, _missing(rule, source_pointer(rule, depth))

    def read(here: Any, run: Run) -> Any:
        for pointer, get, outer in alternatives:
            try:
                value = get(here if outer is None else run.scopes[outer])
                if is_empty(value):
                    continue
            except InvalidMessage as fault:
                return run.refuse(fault)
            try:
                value = convert(value)
            except InvalidMessage as fault:
                fault.pointer = pointer + fault.pointer
                return run.refuse(fault)
            return missing(run) if value is None else value
        return missing(run)

    return read


def _missing(rule: Rule, pointer: str) -> Callable[[Run], Any]:
    absent = rule.absent
    if absent is not None or not rule.required:
        return lambda run: absent
    return lambda run: run.refuse(InvalidMessage("la valeur manque", pointer=pointer, code="missing_value"))


def _constant(rule: Rule) -> Part:
    assert rule.source.constant is not None
    pointers, render, convert = rule.source.constant.pointers, rule.source.constant.renderer(), rule.convert
    pointer = pointers[0] if pointers else ""
    missing = _missing(rule, pointer)

    def read(here: Any, run: Run) -> Any:
        try:
            said = render(run.scopes[0], run.facts)
        except InvalidMessage as fault:
            return run.refuse(fault)
        if said is None:
            return missing(run)
        try:
            return convert(said)
        except InvalidMessage as fault:
            fault.pointer = pointer + fault.pointer
            return run.refuse(fault)

    return Part(read, bool(pointers))


def _joined(places: tuple[Place, ...], depth: int, line: int) -> tuple[str, Get, int | None]:
    """The pointer, what reads, and from which of the lists around it: None for the innermost."""
    found = [_at(place, depth) for place in places]
    pointer, get, outer = found[0]
    if len(found) == 1:
        return pointer, get, outer
    if len({scope for *_, scope in found}) > 1:
        raise BadRow(line, "what is joined must come from one item of a list", key="source")
    gets = [(one, read) for one, read, _ in found]
    return pointer, lambda here: " ".join(_texts(gets, here)), outer


def _texts(gets: list[tuple[str, Get]], here: Any) -> Iterator[str]:
    for pointer, get in gets:
        value = get(here)
        if is_empty(value):
            continue
        try:
            yield text_value(value)
        except InvalidMessage as fault:
            fault.pointer = pointer
            raise


def _at(place: Place, depth: int) -> tuple[str, Get, int | None]:
    scope = min(place.depth, depth)
    before = steps_before(place.steps, scope)
    rest = place.steps[len(before) + 1 :] if scope else place.steps
    start = marked((*before, EACH)) if scope else ""
    pointer = start + pointer_of(rest)
    get = _spread(rest, start) if EACH in rest else getter(rest, start)
    return pointer, get, None if scope == depth else scope


def _spread(steps: Steps, before: str) -> Get:
    """The texts of all items, joined by a space: a list that is read where one value is due."""
    at = steps.index(EACH)
    outer, inner = getter(steps[:at], before), steps[at + 1 :]
    start = before + pointer_of(steps[:at])

    def get(here: Any) -> Any:
        items = outer(here)
        if is_empty(items):
            return None
        if not isinstance(items, list | tuple):
            raise InvalidMessage("une liste est attendue", pointer=start, code="wrong_shape")
        make = _spread if EACH in inner else getter
        places = [f"{start}/{position}" for position in range(len(items))]
        found = [(place + pointer_of(inner), make(inner, place)) for place in places]
        return " ".join(text for one, item in zip(found, items, strict=True) for text in _texts([one], item))

    return get


def source_pointer(rule: Rule, depth: int) -> str:
    """Of the first place that the row reads, with a mark for each list position, which the list fills in; of a list
    that is read as one text, the list."""
    steps = rule.source.places[0].steps if rule.source.places else ()
    return marked(steps_before(steps, depth + 1) if steps.count(EACH) > depth else steps)
