"""How the suite plays a package that leaves full exports, from `samples/export.*` and what its manifest declares."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from connectors.conformance.case import Bench, Case, Stand
from connectors.conformance.played.rows import (
    Record,
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
from connectors.sdk.contract.table_layout import TableSample, read_sample
from connectors.sdk.contract_twins.export_twin import FileLayout, RowFilesTwin
from connectors.sdk.discovery import connector_class
from connectors.sdk.kinds.table_files import TableForm
from connectors.sdk.kinds.texts import value_row
from connectors.sdk.mapping.sources import Source
from schemas.errors import ConfigError
from schemas.manifest import Manifest, declared_settings

SHOWN = 3
"""How many rows of an export change; those behind them never do."""
Cells = list[str]


def cases(manifest: Manifest, samples: Samples) -> Sequence[Stand]:
    @contextmanager
    def played(bench: Bench) -> Iterator[Case]:
        export = Export(samples)
        with RowFilesTwin(texts=export.layout.is_text, quiet=export.quiet) as twin:
            twin.encoding = export.layout.form.encoding
            package = Package(export, twin)
            settings = needed_settings(samples, twin.connection_settings(
                timeout=max(bench.timeout, 0.5), folder=f"/{twin.folders[1]}", settled="looks"
            ))  # fmt: skip
            yield Case(
                connect=lambda: connector_class(manifest)(bench.context(settings)), twin=twin, news=package.news,
                turn=package.turn, deny=lambda: twin.misbehave("denied"), personal=export.personal,
            )  # fmt: skip

    return (played,)


class Export:
    """What an export of this package looks like, and how it changes from one night to the next."""

    def __init__(self, samples: Samples) -> None:
        manifest = self.manifest = samples.manifest
        self.dump = manifest.declared["dump"]
        self._settings = dict(samples.settings)
        self.path = sample_file(samples, "export")
        self.sample: TableSample = read_sample(self.path)
        self.key = self._place_of(self.dump["columns"]["key"])
        self.specs: Sequence[Mapping[str, Any]] = [
            {**one, "only": {**self.dump.get("only", {}), **one.get("only", {})}} for one in self.dump["change"]
        ]
        named: list[Record] = [
            {column: row[self._place_of(column)] for column in self._columns} for row in self.sample.rows
        ]
        self.row: Cells = list(self.sample.rows[named.index(chosen(named, self.specs, self.path.name))])

    @cached_property
    def layout(self) -> FileLayout:
        encoding, files = self._said("encoding", "utf-8"), self._said("files")
        if "{" in encoding or "{" in files:
            raise ConfigError(
                "names a setting: its case is written by hand, in case.py", key=f"{self.manifest.id}.dump"
            )
        form = TableForm.of(self.dump, encoding)
        head = self.sample.head or self.sample.names
        return FileLayout(form, files, tuple(head))

    def _said(self, key: str, usual: str = "") -> str:
        """A text of `[dump]`, with the settings that the samples give or that have a default."""
        parts = declared_settings(self.manifest.declared)
        known = {name: part["default"] for name, part in parts.items() if "default" in part} | self._settings
        return re.sub(r"\{(\w+)\}", lambda found: str(known.get(found[1], found[0])), self.dump.get(key, usual))

    @cached_property
    def adds(self) -> bool:
        """Whether news are rows that were not there: nothing is told of others, or of the first export all is."""
        ways = {spec.get("on", "change") for spec in self.specs}
        return ("new" in ways and ways <= {"new"}) or (self._tells_all and ways != {"change"})

    @property
    def _tells_all(self) -> bool:
        return bool(self.dump.get("first", "load") == "tell")

    @cached_property
    def quiet(self) -> Sequence[Cells]:
        """So many that neither one row that is lost nor all that change are too many for the manifest."""
        if self.adds and self._tells_all:
            return []
        lost, changed = (_share(self.dump.get(name, usual))
                         for name, usual in (("lost_at_most", "10%"), ("changed_at_most", "1000%")))  # fmt: skip
        due = max(math.ceil(1 / lost) if lost else 0, math.ceil(SHOWN * len(self.specs) / changed) if changed else 0)
        return [self.keyed(number) for number in range(1000, 1000 + max(self.adds, due - SHOWN))]

    @property
    def personal(self) -> Sequence[str]:
        columns = personal_columns(self.manifest)
        both = [self.row, self.changed(self.row)]
        return personal_texts(
            [{name: row[self._place_of(name)] for name in columns if self._is_there(name)} for row in both], columns
        )

    def keyed(self, number: int) -> Cells:
        """The sample's row under another key. Raises ConfigError where the declared form of keys takes none."""
        cells = list(self.row)
        cells[self.key] = numbered(cells[self.key], number)
        form = self.dump["columns"].get("pattern", ".*")
        if not re.fullmatch(form, cells[self.key]):
            raise ConfigError(f"the key of its row, counted on, is none of the form {form}", key=self.path.name)
        return cells

    def changed(self, row: Cells) -> Cells:
        """The row with a watched column of each change saying something else."""
        cells = list(row)
        for spec in self.specs:
            watched = [self._place_of(column) for column in spec.get("watch", ())]
            if watched and all(cells[place] == row[place] for place in watched):
                place, other = self._other(spec, row)
                cells[place] = other
        return cells

    def _other(self, spec: Mapping[str, Any], row: Cells) -> tuple[int, str]:
        """One watched column of a change, and what it says instead: a status of the table, another row's cell."""
        watched = [self._place_of(column) for column in spec.get("watch", ())]
        if "status" in spec and (place := self._place_of(_column(spec["status"]))) in watched:
            return place, another(row[place], native_words(self.manifest))
        kept = {self._place_of(column) for column in spec.get("only", {})} | {self.key}
        free = [place for place in watched if place not in kept] or watched
        said = {place: [one[place] for one in self.sample.rows] for place in free}
        differing = [place for place in free if any(cell and cell != row[place] for cell in said[place])]
        place = (differing or [one for one in free if row[one]] or free)[0]
        return place, another(row[place], said.get(place, ()))

    @cached_property
    def _columns(self) -> Sequence[str]:
        named = [name for spec in self.specs for name in (*spec.get("watch", ()), *spec.get("only", {}))]
        return list(dict.fromkeys([self.dump["columns"]["key"], *named]))

    def _is_there(self, column: str) -> bool:
        return column in {*self.sample.names, *self.sample.head, *self.dump.get("positions", {})}

    def _place_of(self, column: str) -> int:
        """Where it stands in a row. Raises ConfigError for a column that the sample does not have."""
        positions = self.dump.get("positions", {})
        if column in positions and positions[column] <= len(self.sample.names):
            return int(positions[column]) - 1
        for names in (tuple(self.dump.get("fixed", ())), self.sample.head, self.sample.names):
            if column in names and len(names) == len(self.sample.names):
                return names.index(column)
        raise ConfigError(f'has no column "{column}", which the manifest names', key=self.path.name)


@dataclass
class Package:
    """The package at work: it has exported once, where its first export says nothing."""

    export: Export
    twin: RowFilesTwin
    rows: list[Cells] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.export.adds:
            self.rows = [self.export.keyed(number) for number in range(SHOWN)]
        self._leave()

    def news(self, count: int) -> None:
        if not count:
            return
        for place in range(count):
            self._change(place, 1)
        self._leave()

    def turn(self, value: int) -> None:
        self._change(0 if not self.export.adds else len(self.rows), 1 - value)
        self._leave()

    def _change(self, place: int, value: int) -> None:
        """A row that says one of two things."""
        if place == len(self.rows):
            self.rows.append([])
        row = self.export.keyed(place)
        self.rows[place] = self.export.changed(row) if value else row

    def _leave(self) -> None:
        self.twin.export(self.export.layout, self.rows)


def _share(text: str) -> float:
    return float(text.removesuffix("%")) / 100


def _column(text: str) -> str:
    place = Source.of(value_row(text).source).single
    return place.steps[0] if place is not None else ""
