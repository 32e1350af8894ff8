"""Statements about many rows mean the same on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, Connection, Double, LargeBinary, MetaData, SmallInteger, String, select
from sqlalchemy import Table as MadeOf
from sqlalchemy.exc import DBAPIError

from bus.ledger import Ledger
from bus.sql import Insert, Statement

things = MadeOf(
    "things", MetaData(),
    Column("name", String(12), primary_key=True), Column("size", BigInteger), Column("mark", SmallInteger),
    Column("at", Double), Column("seal", LargeBinary(4)),
)  # fmt: skip

ROWS: list[dict[str, Any]] = [
    {"name": "one", "size": 1, "mark": 0, "at": 0.5, "seal": b"\x00\xff"},
    {"name": "tw'o", "size": 2**40, "mark": None, "at": None, "seal": None},
    {"name": 'th"{re},e', "size": None, "mark": 3, "at": 1e9, "seal": b""},
]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def sql(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[Connection]:
    url = f"sqlite:///{tmp_path}/sql.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    ledger = Ledger(url)
    with ledger.engine.connect() as connection:
        things.create(connection)
        yield connection
    ledger.close()


def test_rows_come_back_as_they_were_written(sql: Connection) -> None:
    Insert(things).run(sql, ROWS)

    found = sql.execute(select(things)).mappings()

    assert sorted((dict(row) for row in found), key=str) == sorted(ROWS, key=str)


@pytest.mark.parametrize("text", ["NULL", "", "a\nb", "\\n", 'a\\"b', "{é,œ}", "\x7f", "it's ☎", "\\", " x "])
def test_any_text_comes_back_from_a_list(sql: Connection, text: str) -> None:
    Insert(things).run(sql, [ROWS[0] | {"name": text}, ROWS[1]])

    same = Statement("SELECT name FROM things WHERE name {names:text}")
    joined = Statement("SELECT things.name FROM {asked(name text)} JOIN things ON things.name = asked.name")

    assert [row.name for row in same.run(sql, names=[text])] == [text]
    assert [row.name for row in joined.run(sql, asked=[(text,)])] == [text]


def test_what_is_there_already_is_left_and_only_the_new_is_told(sql: Connection) -> None:
    insert = Insert(things, conflict="DO NOTHING", returning="size")
    assert sorted(insert.run(sql, ROWS[:2])) == [1, 2**40]

    assert insert.run(sql, [ROWS[0] | {"size": 9}, ROWS[2] | {"size": 7}]) == [7]
    assert insert.run(sql, []) == []


def test_a_text_that_is_too_long_is_refused_and_not_cut(sql: Connection) -> None:
    if sql.dialect.name == "sqlite":
        Insert(things).run(sql, [ROWS[0] | {"name": "x" * 13}])  # SQLite has no limit, and cuts nothing
        assert sql.execute(select(things.c.name)).scalar_one() == "x" * 13
        return
    with pytest.raises(DBAPIError):
        Insert(things).run(sql, [ROWS[0] | {"name": "x" * 13}])


def test_a_list_is_one_value(sql: Connection) -> None:
    Insert(things).run(sql, ROWS)
    by_size = Statement("SELECT name FROM things WHERE size {sizes:bigint} AND name <> :other")
    by_name = Statement("SELECT size FROM things WHERE name {names:text} ORDER BY size")

    assert [row.name for row in by_size.run(sql, sizes=[1, 2**40, 5], other="one")] == ["tw'o"]
    assert by_size.run(sql, sizes=[], other="").all() == []
    assert [row.size for row in by_name.run(sql, names=["tw'o", "one", 'a"b'])] == [1, 2**40]


def test_a_list_of_rows_is_a_table(sql: Connection) -> None:
    Insert(things).run(sql, ROWS)
    statement = Statement(
        "UPDATE things SET mark = news.mark FROM {news(name text, mark smallint)} WHERE things.name = news.name"
    )

    statement.run(sql, news=[("one", 7), ('th"{re},e', None)])
    statement.run(sql, news=[])

    marks = {row.name: row.mark for row in sql.execute(select(things))}
    assert marks == {"one": 7, "tw'o": None, 'th"{re},e': None}
