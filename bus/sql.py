"""Statements about many rows at once, with a constant text: prepared once, planned once, one round trip.

A statement of which the text grows with the number of its values is compiled, parsed and planned again at each size,
and one that is sent for each row waits for each row. Here a list is one value: an array for PostgreSQL, a JSON text for
SQLite.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, CursorResult, String, Table, TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

_LIST = re.compile(r"\{(\w+):(\w+)\}")
_ROWS = re.compile(r"\{(\w+)\(([^)]*)\)\}")
_CONTROL = re.compile(r'\\[^"\\]')
_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]


class Statement:
    """SQL with two kinds of lists in it.

    `seq {seqs:bigint}`                  `seq` is one of the values of the parameter `seqs`
    `JOIN {pairs(source text, id text)}` a table `pairs` of the rows of the parameter, a list of tuples

    All other parameters are `:name`. No list may hold bytes.
    """

    def __init__(self, template: str) -> None:
        self._template = template
        self._rows = {name: len(columns.split(",")) for name, columns in _ROWS.findall(template)}
        self._lists = [name for name, _ in _LIST.findall(template)]
        self._texts: dict[str, TextClause] = {}

    def run(self, sql: Connection, **values: Any) -> CursorResult[Any]:
        """Execute with these values; a list of rows is a sequence of tuples."""
        dialect = sql.dialect.name
        statement = self._texts.get(dialect)
        if statement is None:
            statement = self._texts[dialect] = text(self._text(dialect))
        for name in self._lists:
            values[name] = _as_list(values[name], dialect)
        for name, width in self._rows.items():
            rows = values.pop(name)
            if dialect == "sqlite":
                values[name] = orjson.dumps(list(rows)).decode()
            else:
                columns = list(zip(*rows, strict=True)) if rows else [()] * width
                values |= {f"{name}_{place}": _array(column) for place, column in enumerate(columns)}
        return sql.execute(statement, values)

    def _text(self, dialect: str) -> str:
        if dialect == "sqlite":
            listed = _LIST.sub(r"IN (SELECT value FROM json_each(:\1))", self._template)
            return _ROWS.sub(lambda found: _sqlite_rows(found[1], found[2]), listed)
        listed = _LIST.sub(r"= ANY(CAST(:\1 AS \2[]))", self._template)
        return _ROWS.sub(lambda found: _postgresql_rows(found[1], found[2]), listed)


def _as_list(values: Collection[Any], dialect: str) -> Any:
    return orjson.dumps(list(values)).decode() if dialect == "sqlite" else _array(list(values))


def _array(values: Sequence[Any]) -> str | list[Any]:
    """A list as PostgreSQL reads one. JSON quotes as it does but for control characters; where there may be one, the
    driver writes the list, which takes it a hundred times as long."""
    if any(isinstance(value, bytes) for value in values):
        members = ",".join("NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values)
    else:
        members = orjson.dumps(values)[1:-1].decode()
        if "\\" in members and _CONTROL.search(members):
            return list(values)
    return f"{{{members}}}"


def _sqlite_rows(name: str, columns: str) -> str:
    names = [column.split()[0] for column in columns.split(",")]
    members = ", ".join(f"json_extract(value, '$[{place}]') AS {column}" for place, column in enumerate(names))
    return f"(SELECT {members} FROM json_each(:{name})) AS {name}"  # noqa: S608 (names are the program's own)


def _postgresql_rows(name: str, columns: str) -> str:
    pairs = [column.split() for column in columns.split(",")]
    arrays = ", ".join(f"CAST(:{name}_{place} AS {kind}[])" for place, (_, kind) in enumerate(pairs))
    return f"unnest({arrays}) AS {name}({', '.join(column for column, _ in pairs)})"


def around_found(table: str, links: str, key: str) -> dict[str, str]:
    """By dialect, what joins `found.id` with its row of `table` and all its `links`, whose column `key` names it.

    Each is looked up by itself, by an index: a plan for the join of a list with a table that was small when the plan
    was made goes on reading the whole table."""
    return {
        "sqlite": f"JOIN {table} ON {table}.id = found.id LEFT JOIN {links} AS links ON links.{key} = found.id",
        "postgresql": f"CROSS JOIN LATERAL (SELECT * FROM {table} WHERE {table}.id = found.id LIMIT 1) AS {table}"  # noqa: S608
        f" LEFT JOIN LATERAL (SELECT * FROM {links} WHERE {key} = found.id OFFSET 0) AS links ON true",
    }


def _array_of(kind: TypeEngine[Any]) -> str:
    # Not VARCHAR(n)[]: a cast cuts a text that is too long, where an insert refuses it.
    return "text[]" if isinstance(kind, String) else f"{kind.compile(_POSTGRESQL)}[]"


class Insert:
    """Many rows into a table by one statement. `conflict` is what follows ON CONFLICT, as `DO NOTHING`; `returning` a
    column whose values come back."""

    def __init__(self, table: Table, columns: Sequence[str] = (), *, conflict: str = "", returning: str = "") -> None:
        self._table, self._returning = table, returning
        self._columns = tuple(columns) or tuple(table.columns.keys())
        self._end = f" ON CONFLICT {conflict}" if conflict else ""
        names = ", ".join(f'"{name}"' for name in self._columns)
        self._head = f'INSERT INTO "{table.name}" ({names})'
        arrays = ", ".join(f"CAST(:{name} AS {_array_of(table.c[name].type)})" for name in self._columns)
        returned = f' RETURNING "{returning}"' if returning else ""
        self._many = text(f"{self._head} SELECT * FROM unnest({arrays}){self._end}{returned}")  # noqa: S608
        self._single = f"{self._head} VALUES ({', '.join('?' for _ in self._columns)}){self._end}"

    def run(self, sql: Connection, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Write the rows. The values of `returning` for those that were written; SQLite gives them in no order."""
        if not rows:
            return []
        if sql.dialect.name == "sqlite":
            return self._run_sqlite(sql, rows)
        result = sql.execute(self._many, {name: _array([row[name] for row in rows]) for name in self._columns})
        return [row[0] for row in result] if self._returning else []

    def _run_sqlite(self, sql: Connection, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        values = [tuple(row[name] for name in self._columns) for row in rows]
        if not self._returning:
            sql.exec_driver_sql(self._single, values)
            return []
        # Nearly always all are new, and then there is nothing to ask of each.
        with sql.begin_nested() as attempt:
            written = sql.exec_driver_sql(self._single, values).rowcount
            if written == len(values) and self._returning in self._columns:
                return [row[self._returning] for row in rows]
            attempt.rollback()
        single = f'{self._single} RETURNING "{self._returning}"'
        return [found[0] for row in values for found in sql.exec_driver_sql(single, row)]
