"""`mapping.csv` for a new contract: every line of the town as it is, what is gone marked, what is new behind a `#`."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from connectors.sdk.contract.grades import Change
from connectors.sdk.contract.model import Contract, Field, Operation
from connectors.sdk.contract.used_tables import places_in
from connectors.sdk.contract.uses import Carried, Use, Uses, full_place, steps_of
from connectors.sdk.drafting.conversions import reading_words, writing_words
from connectors.sdk.drafting.targets import Targets
from connectors.sdk.drafting.writing import one_line
from connectors.sdk.mapping.rows import COLUMNS, COMMENT, FILE, Row, read_table
from schemas.manifest import Manifest
from schemas.registry import Registry

_GONE: Mapping[str, str] = {
    "field-removed": "Disparu du contrat", "field-renamed": "Renommé dans le contrat",
    "field-moved": "Déplacé dans le contrat", "operation-removed": "Appel disparu du contrat",
}  # fmt: skip
_NEW = "Nouveaux champs du contrat : pour en utiliser un, compléter sa ligne et ôter le signe du début"


def proposed_mapping(
    manifest: Manifest, old: Contract, new: Contract, uses: Uses, changes: Iterable[Change], registry: Registry
) -> bytes:  # fmt: skip
    """The file, in the encoding and with the columns of the town's own."""
    path = manifest.folder / FILE
    content = path.read_bytes()
    encoding = _encoding(content)
    text = content.decode(encoding)
    sheet = _Sheet(text, [*read_table(path).rows, *_kept(text)])
    marks: dict[int, list[str]] = {}
    added: list[str] = []
    for change in changes:
        operation = old.operation(change.operation)
        use = uses.of(old, operation) if operation is not None else None
        if operation is None or use is None:
            continue
        if change.kind in _GONE:
            for row in sheet.using(change, operation, use):
                marks.setdefault(row.line, []).append(_mark(change))
                added += sheet.respelt(change, row)
        elif change.kind == "field-added" and change.field is not None:
            added += sheet.proposed(change.field, change.direction == "sent", use, registry)
    return sheet.written(marks, added).encode(encoding)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The lines of the file, those behind a `#` among them."""

    text: str
    rows: Sequence[Row]

    def using(self, change: Change, operation: Operation, use: Use) -> Iterator[Row]:
        """The lines that a change concerns: of the maps of its operation those that name the place."""
        one = change.field
        steps = {steps_of(change.place), steps_of(full_place(operation, one))} if one is not None else set()
        for row in (row for row in self.rows if row.map in use.maps):
            if one is None or steps & set(map(steps_of, _package_places(row))):
                yield row

    def respelt(self, change: Change, row: Row) -> Iterator[str]:
        """The line again with the new name, where the value only has another name."""
        if change.kind == "field-renamed" and len(_package_places(row)) == 1:
            yield self._sides(row.map, change.after, _event_place(row), row.convert, row.required, "")

    def proposed(self, one: Field, sent: bool, use: Use, registry: Registry) -> Iterator[str]:
        """The line of a field that is new, for each map that reads or writes beside it, with the likely target."""
        for name, carried in use.maps.items():
            if carried.sent == sent:
                taken = {_event_place(row) for row in self.rows if row.map == name}
                shared, convert = _likely(one, carried, registry, taken)
                yield self._sides(name, one.place, shared, convert, one.required and sent, one.about)

    def _sides(self, name: str, package: str, shared: str, convert: str, required: bool, about: str) -> str:
        """A line behind its `#`, written the way in which the map is."""
        written = any(row.map == name and _writes(row) for row in self.rows)
        sides = (package.lstrip("/"), shared) if written else (shared, package)
        said = (COMMENT + name, *sides, convert, "oui" * required, one_line(about))
        cells = dict(zip(COLUMNS, said, strict=True))
        line = io.StringIO()
        csv.writer(line, delimiter=";", lineterminator="").writerow([cells.get(one, "") for one in _columns(self.text)])
        return line.getvalue()

    def written(self, marks: Mapping[int, Sequence[str]], added: Sequence[str]) -> str:
        end = "\r\n" if "\r\n" in self.text else "\n"
        lines: list[str] = []
        for number, line in enumerate(io.StringIO(self.text, newline=None), 1):
            lines += [*marks.get(number, ()), line.rstrip("\n")]
        lines += [f"{COMMENT} {_NEW}", *dict.fromkeys(added)] if added else []
        return end.join([*lines, ""])


def _kept(text: str) -> Iterator[Row]:
    """The lines behind a `#` that could be used, in the columns of the first line."""
    head = _columns(text)
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        cells = next(csv.reader([line.strip().lstrip(COMMENT)], delimiter=";"), []) if line.startswith(COMMENT) else []
        said = dict(zip(head, cells, strict=False))
        if len(cells) > 2 and said.get("map"):
            target, source, convert = (said.get(name, "").strip() for name in ("target", "source", "convert"))
            yield Row(said["map"], target, source, convert, line=number)


def _columns(text: str) -> list[str]:
    """As the first line names them: a line must not be longer once its `#` is taken away."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith((COMMENT, "sep=")))
    found = [name.strip().strip('"') for name in next(lines, "").split(";")]
    return [name for name in found if name] or list(COLUMNS)


def _mark(change: Change) -> str:
    after = f", devient {change.after}" if change.kind == "field-renamed" else ""
    return f"{COMMENT} {_GONE[change.kind]} : {change.place or change.operation}{after} ({change.operation})"


def _likely(one: Field, carried: Carried, registry: Registry, taken: Collection[str]) -> tuple[str, str]:
    """The shared place that nothing fills yet and its converter; nothing where none is likely."""
    found = Targets(registry, carried.type, carried.version).propose(one)
    words = (writing_words if carried.sent else reading_words)(one, found.place) if found is not None else None
    return ("", "") if found is None or words is None or found.place.pointer in taken else (found.place.pointer, words)


def _writes(row: Row) -> bool:
    """Whether its target is a place of the package; one that nobody chose yet is none."""
    return bool(row.target) and not row.target.startswith("/")


def _package_places(row: Row) -> list[str]:
    return [row.target] if _writes(row) else places_in(row.source)


def _event_place(row: Row) -> str:
    return row.source if _writes(row) else row.target


def _encoding(content: bytes) -> str:
    try:
        content.decode()
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig" if content.startswith(codecs.BOM_UTF8) else "utf-8"
