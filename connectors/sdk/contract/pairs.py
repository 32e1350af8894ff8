"""Which operation and which field of a new contract is which of the old one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from connectors.sdk.contract.model import Contract, Field, Operation
from connectors.sdk.contract.uses import path_key, steps_of
from schemas.names import words_of


@dataclass(frozen=True, slots=True)
class Pair:
    """`old` is None for an operation that came, `new` for one that went. `moved`: the base of its address is another;
    `renamed`: its own name is, and all else is the same."""

    old: Operation | None
    new: Operation | None
    moved: bool = False
    renamed: bool = False

    @property
    def name(self) -> str:
        found = self.old or self.new
        return found.name if found is not None else ""


def paired_operations(old: Contract, new: Contract) -> list[Pair]:
    """By their whole address, however their placeholders are called and whatever part of it the base holds; then by
    their name below it; then by saying and holding the same; the only table of a file by being alone."""
    left, came, pairs = list(old.operations), list(new.operations), []
    if old.kind == "dump" and len(left) == len(came) == 1:
        return [Pair(left[0], came[0])]
    for key in (_address, _way, _content):
        for one in list(left):
            found = next((other for other in came if key(new, other) == key(old, one)), None)
            if found is not None:
                left.remove(one)
                came.remove(found)
                pairs.append(Pair(one, found, key is _way and old.kind == "rest", key is _content))
    order = {id(one): at for at, one in enumerate(old.operations)}
    pairs += [Pair(one, None) for one in left]
    return [*sorted(pairs, key=lambda pair: order[id(pair.old)]), *(Pair(None, one) for one in came)]


def paired_fields(olds: Sequence[Field], news: Sequence[Field]) -> Iterator[tuple[Field, Field | None, Field | None]]:
    """Each field, as it was and as it is: by place; then by place whatever the part of the call or the lists around it;
    then one that was only spelt otherwise (`family_name`, `familyName`); placeholders of a path in their order, since
    their names say nothing. None for one that came or went."""
    left, came = list(olds), list(news)
    keys: tuple[Callable[[Field], object], ...] = (
        lambda one: (one.where, one.place), lambda one: steps_of(one.place), _spelt,
        lambda one: "path" if one.where == "path" else id(one),
    )  # fmt: skip
    for key in keys:
        by_key: dict[object, list[Field]] = {}
        for one in came:
            by_key.setdefault(key(one), []).append(one)
        for one in list(left):
            if found := by_key.get(key(one)):
                other = found.pop(0)
                left.remove(one)
                came.remove(other)
                yield one, one, other
    yield from ((one, one, None) for one in left)
    yield from ((one, None, one) for one in came)


def _address(contract: Contract, operation: Operation) -> object:
    return path_key(operation.name, contract.base) if contract.kind == "rest" else operation.name


def _way(contract: Contract, operation: Operation) -> object:
    return path_key(operation.name) if contract.kind == "rest" else operation.name.casefold()


def _content(contract: Contract, operation: Operation) -> object:
    """What it is about, how it is called and all that it holds; nothing that fits another where it says too little."""
    places = [(one.where, steps_of(one.place)) for one in (*operation.asks, *operation.gives) if one.where != "path"]
    method = operation.name.partition(" ")[0] if contract.kind == "rest" else ""
    return (method, operation.about, places) if operation.about and places else id(operation)


def _spelt(one: Field) -> object:
    return (one.where if one.where == "path" else "", tuple("".join(words_of(step)) for step in steps_of(one.place)))
