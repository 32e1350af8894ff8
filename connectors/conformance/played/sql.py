"""How the suite plays a package whose database is read, from `samples/rows.csv` and what its manifest declares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from connectors.conformance.case import Bench, Case, Stand
from connectors.conformance.played.rows import (
    another,
    chosen,
    native_words,
    needed_settings,
    numbered,
    personal_columns,
    personal_texts,
    sample_file,
)  # fmt: skip
from connectors.conformance.played.samples import Samples
from connectors.sdk import Connector
from connectors.sdk.contract.model import Contract, Field, Operation
from connectors.sdk.contract.sql_tables import KEY, read_sql
from connectors.sdk.contract.table_layout import TableSample, read_sample
from connectors.sdk.contract_twins.sql_twin import sql_twin_of
from connectors.sdk.discovery import connector_class
from connectors.sdk.kinds.sql import SqlConnector
from connectors.sdk.kinds.texts import names_in, value_row
from connectors.sdk.mapping.sources import Source
from connectors.sdk.sql_twin import SqlTwin
from schemas.errors import ConfigError
from schemas.manifest import Manifest

_FROM = re.compile(r"\bfrom\s+(?:[\w\"`\[\]]+\.)?[\"`\[]?(\w+)", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_TYPED: Mapping[str, Any] = {"integer": int, "number": float}


def cases(manifest: Manifest, samples: Samples) -> Sequence[Stand]:
    @contextmanager
    def played(bench: Bench) -> Iterator[Case]:
        rows = Rows(samples)
        with sql_twin_of(rows.table) as twin:
            addresses = dict.fromkeys(names_in(manifest.declared["sql"]["url"]), twin.address)
            settings = needed_settings(samples, addresses)

            def connect() -> Connector:
                connector = connector_class(manifest)(bench.context(settings))
                if isinstance(connector, SqlConnector):
                    twin.watch(connector.database)
                return connector

            package = Package(rows, twin)
            yield Case(
                connect=connect, twin=twin, news=package.add_many,
                turn=package.add, personal=rows.personal,
            )  # fmt: skip

    return (played,)


@dataclass
class Package:
    """The package at work: it writes a row for all that happens."""

    rows: Rows
    twin: SqlTwin
    written: int = 0

    def add_many(self, count: int) -> None:
        for _ in range(count):
            self.add(0)

    def add(self, value: int) -> None:
        """A row that says one of two things."""
        self.written += 1
        self.twin.add(self.rows.typed(self.rows.numbered(value, self.written)))


class Rows:
    """What a row of this database is, and how the next one differs."""

    def __init__(self, samples: Samples) -> None:
        manifest = self.manifest = samples.manifest
        self.sql = manifest.declared["sql"]
        self.path = sample_file(samples, "rows")
        self.sample: TableSample = read_sample(self.path)
        self.specs: Sequence[Mapping[str, Any]] = [
            {**one, "only": {**self.sql.get("only", {}), **one.get("only", {})}} for one in self.sql["event"]
        ]
        self.known = [dict(zip(self.sample.names, row, strict=True)) for row in self.sample.rows]
        self.first = chosen(self.known, self.specs, self.path.name)
        self._check_first()

    @cached_property
    def table(self) -> Operation:
        """As the contract has it; without one, the columns of the sample. Raises ConfigError for a query of no table
        that the contract has."""
        found = _FROM.search(self.sql["query"])
        name = found[1] if found else ""
        contract = self._contract()
        if contract is None:
            return Operation(name, gives=tuple(Field(one, where="record", nullable=True) for one in self.sample.names))
        table = next((one for one in contract.operations if one.name.casefold() == name.casefold()), None)
        if table is None:
            raise ConfigError(f'the query reads "{name}", which is no table of the contract', key=self.manifest.id)
        return table

    def _check_first(self) -> None:
        """Raises ConfigError where a database would not compare the cursor with what the first poll begins behind: it
        refuses `date > 0`, which a SQLite file answers."""
        kinds = [one.type for one in self.table.gives if one.place == self.sql["cursor"]]
        if kinds and kinds[0] in ("date", "instant") and not _is_moment(str(self.sql.get("first", 0))):
            said = f'its column "{self.sql["cursor"]}" is a date: say from when, as first = "1970-01-01"'
            raise ConfigError(said, key=f"{self.manifest.id}.sql.first")

    @property
    def personal(self) -> Sequence[str]:
        return personal_texts([self.first, self._second], personal_columns(self.manifest))

    def numbered(self, value: int, number: int) -> Mapping[str, str]:
        """The first of its rows or the second, as the one of this number: further on in what counts rows."""
        row = dict(self._second if value else self.first)
        for name in self._counted:
            row[name] = _further(self.first.get(name, ""), number)
        return row

    def typed(self, row: Mapping[str, str]) -> Sequence[Any]:
        """The row with a value for each column of the table."""
        return [_typed(column, row.get(column.place, "")) for column in self.table.gives]

    @cached_property
    def _counted(self) -> Sequence[str]:
        """The columns that no two rows may share: the cursor, keys, what names an event and its request."""
        named = [name for spec in self.specs for name in names_in(spec["id"])]
        about = [_column(spec["about"]) for spec in self.specs if "about" in spec]
        keys = [one.place for one in self.table.gives if one.limits.get(KEY)]
        said = {_column(spec[part]) for spec in self.specs for part in ("status", "label") if part in spec}
        found = dict.fromkeys([self.sql["cursor"], *named, *about, *keys])
        return [name for name in found if name in self.sample.names and name not in said]

    @cached_property
    def _second(self) -> Mapping[str, str]:
        """A row that says something else: that of the sample, else the first with another status or text."""
        others = [one for one in self.known if one is not self.first and self._differs(one)]
        if others:
            return others[0]
        row = dict(self.first)
        for spec in self.specs:
            name = _column(spec["status"]) if "status" in spec else self._said
            row[name] = another(row[name], native_words(self.manifest) if "status" in spec else ())
        return row

    def _differs(self, row: Mapping[str, str]) -> bool:
        ways = [spec for spec in self.specs if "status" in spec]
        return all(row[_column(spec["status"])] != self.first[_column(spec["status"])] for spec in ways)

    @property
    def _said(self) -> str:
        """A column that its tables read, and that names nothing."""
        free = [name for name in personal_columns(self.manifest) if name in self.sample.names]
        return next(iter(sorted(free)), self.sample.names[-1])

    def _contract(self) -> Contract | None:
        declared = self.manifest.declared.get("contract", {})
        return read_sql(self.manifest.folder / declared["sql"]) if "sql" in declared else None


def _further(text: str, number: int) -> str:
    """A number, a date or a text, so much further on."""
    if _NUMBER.fullmatch(text) or not text:
        return str(int(float(text or 0)) + number)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return numbered(text, number)
    later = (moment + timedelta(seconds=number)).isoformat(sep=text[10:11] or "T")
    return later.replace("+00:00", "Z") if text.endswith("Z") else later


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return not text.isdigit()


def _typed(column: Field, text: str) -> Any:
    if not text:
        return "" if column.type == "text" and not column.nullable else None if column.nullable else 0
    if column.type == "boolean":
        return int(text.casefold() in ("1", "true", "t", "vrai", "oui"))
    if column.type == "any":
        return int(text) if text.isdigit() else text
    return _TYPED.get(column.type, str)(text)


def _column(text: str) -> str:
    place = Source.of(value_row(text).source).single
    return place.steps[0] if place is not None else ""
