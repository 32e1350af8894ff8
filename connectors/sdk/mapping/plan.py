"""A map compiled into closures, in the shape of what it makes: objects, lists, and at their ends one value of a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.sdk.mapping.converters import Convert
from connectors.sdk.mapping.faults import BadRow
from connectors.sdk.mapping.places import EACH, Get, Place, Steps, getter, list_position
from connectors.sdk.mapping.scalars import is_empty, text_value
from connectors.sdk.mapping.sources import Source
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


@dataclass(slots=True)
class _Node:
    rule: Rule | None = None
    children: dict[str, _Node] = field(default_factory=dict)

    def rules(self) -> Iterator[Rule]:
        if self.rule is not None:
            yield self.rule
        for child in self.children.values():
            yield from child.rules()


@dataclass(frozen=True, slots=True)
class _Part:
    """`counts`: whether it reads the record or, in a list, its item. An object that does is made only when something
    was found there: constants alone make none."""

    read: Read
    counts: bool


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


def _part(node: _Node, depth: int) -> _Part:
    if not node.children:
        assert node.rule is not None
        return _value(node.rule, depth)
    if EACH in node.children:
        part = _each(node, depth)
    elif "0" in node.children and all(list_position(step) is not None for step in node.children):
        part = _list(node, depth)
    else:
        part = _object(node, depth)
    return part if node.rule is None else _merged(node.rule, part, depth)


# --- objects and lists -----------------------------------------------------------------------------------------------


def _object(node: _Node, depth: int, *, always: bool = False) -> _Part:
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

    return _Part(every if always or not counts or all(told for *_, told in members) else with_constants, counts)


def _list(node: _Node, depth: int) -> _Part:
    """Items that are absent leave no gap."""
    ordered = sorted(node.children, key=int)
    parts = [_part(node.children[step], depth) for step in ordered]
    reads = tuple(part.read for part in parts)

    def read(here: Any, run: Run) -> Any:
        return [value for part in reads if (value := part(here, run)) is not None] or None

    return _Part(read, any(part.counts for part in parts))


def _each(node: _Node, depth: int) -> _Part:
    """An item for each item of the one list that the rows below read."""
    below = depth + 1
    if len(node.children) > 1:
        raise BadRow(next(node.rules()).line, "a list is filled by * or by positions, not by both", key="target")
    item = _part(node.children[EACH], below).read
    place = _list_of(list(node.rules()), below)
    before = _steps_before(place.steps, below)
    get = getter(_after(before, depth), _marked(before[: len(before) - len(_after(before, depth))]))
    pointer, mark = _marked(before), _mark(below)

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

    return _Part(read, True)


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
    lists = {_steps_before(place.steps, depth) for place in places}
    if len(lists) > 1:
        raise BadRow(rules[0].line, "the rows of one list must read one list", key="source")
    return places[0]


def _merged(rule: Rule, below: _Part, depth: int) -> _Part:
    """What a hook makes of an object, and the rows that lead into it."""
    if not rule.whole:
        raise BadRow(rule.line, "other rows lead into this target, which only a py: function may fill", key="target")
    above = _value(rule, depth)
    pointer = _pointer(rule, depth)

    def read(here: Any, run: Run) -> Any:
        made, more = above.read(here, run), below.read(here, run)
        if made is not None and not isinstance(made, Mapping):
            return run.refuse(InvalidMessage("un objet est attendu", pointer=pointer, code="wrong_shape"))
        return {**(made or {}), **(more or {})} or None

    return _Part(read, True)


# --- one value -------------------------------------------------------------------------------------------------------


def _value(rule: Rule, depth: int) -> _Part:
    if rule.source.constant is not None:
        return _constant(rule)
    alternatives = [_joined(one, depth, rule.line) for one in rule.source.alternatives]
    pointer, get, outer = alternatives[0]
    if len(alternatives) > 1 or outer is not None:
        return _Part(_first_of(rule, alternatives, depth), any(scope is None for *_, scope in alternatives))
    return _Part(_only(rule, pointer, get, depth), True)


def _only(rule: Rule, pointer: str, get: Get, depth: int) -> Read:
    convert, missing = rule.convert, _missing(rule, depth)

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
    convert, missing = rule.convert, _missing(rule, depth)

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


def _missing(rule: Rule, depth: int) -> Callable[[Run], Any]:
    pointer, absent = _pointer(rule, depth), rule.absent
    if absent is not None or not rule.required:
        return lambda run: absent
    return lambda run: run.refuse(InvalidMessage("la valeur manque", pointer=pointer, code="missing_value"))


def _constant(rule: Rule) -> _Part:
    assert rule.source.constant is not None
    text, render, convert = rule.source.constant, rule.source.constant.renderer(), rule.convert
    pointer = text.pointers[0] if text.pointers else ""

    def read(here: Any, run: Run) -> Any:
        try:
            said = render(run.scopes[0], run.facts)
        except InvalidMessage as fault:
            return run.refuse(fault)
        try:
            return None if said is None else convert(said)
        except InvalidMessage as fault:
            fault.pointer = pointer + fault.pointer
            return run.refuse(fault)

    return _Part(read, bool(text.pointers))


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
    before = _steps_before(place.steps, scope)
    rest = place.steps[len(before) + 1 :] if scope else place.steps
    start = _marked((*before, EACH)) if scope else ""
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
        places = [f"{start}/{position}" for position in range(len(items))]
        make = _spread if EACH in inner else getter
        found = [(place, lambda one, place=place: make(inner, place)(one)) for place in places]
        return " ".join(text for pair, item in zip(found, items, strict=True) for text in _texts([pair], item))

    return get


# --- pointers --------------------------------------------------------------------------------------------------------


def _pointer(rule: Rule, depth: int) -> str:
    """Of the first place that the row reads, with a mark for each list position, which the list fills in; of a list
    that is read as one text, the list."""
    steps = rule.source.places[0].steps if rule.source.places else ()
    return _marked(_steps_before(steps, depth + 1) if steps.count(EACH) > depth else steps)


def _marked(steps: Steps) -> str:
    parts, depth = [], 0
    for step in steps:
        depth += step == EACH
        parts.append("/" + _mark(depth) if step == EACH else pointer_of((step,)))
    return "".join(parts)


def _mark(depth: int) -> str:
    return f"\x00{depth}"


def _steps_before(steps: Steps, depth: int) -> Steps:
    """The way to the list of the `depth`-th `*`."""
    stars = [at for at, step in enumerate(steps) if step == EACH]
    return steps[: stars[depth - 1]] if depth else ()


def _after(steps: Steps, depth: int) -> Steps:
    """What is left behind the `depth`-th `*`."""
    stars = [at for at, step in enumerate(steps) if step == EACH]
    return steps[stars[depth - 1] + 1 :] if depth else steps
