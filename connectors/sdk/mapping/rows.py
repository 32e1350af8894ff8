"""The rows of `mapping.csv`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.fault import Fault
from schemas.sheet import Sheet, read_sheet

FILE = "mapping.csv"
COLUMNS = ("map", "target", "source", "convert", "required", "about")
COMMENT = "#"
_OPTIONAL = ("convert", "required", "about")
_NEEDED = ("map", "target", "source")
_YES = "oui"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, its cells without blanks around them. `line`: 0 where it stands in no file."""

    map: str
    target: str
    source: str
    convert: str = ""
    required: bool = False
    line: int = 0


@dataclass(slots=True)
class Rows:
    """What a file holds and what is wrong with it."""

    rows: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def read_table(path: Path) -> Rows:
    """Read the whole file, whatever it holds: lines that begin with `#` are kept for later, and the column `about` is
    for people alone. Nothing is raised."""
    sheet = read_sheet(path, COLUMNS, optional=_OPTIONAL, separators=";", comment=COMMENT)
    found = [_row(one.line, one.cells, sheet) for one in sheet.rows]
    return Rows([row for row in found if row is not None], sheet.faults)


def _row(line: int, cells: Mapping[str, str], sheet: Sheet) -> Row | None:
    if cells["required"].casefold() not in ("", _YES):
        sheet.note(line, "required", f'must be "{_YES}" or empty')
    missing = [name for name in _NEEDED if not cells[name]]
    for name in missing:
        sheet.note(line, name, "missing")
    if missing:
        return None
    words = {name: cells[name] for name in (*_NEEDED, "convert")}
    return Row(**words, required=cells["required"].casefold() == _YES, line=line)
