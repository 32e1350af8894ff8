"""Places in the values of a message: `arg0/montant`, `return/items/0/etat`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.sdk.contract.message_schemas import Node


def value_at(values: Any, place: str) -> Any:
    """What stands there; None for nothing."""
    for step in place.split("/"):
        if isinstance(values, list):
            values = values[int(step)] if step.isdecimal() and int(step) < len(values) else None
        else:
            values = values.get(step) if isinstance(values, Mapping) else None
    return values


def with_value_at(values: Any, place: str, value: Any) -> Any:
    """The same with another value there; what stands on the way and is not there yet is made."""
    step, _, rest = place.partition("/")
    if step.isdecimal():
        known = list(values) if isinstance(values, list) else []
        known += [None] * (int(step) + 1 - len(known))
        known[int(step)] = with_value_at(known[int(step)], rest, value) if rest else value
        return known
    found = dict(values) if isinstance(values, Mapping) else {}
    found[step] = with_value_at(found.get(step), rest, value) if rest else value
    return found


def leaves(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each single value with the name of its element."""
    if isinstance(values, Mapping):
        for key, part in values.items():
            yield from leaves(part, str(key))
    elif isinstance(values, list | tuple):
        for part in values:
            yield from leaves(part, name)
    elif values is not None:
        yield name, values


def node_at(node: Node, place: str) -> Node | None:
    """What the schema says of a place; None where it has no such."""
    for step in place.split("/"):
        if not step.isdecimal():
            found = next((part for part in node.parts if part.name == step), None)
            if found is None:
                return None
            node = found
    return node


def scalars(node: Node, where: str = "") -> Iterator[tuple[str, Node]]:
    """Each single value that a node without lists holds, by its place."""
    for part in node.parts:
        place = f"{where}/{part.name}" if where else part.name
        if part.parts and not part.many:
            yield from scalars(part, place)
        elif not part.parts and not part.many:
            yield place, part
