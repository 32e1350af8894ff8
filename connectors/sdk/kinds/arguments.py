"""Arguments of an operation as nested tables, and its answer as a record that maps can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from connectors.sdk.shapes import check_known
from connectors.sdk.soap import STRANGE, UnreadableEntry
from schemas.errors import InvalidMessage


def filled(arguments: Any, fill: Callable[[str], str]) -> Any:
    """Arguments as a manifest writes them, the placeholders of their texts filled."""
    if isinstance(arguments, str):
        return fill(arguments)
    if isinstance(arguments, Mapping):
        return {name: filled(value, fill) for name, value in arguments.items()}
    return [filled(one, fill) for one in arguments] if isinstance(arguments, list) else arguments


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Both, tables into tables; where both say a value, the `other` does."""
    both = {
        name: merged(one[name], other[name])
        for name in one.keys() & other.keys()
        if isinstance(one[name], Mapping) and isinstance(other[name], Mapping)
    }
    return {**one, **other, **both}


def with_value(arguments: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The arguments with a value at `arg0/key`."""
    for name in reversed(path.split("/")):
        value = {name: value}
    return merged(arguments, value)


def plain_record(answer: Any) -> dict[str, Any]:
    """The answer of a contract in the types of JSON: dates and times in ISO 8601, numbers of any length as they are
    written. An answer that is one text is `{ return = … }`, nothing is an empty record."""
    if answer is None:
        return {}
    found = _plain(answer)
    return found if isinstance(found, dict) else {"return": found}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def readable(record: Any) -> Any:
    """The record of a list. Raises InvalidMessage for one that the contract could not read, at its place in it."""
    if isinstance(record, UnreadableEntry):
        place = "".join(f"/{step}" for step in record.path.split("/")[1:])
        if record.rule == STRANGE:
            check_known(place)
        raise InvalidMessage("une valeur est illisible", pointer=place, code="unreadable", rule=record.rule)
    return record
