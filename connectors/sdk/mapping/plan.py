"""A map compiled into closures, in the shape of what it makes: objects, lists, and at their ends one value of a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.sdk.mapping.cells import Part, Read, Rule, Run, source_pointer, value_part
from connectors.sdk.mapping.faults import BadRow
from connectors.sdk.mapping.places import EACH, Get, Place, getter, list_position
from connectors.sdk.mapping.scalars import is_empty
from connectors.sdk.mapping.stars import mark_of, marked, steps_after, steps_before
from schemas.errors import InvalidMessage


@dataclass(slots=True)
class _Node:
    rule: Rule | None = None
    children: dict[str, _Node] = field(default_factory=dict)

    def rules(self) -> Iterator[Rule]:
        if self.rule is not None:
            yield self.rule
        for child in self.children.values():
            yield from child.rules()


def compiled(rules: Sequence[Rule]) -> Read:
    """What makes the whole object. Raises ConfigError, naming the line, for rows that cannot stand together."""
    root = _Node()
    for rule in rules:
        _insert(root, rule)
    return _object(root, 0, always=True).read


def _insert(root: _Node, rule: Rule) -> None:
    node = root
    for step in rule.target:
        node = node.children.setdefault(step, _Node())
    if node.rule is not None:
        raise BadRow(rule.line, f"line {node.rule.line} has the same target", key="target")
    node.rule = rule


def _part(node: _Node, depth: int) -> Part:
    if not node.children:
        assert node.rule is not None
        return value_part(node.rule, depth)
    if EACH in node.children:
        part = _each(node, depth)
    elif "0" in node.children and all(list_position(step) is not None for step in node.children):
        part = _list(node, depth)
    else:
        part = _object(node, depth)
    return part if node.rule is None else _merged(node.rule, part, depth)


# --- objects and lists -----------------------------------------------------------------------------------------------


def _object(node: _Node, depth: int, *, always: bool = False) -> Part:
    parts = [(name, _part(child, depth)) for name, child in node.children.items()]
    counts = any(part.counts for _, part in parts)
    members = tuple((name, part.read, part.counts) for name, part in parts)
    plain = tuple((name, read) for name, read, _ in members)

    def every(here: Any, run: Run) -> Any:
        made = {}
        for name, read in plain:
            value = read(here, run)
            if value is not None:
                made[name] = value
        return made or None

    def with_constants(here: Any, run: Run) -> Any:
        made, found = {}, False
        for name, read, told in members:
            value = read(here, run)
            if value is not None:
                made[name] = value
                found = found or told
        return made if found else None

    return Part(every if always or not counts or all(told for *_, told in members) else with_constants, counts)


def _list(node: _Node, depth: int) -> Part:
    """Items that are absent leave no gap."""
    ordered = sorted(node.children, key=int)
    parts = [_part(node.children[step], depth) for step in ordered]
    reads = tuple(part.read for part in parts)

    def read(here: Any, run: Run) -> Any:
        return [value for part in reads if (value := part(here, run)) is not None] or None

    return Part(read, any(part.counts for part in parts))


def _each(node: _Node, depth: int) -> Part:
    """An item for each item of the one list that the rows below read."""
    below = depth + 1
    if len(node.children) > 1:
        raise BadRow(next(node.rules()).line, "a list is filled by * or by positions, not by both", key="target")
    item = _part(node.children[EACH], below).read
    place = _list_of(list(node.rules()), below)
    before = steps_before(place.steps, below)
    get = getter(steps_after(before, depth), marked(before[: len(before) - len(steps_after(before, depth))]))
    pointer, mark = marked(before), mark_of(below)

    def read(here: Any, run: Run) -> Any:
        outer, made = run.scopes, []
        for position, one in enumerate(_items(get, here, pointer, place.is_pointer, run)):
            if one is None:
                continue
            run.scopes = (*outer, one)
            first = len(run.faults or ())
            try:
                value = item(one, run)
            except InvalidMessage as fault:
                fault.pointer = fault.pointer.replace(mark, str(position))
                raise
            for kept in (run.faults or ())[first:]:
                kept.pointer = kept.pointer.replace(mark, str(position))
            if value is not None:
                made.append(value)
        run.scopes = outer
        return made or None

    return Part(read, True)


def _items(get: Get, here: Any, pointer: str, strict: bool, run: Run) -> Sequence[Any]:
    """The list; one thing alone is a list of one where it comes from XML, which does not tell them apart."""
    try:
        found = get(here)
        if is_empty(found):
            return ()
        if isinstance(found, list | tuple):
            return found
        if strict:
            raise InvalidMessage("une liste est attendue", pointer=pointer, code="wrong_shape")
    except InvalidMessage as fault:
        run.refuse(fault)
        return ()
    return (found,)


def _list_of(rules: list[Rule], depth: int) -> Place:
    places = [place for rule in rules for place in rule.source.places if place.depth >= depth]
    if not places:
        raise BadRow(rules[0].line, "no row of this list reads a list (* in its source)", key="source")
    lists = {steps_before(place.steps, depth) for place in places}
    if len(lists) > 1:
        raise BadRow(rules[0].line, "the rows of one list must read one list", key="source")
    return places[0]


def _merged(rule: Rule, below: Part, depth: int) -> Part:
    """What a hook makes of an object, and the rows that lead into it."""
    if not rule.whole:
        raise BadRow(rule.line, "other rows lead into this target, which only a py: function may fill", key="target")
    above = value_part(rule, depth)
    pointer = source_pointer(rule, depth)

    def read(here: Any, run: Run) -> Any:
        made, more = above.read(here, run), below.read(here, run)
        if made is not None and not isinstance(made, Mapping):
            return run.refuse(InvalidMessage("un objet est attendu", pointer=pointer, code="wrong_shape"))
        return {**(made or {}), **(more or {})} or None

    return Part(read, True)
