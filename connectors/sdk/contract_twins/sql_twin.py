"""The twin of a package's database, its table as the package's own statements create it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connectors.sdk.contract.model import Field, Operation
from connectors.sdk.contract.sql_tables import KEY
from connectors.sdk.sql_twin import SqlTwin, quoted

_STORED: Mapping[str, str] = {
    "integer": "'integer'", "number": "'integer', 'real'", "boolean": "'integer'", "text": "'text'", "date": "'text'",
    "instant": "'text'", "bytes": "'blob', 'text'",
}  # fmt: skip
_FIRM = ("integer", "number", "boolean", "date", "instant")  # no database holds a text where such a value stands


def sql_twin_of(table: Operation) -> SqlTwin:
    """It refuses what the declared table refuses: another type, nothing where something must be, a text too long, a
    word that is none of its choices, a date that is none."""
    rules = {one.place: " and ".join(_rules(one)) or "1" for one in table.gives}
    types = {one.place: rules[one.place] for one in table.gives if one.type in _FIRM}
    return SqlTwin(table.name, [one.place for one in table.gives], rules, types)


def _rules(column: Field) -> Iterator[str]:
    name = quoted(column.place)
    if not column.nullable or column.limits.get(KEY):
        yield f"{name} is not null"
    yield from (f"({name} is null or {rule})" for rule in _of_values(column, name))


def _of_values(column: Field, name: str) -> Iterator[str]:
    if column.type in _STORED:
        yield f"typeof({name}) in ({_STORED[column.type]})"
    if column.type in ("date", "instant"):
        yield f"julianday({name}) is not null"
    if "maxLength" in column.limits:
        yield f"length({name}) <= {int(column.limits['maxLength'])}"
    if column.choices:
        words = ", ".join("'" + str(one).replace("'", "''") + "'" for one in column.choices)
        yield f"{name} in ({words})"
