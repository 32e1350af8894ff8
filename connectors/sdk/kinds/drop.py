"""The kind `drop`: files of rows put down for a package, and the files that it leaves in return."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.sdk.answer_key import AnswerKeys
from connectors.sdk.connector import Context
from connectors.sdk.dropping import MOMENT, digest_of, safe_name
from connectors.sdk.files import Folder, open_folder
from connectors.sdk.folder_connector import FolderConnector
from connectors.sdk.inbox import LeftFile, Taken
from connectors.sdk.kinds.checks import facts_known, unknown_names
from connectors.sdk.kinds.declared import DeclaredConnector, Message
from connectors.sdk.kinds.events import STATUS_CHANGED, STATUS_VERSION
from connectors.sdk.kinds.returns import MAX_BYTES, Returns, returns_faults
from connectors.sdk.kinds.table_files import form_faults
from connectors.sdk.kinds.texts import Facts, names_in
from connectors.sdk.mapping import Map
from connectors.sdk.mapping.rows import FILE as TABLE
from connectors.sdk.mapping.rows import read_table
from connectors.sdk.row_files import ENCODINGS, RowFormat, Unwritable, cell_text
from connectors.sdk.statuses import status_changed
from schemas.delivery import Delivery, Done
from schemas.errors import ConfigError, Refused
from schemas.event import Event
from schemas.fault import Fault
from schemas.manifest import FILE
from schemas.registry import Registry

USUAL_FILE = "{type}-{moment}-{digest}.csv"
NAMED = ("type", "moment", "digest", "number", "key", "event", "reference")
"""What the name of a file may hold beside the facts of the connection. One with `{key}`, `{event}` or `{reference}` is
of one event; else events that come together share a file."""
_OF_ONE = {"key", "event", "reference"}
_DROPPED = "Déposé pour le logiciel"


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """One event ready to be written: the cells of its row, the facts that name its file, and the exchange key by which
    the package knows a row that it has read, and we know its answer."""

    spec: Mapping[str, Any]
    cells: tuple[str, ...]
    facts: Facts
    key: str
    told: Sequence[Event] = field(default_factory=tuple)


class DropConnector(DeclaredConnector, FolderConnector):
    """A package that reads files which we put down for it, and may leave files for us.

    Every row carries its exchange key, which nobody can make but this hub: no answer is about a request that was never
    there."""

    max_bytes = MAX_BYTES

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._drop: Mapping[str, Any] = self.declared["drop"]
        told = {name: self.fill(one) if isinstance(one, str) else one for name, one in self._drop.items()
                if name not in ("file", "line_end", "separator")}  # fmt: skip
        self.form = RowFormat.of({**self._drop, **told})
        if self.form.encoding not in ENCODINGS:
            raise ConfigError(f"no encoding {self.form.encoding}", key="drop.encoding")
        self.keys = AnswerKeys(context, "~")
        self._columns = {spec["map"]: columns_of_map(self.tables[spec["map"]]) for spec in self._delivers.values()}
        for name, columns in self._columns.items():
            self.form.check_names(columns, f"deliver.{name}")
        raw: Mapping[str, Any] = self.declared.get("returns", {})
        out = open_folder(self.settings, self.fill(self._drop.get("folder", "{drop_folder}")))
        self.open_exchange(out, self._return_folder(raw), prefixes=Returns.prefixes(raw))
        if self.inbox is not None:
            ours = {spec["status"] for spec in self._delivers.values() if "status" in spec}
            usual = {"encoding": self.form.encoding, "separator": self.form.separator}
            self._returns = Returns(self, {**usual, **raw}, self.keys, ours)

    @classmethod
    def faults(cls, raw: Mapping[str, Any], folder: Path, registry: Registry) -> Iterator[Fault]:
        yield from super().faults(raw, folder, registry)
        rows = read_table(folder / TABLE).rows if (folder / TABLE).exists() else ()
        for number, spec in enumerate(raw.get("deliver", ())):
            of_map = [row for row in rows if row.map == spec.get("map")]
            column = spec.get("again", "").removeprefix("key:")
            if of_map and not any(row.target == column and "{key}" in row.source for row in of_map):
                said = f'no row of the map {spec["map"]} writes {{key}} into "{column}"'
                yield Fault(str(folder / FILE), f"deliver[{number}].again", said)
            for row in (row for row in of_map if "/" in row.target):
                yield Fault(str(folder / TABLE), "target", "a file has columns: no / in their names", line=row.line)

    def prepare(self, delivery: Delivery) -> DroppedRow:
        message = super().prepare(delivery)
        name = message.spec["map"]
        cells = tuple(self._cell(column, message) for column in self._columns[name])
        return DroppedRow(message.spec, cells, message.facts, str(message.facts["key"]), self._told(delivery, message))

    def expect(self, name: str) -> None:
        self._returns.expect(name)

    def read_left(self, file: LeftFile) -> Taken:
        return self._returns.read(file)

    def group_of(self, row: DroppedRow) -> tuple[str, int] | None:
        alone = not _OF_ONE.isdisjoint(names_in(self._file))
        return None if alone else (row.spec["type"], row.spec.get("version", 1))

    def put_rows(self, rows: Sequence[DroppedRow], *, again: bool) -> None:
        columns = self._columns[rows[0].spec["map"]]
        content = self.form.write(columns, [row.cells for row in rows])
        self.dropping.put(self._name_of(rows), content, again=again)

    def done(self, delivery: Delivery, row: DroppedRow) -> Done:
        return Done(row.spec.get("answer", _DROPPED), events=list(row.told))

    def _return_folder(self, raw: Mapping[str, Any]) -> Folder | None:
        place = raw.get("folder", "{return_folder}")
        if not raw or any(not self.facts.get(name) for name in names_in(place)):
            return None
        path = self.fill(place)
        if path.rstrip("/") == self.fill(self._drop.get("folder", "{drop_folder}")).rstrip("/"):
            raise ConfigError("must not be the drop folder", key="return_folder")
        return open_folder(self.settings, path)

    def _delivery_facts(self, delivery: Delivery, needed: Collection[str]) -> Facts:
        key = self.keys.write(f"{delivery.key}~{delivery.request_id or ''}")
        return {**super()._delivery_facts(delivery, needed), "key": key, "event": delivery.event.id}

    def _cell(self, column: str, message: Message) -> str:
        try:
            return self.form.fit(cell_text((message.body or {}).get(column)))
        except Unwritable as error:
            raise Refused(f"La colonne {column} ne peut pas être écrite : la valeur {error}.", native=column) from None

    def _told(self, delivery: Delivery, message: Message) -> Sequence[Event]:
        """That the request was dropped, where its table has a word for it. Named after the delivery, not the row:
        whoever hears of the event must not learn the row's key."""
        word = message.spec.get("status")
        if word is None or delivery.request_id is None:
            return ()
        data = status_changed({"id": delivery.request_id}, word, self.statuses.canonical(word))
        return (self.event(STATUS_CHANGED, data, id=f"{delivery.key}:{word}", version=STATUS_VERSION),)

    @property
    def _file(self) -> str:
        return str(self._drop.get("file", USUAL_FILE))

    def _name_of(self, rows: Sequence[DroppedRow]) -> str:
        own = {**rows[0].facts, "type": rows[0].spec["type"], "digest": digest_of([row.key for row in rows])}
        known = {name: safe_name(str(value)) for name, value in own.items()}
        return self.fill(self._file, **{**known, "number": str(len(rows)), "moment": MOMENT})


def columns_of_map(found: Map) -> list[str]:
    """The columns of a file, in the order of the rows of its map."""
    return list(dict.fromkeys(line.target.steps[0] for line in found.lines))


def drop_faults(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every fault of its own tables that a schema cannot say."""
    drop, known = raw["drop"], facts_known(raw)
    for name in ("folder", "encoding"):
        yield from ((f"drop.{name}", said) for said in unknown_names(drop.get(name, ""), known))
    file = drop.get("file", USUAL_FILE)
    yield from (("drop.file", said) for said in unknown_names(file, {*known, *NAMED}))
    if not {"key", "event", "digest"} & {*names_in(file)}:
        yield "drop.file", "must hold {key}, {event} or {digest}: one file would be written over another"
    yield from form_faults("drop", {"encoding": drop.get("encoding", "utf-8")})
    for number, spec in enumerate(raw.get("deliver", ())):
        if "map" not in spec:
            yield f"deliver[{number}].map", "missing: what makes the columns of the file"
        if not spec.get("again", "").startswith("key:"):
            yield f"deliver[{number}].again", "must be key:<column>: the column by which the package knows a row again"
    if "returns" in raw:
        yield from returns_faults(raw, known)
