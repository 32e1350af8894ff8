"""The file `mapping.csv`, as spreadsheets write it, line by line."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from connectors.sdk.mapping.faults import TableFault
from schemas.shape import nearest

COLUMNS = ("map", "target", "source", "convert", "required")
YES = "oui"
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, its cells without blanks around them."""

    map: str
    target: str
    source: str
    convert: str = ""
    required: bool = False
    line: int = 0


@dataclass(slots=True)
class Sheet:
    """What a file holds and what is wrong with it. `path` is shown in the faults."""

    path: str
    rows: list[Row] = field(default_factory=list)
    faults: list[TableFault] = field(default_factory=list)

    def note(self, line: int, key: str, message: str) -> None:
        self.faults.append(TableFault(self.path, line, key, message))


def read_sheet(path: Path) -> Sheet:
    """Read the whole file, whatever it holds: UTF-8 with or without byte order mark, or cp1252; `;` between the cells,
    any line ends, any number of empty cells or empty lines behind. All faults are in the answer; nothing is raised."""
    sheet = Sheet(str(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        sheet.note(0, "", f"cannot be read ({error.strerror})")
        return sheet
    text = _decoded(content, sheet)
    lines = list(_lines(text, sheet)) if text is not None else []
    if lines:
        _read_rows(lines, sheet)
    elif not sheet.faults:
        sheet.note(0, "", f"is empty: the first line must be {';'.join(COLUMNS)}")
    return sheet


def _decoded(content: bytes, sheet: Sheet) -> str | None:
    if len(content) > _MAX_BYTES:
        sheet.note(0, "", "is larger than 4 MiB")
    elif content.startswith(_WIDE) or b"\x00" in content:
        sheet.note(0, "", "is UTF-16 or no text: save it as CSV UTF-8")
    else:
        for encoding in ("utf-8-sig", "cp1252"):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError:
                continue
        sheet.note(0, "", "is neither UTF-8 nor cp1252: save it as CSV UTF-8")
    return None


def _lines(text: str, sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """The lines that hold something, each with its number and its trimmed cells."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";", strict=True)
    line = 1
    while True:
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error:
            sheet.note(line, "", "a quote is opened and not closed")
            return
        if any("\n" in cell or "\r" in cell for cell in cells):
            sheet.note(line, "", "a cell goes on in the next line: a quote is opened and not closed")
        elif any(cells):
            yield line, cells
        line = reader.line_num + 1


def _read_rows(lines: list[tuple[int, list[str]]], sheet: Sheet) -> None:
    number, header = lines[0]
    names = _header(number, header, sheet)
    for line, cells in lines[1:] if names else ():
        if any(cells[len(names) :]):
            sheet.note(
                line, "", f"has more cells than the first line has columns: is a ; too many in it? ({len(cells)})"
            )
            continue
        said = dict(zip(names, cells, strict=False))
        required = said.get("required", "")
        if required.casefold() not in ("", YES):
            sheet.note(line, "required", f'must be "{YES}" or empty')
        found = {name: said.get(name, "") for name in ("map", "target", "source", "convert")}
        for name in ("map", "target", "source"):
            if not found[name]:
                sheet.note(line, name, "missing")
        if all(found[name] for name in ("map", "target", "source")):
            sheet.rows.append(Row(**found, required=required.casefold() == YES, line=line))


def _header(line: int, cells: list[str], sheet: Sheet) -> list[str]:
    """The names of the columns, in any order; empty when the lines below cannot be read by them."""
    names = cells[: max((at for at, cell in enumerate(cells, 1) if cell), default=0)]
    first = len(sheet.faults)
    if len(names) == 1 and names[0] not in COLUMNS:
        mark = next((mark for mark in ("\t", ",", "|") if mark in names[0]), None)
        said = {"\t": "tabs", ",": '","', "|": '"|"'}.get(mark or "", "")
        if mark:
            sheet.note(line, "", f'the cells are separated by {said}: they must be by ";"')
            return []
    for name in names:
        if name not in COLUMNS:
            sheet.note(line, name, f"no such column{nearest(name, COLUMNS)}")
    for name in COLUMNS:
        if name not in names and name not in ("convert", "required"):
            sheet.note(line, name, "this column is missing")
        elif names.count(name) > 1:
            sheet.note(line, name, "this column is there twice")
    return [] if len(sheet.faults) > first else names
