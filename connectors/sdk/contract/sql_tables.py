"""The statements that create a package's tables, read as a contract: a table is an operation, a column a field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from connectors.sdk.contract.model import Contract, Field, Operation, Type
from connectors.sdk.contract.sql_tokens import Token, inside, parted, statements
from schemas.errors import ConfigError

KEY = "x-key"
"""The keyword of `Field.limits` for a column that names a row, alone or with others."""
GROWS = "x-grows"
"""The same for one that the database itself makes grow: a sequence, or the moment of the last change."""
_MAX_BYTES = 64 * 1024 * 1024
_TYPES: Mapping[str, Type] = {
    **dict.fromkeys(("INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT", "MEDIUMINT", "INT2", "INT4", "INT8", "SERIAL",
                     "BIGSERIAL", "SMALLSERIAL", "YEAR", "OID"), "integer"),
    **dict.fromkeys(("DECIMAL", "NUMERIC", "DEC", "NUMBER", "REAL", "FLOAT", "FLOAT4", "FLOAT8", "DOUBLE", "MONEY"),
                    "number"),
    **dict.fromkeys(("BOOL", "BOOLEAN"), "boolean"),
    **dict.fromkeys(("DATE",), "date"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMPTZ", "DATETIME", "DATETIME2", "SMALLDATETIME"), "instant"),
    **dict.fromkeys(("BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "BYTEA", "BINARY", "VARBINARY", "IMAGE"), "bytes"),
    **dict.fromkeys(("JSON", "JSONB"), "any"),
}  # fmt: skip
_GROWING = ("SERIAL", "BIGSERIAL", "SMALLSERIAL", "SERIAL2", "SERIAL4", "SERIAL8")
_TABLE_RULES = (
    "PRIMARY",
    "UNIQUE",
    "CONSTRAINT",
    "FOREIGN",
    "CHECK",
    "EXCLUDE",
    "FULLTEXT",
    "SPATIAL",
    "LIKE",
    "PERIOD",
)
_INDEX = ("KEY", "INDEX")
_VIEW = re.compile(r"\bcreate\b[^;(]{0,80}\bview\b", re.IGNORECASE)
_COLUMN_RULES = {
    "NOT", "NULL", "DEFAULT", "PRIMARY", "UNIQUE", "KEY", "REFERENCES", "CHECK", "COLLATE", "GENERATED", "AS", "ON",
    "AUTO_INCREMENT", "AUTOINCREMENT", "COMMENT", "CONSTRAINT", "CHARACTER", "CHARSET", "IDENTITY", "UNSIGNED",
    "ZEROFILL", "INVISIBLE", "STORED", "VIRTUAL", "DEFERRABLE",
}  # fmt: skip


@dataclass(slots=True)
class SqlTable:
    """One table. `rows`: those that the file puts into it, by column; texts, None for NULL."""

    name: str
    columns: dict[str, Field] = field(default_factory=dict)
    about: str = ""
    rows: list[Mapping[str, str | None]] = field(default_factory=list)

    def mark(self, names: Iterable[str], **limits: Any) -> None:
        for name in names:
            found = next((one for one in self.columns if one.casefold() == name.casefold()), None)
            if found is not None:
                old = self.columns[found]
                self.columns[found] = replace(old, limits={**old.limits, **limits}, required=True, nullable=False)


def read_sql(path: Path, *, table: str = "") -> Contract:
    """The contract of a file of `CREATE TABLE` statements; of one `table` alone where it is named. Raises ConfigError
    for a file without one."""
    found = tables_in(path)
    if table and table.casefold() not in (one.name.casefold() for one in found):
        raise ConfigError(f"has no table {table}; it has {', '.join(one.name for one in found)}", key=path.name)
    said = [one for one in found if not table or one.name.casefold() == table.casefold()]
    return Contract("sql", path, title=path.stem, operations=tuple(map(_operation, said)))


def tables_in(path: Path) -> Sequence[SqlTable]:
    """Every table of the file. Raises ConfigError when there is none."""
    found: dict[str, SqlTable] = {}
    for tokens in statements(_text(path)):
        _take(tokens, found)
    if not found:
        viewed = "; write the columns of its view as a CREATE TABLE" if _VIEW.search(_text(path)) else ""
        raise ConfigError(f"holds no CREATE TABLE statement{viewed}", key=path.name)
    return list(found.values())


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()[:_MAX_BYTES]
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", key=path.name) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _operation(table: SqlTable) -> Operation:
    return Operation(table.name, about=table.about, gives=tuple(table.columns.values()), lists="", harmless=True)


def _take(tokens: Sequence[Token], found: dict[str, SqlTable]) -> None:
    keys = [token.key for token in tokens]
    if keys[:1] == ["CREATE"] and "TABLE" in keys[:6]:
        table = _created(tokens, keys.index("TABLE") + 1)
        if table is not None:
            found[table.name.casefold()] = table
    elif keys[:2] == ["ALTER", "TABLE"]:
        _altered(tokens, found)
    elif keys[:2] == ["INSERT", "INTO"]:
        _inserted(tokens, found)
    elif keys[:3] == ["COMMENT", "ON", "COLUMN"]:
        _commented(tokens, found)


def _named(tokens: Sequence[Token], at: int) -> tuple[str, int]:
    """The last part of `public.tickets`, and where the tokens go on."""
    while at < len(tokens) and tokens[at].key in ("IF", "NOT", "EXISTS", "ONLY"):
        at += 1
    name = ""
    while at < len(tokens) and tokens[at].is_name:
        name = tokens[at].value
        at += 1
        if at >= len(tokens) or tokens[at].value != ".":
            break
        at += 1
    return name, at


def _created(tokens: Sequence[Token], at: int) -> SqlTable | None:
    name, at = _named(tokens, at)
    if not name or at >= len(tokens) or tokens[at].value != "(":
        return None
    body, at = inside(tokens, at)
    table = SqlTable(name, about=_said_after("COMMENT", tokens[at:]))
    parts = list(parted(body))
    for part in parts:
        if part and part[0].is_name and not _is_rule(part):
            column = _column(part)
            table.columns[column.place] = column
    for part in parts:
        if part and _is_rule(part):
            table.mark(_primary(part), **{KEY: True})
    return table


def _is_rule(part: Sequence[Token]) -> bool:
    """A rule of the table; `key text` is a column of SQLite's, `KEY name (a, b)` an index of MySQL's."""
    key = part[0].key
    return key in _TABLE_RULES or (key in _INDEX and any(token.value == "(" for token in part[1:3]))


def _primary(part: Sequence[Token]) -> Iterator[str]:
    keys = [token.key for token in part]
    for at, key in enumerate(keys[:-1]):
        if key == "PRIMARY" and keys[at + 1] == "KEY":
            start = next((n for n in range(at, len(part)) if part[n].value == "("), None)
            body = inside(part, start)[0] if start is not None else []
            yield from (names[0].value for names in parted(body) if names and names[0].is_name)


def _column(part: Sequence[Token]) -> Field:
    name, rest = part[0].value, part[1:]
    end = next((at for at, token in enumerate(rest) if token.key in _COLUMN_RULES), len(rest))
    kind, limits, choices = _typed(rest[:end])
    choices = choices or _checked(rest[end:])
    rules = [token.key for token in rest[end:]]
    pairs = list(pairwise(rules))
    primary = ("PRIMARY", "KEY") in pairs
    if primary:
        limits[KEY] = True
    if _grows(rest[:end], rules, pairs):
        limits[GROWS] = True
    always = ("NOT", "NULL") in pairs or primary or any(token.key in _GROWING for token in rest[:1])
    return Field(
        name, kind, always, "record", about=_said_after("COMMENT", rest[end:]), choices=choices, limits=limits,
        nullable=not always,
    )  # fmt: skip


def _checked(rules: Sequence[Token]) -> tuple[Any, ...]:
    """The words of `CHECK (state IN ('open', 'done'))`; none for any other rule."""
    keys = [token.key for token in rules]
    at = keys.index("CHECK") + 1 if "CHECK" in keys else len(rules)
    body = inside(rules, at)[0] if at < len(rules) and rules[at].value == "(" else []
    if [token.key for token in body[1:2]] != ["IN"]:
        return ()
    listed = [token for token in body[2:] if token.value not in ("(", ")", ",")]
    return tuple(token.value for token in listed) if all(token.kind == "text" for token in listed) else ()


def _grows(typed: Sequence[Token], rules: Sequence[str], pairs: Sequence[tuple[str, str]]) -> bool:
    made = {"AUTO_INCREMENT", "AUTOINCREMENT", "IDENTITY"} & {*rules}
    is_rowid = [token.key for token in typed] == ["INTEGER"] and ("PRIMARY", "KEY") in pairs
    return bool(made) or is_rowid or ("ON", "UPDATE") in pairs or any(token.key in _GROWING for token in typed[:1])


def _typed(tokens: Sequence[Token]) -> tuple[Type, dict[str, Any], tuple[Any, ...]]:
    word = tokens[0].key if tokens else ""
    start = next((at for at, token in enumerate(tokens) if token.value == "("), None)
    given = [token.value for token in inside(tokens, start)[0] if token.value != ","] if start is not None else []
    if word == "ENUM":
        return "text", {}, tuple(given)
    kind = "boolean" if (word, given) in (("TINYINT", ["1"]), ("BIT", ["1"])) else _TYPES.get(word, "text")
    sized = kind == "text" and "CHAR" in word and len(given) == 1 and given[0].isdigit()
    return kind, {"maxLength": int(given[0])} if sized else {}, ()


def _said_after(word: str, tokens: Sequence[Token]) -> str:
    for at, token in enumerate(tokens):
        if token.key == word:
            return next((one.value for one in tokens[at + 1 : at + 3] if one.kind == "text"), "")
    return ""


def _altered(tokens: Sequence[Token], found: Mapping[str, SqlTable]) -> None:
    """pg_dump and phpMyAdmin say keys and sequences behind the tables."""
    name, at = _named(tokens, 2)
    table = found.get(name.casefold())
    if table is None:
        return
    for part in parted(tokens[at:]):
        table.mark(_primary(part), **{KEY: True})
        keys = [token.key for token in part]
        names = [token.value for token in part if token.is_name]
        if {"AUTO_INCREMENT", "IDENTITY"} & {*keys} or "nextval" in names:
            table.mark([one for one in names if one in table.columns][:1], **{GROWS: True})


def _inserted(tokens: Sequence[Token], found: Mapping[str, SqlTable]) -> None:
    name, at = _named(tokens, 2)
    table = found.get(name.casefold())
    if table is None:
        return
    columns = list(table.columns)
    if at < len(tokens) and tokens[at].value == "(":
        body, at = inside(tokens, at)
        columns = [token.value for token in body if token.is_name]
    while at < len(tokens):
        if tokens[at].value == "(":
            body, at = inside(tokens, at)
            cells = [part[0] if part else Token("word", "NULL") for part in parted(body)]
            said = (None if cell.key == "NULL" else cell.value for cell in cells)
            table.rows.append(dict(zip(columns, said, strict=False)))
        else:
            at += 1


def _commented(tokens: Sequence[Token], found: Mapping[str, SqlTable]) -> None:
    names = [token.value for token in tokens[3:] if token.is_name and token.key != "IS"]
    table = found.get(names[-2].casefold()) if len(names) > 1 else None
    if table is not None and names[-1] in table.columns and tokens[-1].kind == "text":
        table.columns[names[-1]] = replace(table.columns[names[-1]], about=tokens[-1].value)
