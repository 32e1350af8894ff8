"""Statements about many rows at once, with a constant text: prepared once, planned once, one round trip for several.

A statement of which the text grows with the number of its values is compiled, parsed and planned again at each size,
and one that is sent for each row waits for each row. Here a list is one value: an array for PostgreSQL, a JSON text for
SQLite.

What is sent with `send` waits, on PostgreSQL, for the next statement whose answer is needed, or for the commit, and
goes with it in one round trip, in the order in which it was sent. Whatever goes through SQLAlchemy in between lets it
go first. SQLite, which has no way to go, does it at once.
"""

from __future__ import annotations

import re
import time
from collections import namedtuple
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Connection, CursorResult, Engine, String, Table, TextClause, event, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

_LIST = re.compile(r"\{(\w+):(\w+)\}")
_ROWS = re.compile(r"\{(\w+)\(([^)]*)\)\}")
_CONTROL = re.compile(r'\\[^"\\]')
_NAME = re.compile(r"(?<![:\w]):(\w+)(?!:)")
_WAITING, _COUNT = "waiting", "sent"  # in the `info` of a connection: what was not sent yet, how many were
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
        self._lists = list(dict.fromkeys(name for name, _ in _LIST.findall(template)))  # one may stand twice
        self._texts: dict[str, TextClause] = {}
        self._plain = ""

    def run(self, sql: Connection, **values: Any) -> CursorResult[Any]:
        """Execute with these values; a list of rows is a sequence of tuples."""
        dialect = sql.dialect.name
        statement = self._texts.get(dialect)
        if statement is None:
            statement = self._texts[dialect] = text(self._text(dialect))
        return sql.execute(statement, self._bound(dialect, values))

    def send(self, sql: Connection, **values: Any) -> Sent:
        """As `run`, but not at once: the rows are there when they are asked for."""
        if sql.dialect.name == "sqlite":
            result = self.run(sql, **values)
            return Sent(sql, rows=result.all() if result.returns_rows else [])
        self._plain = self._plain or _driver_text(self._text("postgresql"))
        return _wait(sql, self._plain, self._bound("postgresql", values))

    def _bound(self, dialect: str, values: dict[str, Any]) -> dict[str, Any]:
        for name in self._lists:
            values[name] = _as_list(values[name], dialect)
        for name, width in self._rows.items():
            rows = values.pop(name)
            if dialect == "sqlite":
                values[name] = orjson.dumps(list(rows)).decode()
            else:
                columns = list(zip(*rows, strict=True)) if rows else [()] * width
                values |= {f"{name}_{place}": _array(column) for place, column in enumerate(columns)}
        return values

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


def around_found(table: str, links: str, key: str, *, of: str = "id") -> dict[str, str]:
    """By dialect, what joins `found.id` with its row of `table`, and with all the `links` whose column `key` names
    `found.<of>`.

    Each is looked up by itself, by an index: a plan for the join of a list with a table that was small when the plan
    was made goes on reading the whole table."""
    return {
        "sqlite": f"JOIN {table} ON {table}.id = found.id LEFT JOIN {links} AS links ON links.{key} = found.{of}",
        "postgresql": f"CROSS JOIN LATERAL (SELECT * FROM {table} WHERE {table}.id = found.id LIMIT 1) AS {table}"  # noqa: S608
        f" LEFT JOIN LATERAL (SELECT * FROM {links} WHERE {key} = found.{of} OFFSET 0) AS links ON true",
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
        many = f"{self._head} SELECT * FROM unnest({arrays}){self._end}{returned}"  # noqa: S608
        self._many, self._plain = text(many), _driver_text(many)
        self._single = f"{self._head} VALUES ({', '.join('?' for _ in self._columns)}){self._end}"

    def run(self, sql: Connection, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Write the rows. The values of `returning` for those that were written; SQLite gives them in no order."""
        if not rows:
            return []
        if sql.dialect.name == "sqlite":
            return self._run_sqlite(sql, rows)
        result = sql.execute(self._many, self._bound(rows))
        return [row[0] for row in result] if self._returning else []

    def send(self, sql: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows, not at once; an error comes with what makes them go, at the latest with the commit."""
        if rows and sql.dialect.name == "sqlite":
            self._run_sqlite(sql, rows)
        elif rows:
            _wait(sql, self._plain, self._bound(rows))

    def _bound(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {name: _array([row[name] for row in rows]) for name in self._columns}

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


class Sent:
    """A statement that was sent, or goes with the next one."""

    __slots__ = ("_cursor", "_rows", "_sql", "answered_at", "text", "values")

    def __init__(
        self, sql: Connection, text: str = "", values: Mapping[str, Any] | None = None, *,
        rows: Sequence[Any] | None = None,
    ) -> None:  # fmt: skip
        self._sql, self.text, self.values, self._rows = sql, text, values, rows
        self._cursor: Any = None
        self.answered_at = 0.0  # by the monotonic clock; 0 before

    def all(self) -> Sequence[Any]:
        """Its rows, each with its columns by name and by place."""
        if self._rows is None:
            deliver(self._sql)
        assert self._rows is not None, "it failed"
        return self._rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self.all())

    def go(self, driver: Any) -> None:
        cursor = driver.cursor()
        cursor.execute(self.text, self.values)
        self._cursor = cursor

    def answered(self) -> None:
        about = self._cursor.description
        make = _row(tuple(column.name for column in about)) if about else tuple
        self._rows = [make(found) for found in self._cursor.fetchall()] if about else []
        self._cursor, self.answered_at = None, time.monotonic()


def deliver(sql: Connection) -> None:
    """Send what waits, and wait for the answers. Raises what a statement that fails would have raised."""
    waiting: list[Sent] = sql.info.pop(_WAITING, None) or []
    if not waiting:
        return
    sql.info[_COUNT] = sent_so_far(sql) + len(waiting)
    driver: Any = sql.connection.driver_connection
    try:
        if len(waiting) == 1:
            waiting[0].go(driver)
        else:
            with driver.pipeline():
                for one in waiting:
                    one.go(driver)
        for one in waiting:
            one.answered()
    except sql.dialect.loaded_dbapi.Error as error:
        raise _as_ever(sql, driver, waiting, _first(error)) from error


def commit(sql: Connection) -> None:
    """Commit, in the same round trip as what waits."""
    waiting = sql.info.get(_WAITING, ())
    if waiting and waiting[-1].text != _BEGIN:
        waiting.append(Sent(sql, "COMMIT"))
        deliver(sql)  # before the library takes the transaction for over: it rolls back what fails here
    sql.commit()


def sent_so_far(sql: Connection) -> int:
    """How many statements went on this connection, or will go: while the number stays, what was read is not changed by
    us since. Of PostgreSQL."""
    return int(sql.info.get(_COUNT, 0)) + len(sql.info.get(_WAITING, ()))


_BEGIN = "BEGIN"


def gathers(engine: Engine) -> None:
    """Make the connections of an engine to PostgreSQL keep what is sent together in its order. They commit by
    themselves what is in no transaction: BEGIN, too, is sent with what follows it."""

    @event.listens_for(engine, "begin")
    def _begin(sql: Connection) -> None:
        sql.info[_WAITING] = [] if sql.get_execution_options().get("reading", False) else [Sent(sql, _BEGIN)]

    @event.listens_for(engine, "before_cursor_execute")
    def _first(sql: Connection, *_: Any) -> None:
        deliver(sql)
        sql.info[_COUNT] = sent_so_far(sql) + 1

    @event.listens_for(engine, "commit")
    def _last(sql: Connection) -> None:
        waiting = sql.info.get(_WAITING)
        if waiting and waiting[-1].text == _BEGIN:
            waiting.clear()
        try:
            deliver(sql)
        except DBAPIError:
            if not sql.invalidated:
                sql.connection.rollback()
            raise

    @event.listens_for(engine, "rollback")
    def _never(sql: Connection) -> None:
        if not sql.invalidated:
            sql.info.pop(_WAITING, None)


def _wait(sql: Connection, text: str, values: Mapping[str, Any]) -> Sent:
    if not sql.in_transaction():
        sql.begin()
    sent = Sent(sql, text, values)
    sql.info.setdefault(_WAITING, []).append(sent)
    return sent


def _first(error: Any) -> Any:
    """What failed, not that those after it were not done: which of the two the driver raises depends on when their
    answers come."""
    while type(error).__name__ == "PipelineAborted" and error.__context__ is not None:
        error = error.__context__
    return error


def _as_ever(sql: Connection, driver: Any, waiting: Sequence[Sent], error: Any) -> Exception:
    """The driver's error as SQLAlchemy raises it; a connection that broke is used no more, nor those beside it."""
    broken = sql.dialect.is_disconnect(error, driver, None)
    if broken:
        sql.invalidate(error)
        sql.engine.dispose(close=False)
    text = "; ".join(one.text for one in waiting)
    known: Exception = DBAPIError.instance(
        text, None, error, sql.dialect.loaded_dbapi.Error, hide_parameters=True, connection_invalidated=broken,
        dialect=sql.dialect,
    )  # fmt: skip
    return known


def _driver_text(text: str) -> str:
    return _NAME.sub(r"%(\1)s", text.replace("%", "%%"))


@lru_cache(maxsize=256)
def _row(names: tuple[str, ...]) -> Any:
    row: Any = namedtuple("Row", names)  # type: ignore[misc]
    return row._make
