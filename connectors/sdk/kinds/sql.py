"""The kind `sql`: rows of a package's database, read by a query of its manifest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from connectors.sdk.connector import Context
from connectors.sdk.database import ReadOnlyDatabase, query_faults
from connectors.sdk.kinds.checks import facts_known, unknown_names
from connectors.sdk.kinds.declared import DeclaredConnector
from connectors.sdk.kinds.events import Collected, collect_one
from connectors.sdk.kinds.texts import names_in
from schemas.answer_shape import COLUMNS
from schemas.delivery import Polled, Probe
from schemas.errors import ConfigError, HubError, InvalidMessage
from schemas.event import MAX_BATCH
from schemas.manifest import declared_settings, seconds_of
from schemas.secret import Secret

_MOST_PAGES = 200
_LIMIT = re.compile(r"\blimit\s+([0-9]+)\s*$", re.IGNORECASE)
_SAFE_KEY = re.compile(r"[A-Za-z0-9._:+-]{1,64}")
_KINDS: Mapping[str, Callable[[str], Any]] = {
    "moment": datetime.fromisoformat,
    "day": date.fromisoformat,
    "number": Decimal,
}


class SqlConnector(DeclaredConnector):
    """A package whose database may be read.

    Rows come in the order of a column that only grows. On a page that is full the last ones of one value are left for
    the next, so that no row of that value is passed over; the hub keeps the value with the events.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._sql: Mapping[str, Any] = self.declared["sql"]
        self._query: str = self._sql["query"]
        self._column: str = self._sql["cursor"]
        found = _LIMIT.search(self._query)
        self._page = min(MAX_BATCH, int(found[1])) if found else MAX_BATCH
        self._readers = self.event_readers("sql", "event")
        user = self.fill(self._sql["user"]) if self._is_set("user") else ""
        password = self.fill_secret(self._sql["password"]) if self._is_set("password") else None
        self.database = ReadOnlyDatabase(
            self.fill(self._sql["url"]), user=user, password=password,
            timeout=seconds_of(self._sql.get("timeout", "20s")),
        )  # fmt: skip

    def probe(self) -> Probe:
        """Whether the database answers, and the query is one of it: asked once, for one row, from the beginning."""
        try:
            self.database.check()
            rows = self.database.read(self._query, {"cursor": self._sql.get("first", 0)}, 1)
            self._check_column(rows)
        except HubError as error:
            return self.said_by_probe(error)
        return self.said_by_probe(None)

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        """Page by page until one holds nothing new."""
        reached = _restored(cursor) if cursor else self._sql.get("first", 0)
        known = cursor is not None
        for _ in range(_MOST_PAGES):
            page = self.database.read(self._query, {"cursor": reached}, self._page)
            self.context.shapes.see("query", page, COLUMNS)
            found = Collected()
            rows = self._whole_values(self._ranked(page, reached, known, found), full=len(page) >= self._page)
            if not rows:
                yield from [found.polled()] if found.faults else []
                return
            self._check_order(rows, reached, known=known)
            reached, known = rows[-1][self._column], True
            for row in rows:
                collect_one(found, row, self._readers, place=self._place_of(row), strange=self.context.shapes.strange)
            yield from _in_parts(found, _stored(reached))

    def close(self) -> None:
        self.database.close()

    def _is_set(self, name: str) -> bool:
        """Whether a text of the table is there, and so is each setting that it names."""
        text = self._sql.get(name, "")
        values = (self.settings.get(one, self.facts.get(one)) for one in names_in(text))
        return bool(text) and all(one.reveal() if isinstance(one, Secret) else one for one in values)

    def _ranked(
        self, rows: Sequence[Mapping[str, Any]], reached: Any, known: bool, found: Collected
    ) -> Sequence[Mapping[str, Any]]:
        """The rows whose column holds what a cursor can go on from; each other one is a fault of its own."""
        self._check_column(rows)
        families = [_family(row[self._column]) for row in rows]
        usual = _family(reached)
        wanted = usual if known or usual in families else next((one for one in families if one), "")
        for row, family in zip(rows, families, strict=True):
            if family != wanted:
                said = f"la colonne {self._column} n'a pas de valeur qui compte"
                found.refuse(InvalidMessage(said, code="cursor"), self._place_of(row))
        return [row for row, family in zip(rows, families, strict=True) if family == wanted]

    def _check_column(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows and self._column not in rows[0]:
            raise ConfigError(f"the query gives no column {self._column}", key="sql.cursor")

    def _whole_values(self, rows: Sequence[Mapping[str, Any]], *, full: bool) -> Sequence[Mapping[str, Any]]:
        """Of a page that is full, the rows before those of its last value."""
        if not full or not rows:
            return rows
        last = rows[-1][self._column]
        whole = [row for row in rows if row[self._column] != last]
        if not whole and len(rows) > 1:
            raise ConfigError(f"more than {len(rows)} rows have one value of {self._column}", key="sql.cursor")
        return whole or rows

    def _check_order(self, rows: Sequence[Mapping[str, Any]], reached: Any, *, known: bool) -> None:
        """The query is somebody's own: one that does not ask for what follows would be read again for ever. The order
        of texts is that of the database's language: of them only this is looked at."""
        values = [row[self._column] for row in rows]
        try:
            grows = _is_beyond(values[0], reached, known=known) and (
                isinstance(values[0], str) or all(one <= next_one for one, next_one in pairwise(values))
            )
        except TypeError:
            grows = False
        if not grows:
            said = f"the rows are not those behind :cursor, in order of {self._column}"
            raise ConfigError(said, key="sql.query")

    def _place_of(self, row: Mapping[str, Any]) -> str:
        name = str(row[self._column])
        return f"/{name if _SAFE_KEY.fullmatch(name) else '…'}"


def sql_faults(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every fault of its own tables that a schema cannot say."""
    sql, known = raw["sql"], facts_known(raw)
    secret = {name for name, one in declared_settings(raw).items() if one.get("type") == "secret"}
    for name in ("url", "user"):
        yield from ((f"sql.{name}", said) for said in unknown_names(sql.get(name, ""), known))
    yield from (("sql.password", said) for said in unknown_names(sql.get("password", ""), {*known, *secret}))
    if "password" in sql and not any(f"{{{name}}}" in sql["password"] for name in secret):
        yield "sql.password", "must be that of a secret setting, as {password}"
    yield from (("sql.query", said) for said in query_faults(sql["query"]))
    for number, event in enumerate(sql["event"]):
        if "{" not in event["id"]:
            yield f"sql.event[{number}].id", "must name a column: all rows would be one event"


def _in_parts(found: Collected, cursor: Mapping[str, Any]) -> Iterator[Polled]:
    """Several tables may make more events of a page than one commit takes."""
    parts = [found.events[at : at + MAX_BATCH] for at in range(0, len(found.events), MAX_BATCH)] or [[]]
    for part in parts[:-1]:
        yield Polled(part, skip_unknown=found.skip_unknown, withheld=found.withheld)
    yield Polled(parts[-1], cursor, faults=found.faults, skip_unknown=found.skip_unknown, withheld=found.withheld)


def _is_beyond(value: Any, reached: Any, *, known: bool) -> bool:
    """Whether a page begins behind what was read. `known`: it was read here, else it is the `first` of the manifest,
    which may be written otherwise than the column, as `""` before a date. Raises TypeError for what has no order."""
    if not known and type(value) is not type(reached):
        return True
    return bool(value != reached) if isinstance(value, str) and isinstance(reached, str) else bool(value > reached)


def _family(value: Any) -> str:
    """Which values have an order with this one; "" for none."""
    for kind, name in ((bool, ""), (int, "whole"), (float, "number"), (Decimal, "exact"), (datetime, "moment")):
        if isinstance(value, kind):
            return name
    return "day" if isinstance(value, date) else "text" if isinstance(value, str) else ""


def _stored(value: Any) -> dict[str, Any]:
    """A value of a column as the cursor keeps it."""
    if isinstance(value, datetime | date):
        return {"kind": "moment" if isinstance(value, datetime) else "day", "cursor": value.isoformat()}
    return {"kind": "number", "cursor": str(value)} if isinstance(value, Decimal) else {"cursor": value}


def _restored(cursor: Mapping[str, Any]) -> Any:
    value = cursor["cursor"]
    return _KINDS[cursor["kind"]](value) if "kind" in cursor else value
