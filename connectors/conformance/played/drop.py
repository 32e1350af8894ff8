"""How the suite plays a package that reads files which are put down for it, from `samples/events` and, for what it
leaves in return, `samples/returns`: a file for each pattern of `[returns]`, named as the package names it."""

from __future__ import annotations

import copy
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from connectors.conformance.case import Bench, Case, Stand
from connectors.conformance.played.rows import (
    another,
    chosen,
    mapping_rows,
    native_words,
    needed_settings,
    numbered,
    personal_columns,
    personal_texts,
)  # fmt: skip
from connectors.conformance.played.samples import Samples
from connectors.sdk import Connector
from connectors.sdk.contract.table_layout import read_sample
from connectors.sdk.contract_twins.export_twin import FileLayout, RowFilesTwin
from connectors.sdk.discovery import connector_class
from connectors.sdk.kinds.drop import DroppedRow
from connectors.sdk.kinds.table_files import TableForm
from connectors.sdk.kinds.texts import names_in
from connectors.sdk.xml import local_name, parse_xml
from schemas.delivery import Delivery
from schemas.errors import ConfigError
from schemas.manifest import Manifest
from schemas.pointers import steps_of

_UNWRITABLE = "\x07"
Record = dict[str, str]


def cases(manifest: Manifest, samples: Samples) -> Sequence[Stand]:
    @contextmanager
    def played(bench: Bench) -> Iterator[Case]:
        dropped = Dropped(manifest, samples)
        with DropTwin(keys=dropped.keys) as twin:
            twin.encoding = dropped.encoding
            settings = needed_settings(samples, twin.connection_settings(timeout=max(bench.timeout, 0.5)))

            def connect() -> Connector:
                return connector_class(manifest)(bench.context(settings))

            returned = Returned(manifest, samples, twin, connect) if "returns" in manifest.declared else None
            yield Case(
                connect=connect, twin=twin, deliveries=samples.deliveries, effects=twin.collect,
                refused=dropped.refused, deny=lambda: twin.misbehave("denied"), turns=samples.turns,
                news=returned.news if returned else None, turn=returned.turn if returned else None,
                personal=[*samples.personal, *(returned.personal if returned else ())],
            )  # fmt: skip

    return (played,)


@dataclass
class DropTwin(RowFilesTwin):
    """Keeps one row of each key, however often it came. `keys`: the columns that hold one."""

    keys: Sequence[str] = ()
    rows: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def collect(self) -> dict[str, Mapping[str, str]]:
        with self.taking:
            for path in sorted(one for one in self.drop.iterdir() if not one.name.startswith(".")):
                for row in self._rows_of(path.read_bytes()):
                    self.rows.setdefault(next(row[key] for key in self.keys if key in row), row)
                path.unlink()
        return self.rows

    def _rows_of(self, content: bytes) -> Sequence[Mapping[str, str]]:
        if content.lstrip()[:1] == b"<":
            return [{local_name(cell): cell.text or "" for cell in row} for row in parse_xml(content)]
        text = content.decode(self.encoding)
        separator = max(";,\t|", key=text.partition("\n")[0].count)
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))


class Dropped:
    """What is put down for the package."""

    def __init__(self, manifest: Manifest, samples: Samples) -> None:
        self._drop, self._samples = manifest.declared["drop"], samples
        self._delivers: Sequence[Mapping[str, Any]] = manifest.declared["deliver"]
        self.encoding: str = self._drop.get("encoding", "utf-8")
        if "{" in self.encoding or self._drop.get("header", True) is False:
            said = "names a setting, or files have no header: its case is written by hand, in case.py"
            raise ConfigError(said, key=f"{manifest.id}.drop")

    @property
    def keys(self) -> Sequence[str]:
        return [spec["again"].removeprefix("key:") for spec in self._delivers]

    @property
    def refused(self) -> Delivery | None:
        """A delivery with a character in each text that is granted which no file can hold."""
        for delivery in self._samples.deliveries[:1]:
            fields = [one.fields for one in self._samples.manifest.consumes if one.type == delivery.event.type]
            data = copy.deepcopy(dict(delivery.event.data))
            for pointer in (granted for one in fields for granted in one):
                _spoil(data, steps_of(pointer))
            return replace(delivery, event=replace(delivery.event, data=data), key=f"{delivery.key}-unwritable")
        return None


def _spoil(value: Any, steps: Sequence[str]) -> None:
    if not isinstance(value, dict) or steps[0] not in value:
        return
    if isinstance(value[steps[0]], str):
        value[steps[0]] += _UNWRITABLE
    elif steps[1:]:
        _spoil(value[steps[0]], steps[1:])


class Returned:
    """What the package leaves in return: rows of news, or else answers to rows that were dropped."""

    def __init__(
        self, manifest: Manifest, samples: Samples, twin: RowFilesTwin, connect: Any
    ) -> None:  # fmt: skip
        self._manifest, self._samples, self._twin, self._connect = manifest, samples, twin, connect
        self._raw: Mapping[str, Any] = manifest.declared["returns"]
        self._written = 0
        specs = self._raw.get("event", ())
        self._news = specs[0] if specs else None
        self._pattern: str = self._news["files"] if self._news else self._raw.get("files", "*")
        encoding = self._raw.get("encoding", manifest.declared["drop"].get("encoding", "utf-8"))
        usual = {"separator": manifest.declared["drop"].get("separator", ";")}
        self._path = self._file()
        self._sample = read_sample(self._path)
        head = self._sample.head or self._sample.names
        form = TableForm.of({**usual, **self._raw}, encoding)
        self._layout = FileLayout(form, self._pattern, tuple(head))

    @property
    def personal(self) -> Sequence[str]:
        return personal_texts([self._first, self._second], personal_columns(self._manifest))

    def news(self, count: int) -> None:
        if count:
            self._leave([self._row(self._first, number) for number in range(count)])

    def turn(self, value: int) -> None:
        self._leave([self._row(self._second if value else self._first, 0)])

    def _leave(self, rows: Sequence[Mapping[str, str]]) -> None:
        self._twin.export(self._layout, [[row[name] for name in self._sample.names] for row in rows])

    def _row(self, row: Mapping[str, str], number: int) -> Mapping[str, str]:
        """The row as one of several: an answer bears the key of a delivery; of news, each is about somebody else."""
        if self._news is None:
            return {**row, self._raw["key"]: self._key(number)}
        named = [name for name in names_in(self._news["id"]) if name in row]
        references = [one.source for one in self._map_rows if one.target.endswith("/id") and one.source in row]
        return {**row, **{name: numbered(row[name], number) for name in dict.fromkeys([*named, *references])}}

    def _key(self, number: int) -> str:
        """The key of one more delivery, as the package would have read it: of a request, where there is one."""
        self._written += 1
        ranked = sorted(self._samples.deliveries, key=lambda one: not one.event.type.startswith("request."))
        delivery = replace(ranked[0], key=f"{ranked[0].key}-{number}-{self._written}")
        connector = self._connect()
        try:
            prepared = connector.prepare(delivery)
        finally:
            connector.close()
        assert isinstance(prepared, DroppedRow)
        return prepared.key

    @cached_property
    def _known(self) -> Sequence[Record]:
        return [dict(zip(self._sample.names, row, strict=True)) for row in self._sample.rows]

    @cached_property
    def _first(self) -> Mapping[str, str]:
        return chosen(self._known, [self._news] if self._news else [{}], self._path.name)

    @cached_property
    def _second(self) -> Mapping[str, str]:
        others = [row for row in self._known if row != self._first]
        if self._news is None:
            status = self._raw["status"]
            word = another(self._first[status], [row[status] for row in others] + native_words(self._manifest))
            return {**self._first, status: word}
        personal = [name for name in personal_columns(self._manifest) if self._first.get(name)]
        name = min(personal) if personal else self._sample.names[-1]
        return {**self._first, name: another(self._first[name], [row[name] for row in others])}

    @cached_property
    def _map_rows(self) -> Sequence[Any]:
        return [row for row in mapping_rows(self._manifest) if self._news and row.map == self._news.get("map")]

    def _file(self) -> Path:
        for path in self._samples.files("returns", ""):
            if fnmatchcase(path.name.lower(), self._pattern.lower()):
                return path
        said = f"its samples hold no returns/{self._pattern}: nothing shows what the package leaves in return"
        raise ConfigError(said, key=self._manifest.id)
