"""The tables of a connector's folder (`statuses.csv`, …) as spreadsheets write them: read whole, every fault at once
with its line and the nearest right word."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from schemas.fault import Fault
from schemas.shape import nearest

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MAX_BYTES = 4 * 1024 * 1024
_OTHER_MARKS = {"\t": "tabs", ",": '","', "|": '"|"'}


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One line by the names of its columns, its cells without blanks around them; `line` counts from 1."""

    line: int
    cells: Mapping[str, str]


@dataclass(slots=True)
class Sheet:
    """What a file holds and what is wrong with it."""

    path: Path
    rows: list[SheetRow] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def note(self, line: int, column: str, message: str) -> None:
        self.faults.append(Fault(str(self.path), column, message, line=line))


def read_sheet(
    path: Path, columns: Sequence[str], *, optional: Collection[str] = (), separators: str = ";,", comment: str = ""
) -> Sheet:  # fmt: skip
    """Read the whole file, whatever it holds: UTF-8 with or without byte order mark, or cp1252; one of `separators`
    between the cells, told by the first line; any line ends, any number of empty cells or empty lines behind. The first
    line names the `columns`, in any order; those in `optional` may be missing. Lines that begin with `comment`, when
    one is given, are passed over. Nothing is raised."""
    sheet = Sheet(path)
    text = _text_of(sheet)
    if text is None:
        return sheet
    mark = _separator(text, separators, comment)
    lines = list(_lines(text, mark, comment, sheet))
    if lines:
        _read_rows(lines, columns, optional, mark, sheet)
    elif not sheet.faults:
        sheet.note(0, "", f"is empty: the first line must be {separators[0].join(columns)}")
    return sheet


def _text_of(sheet: Sheet) -> str | None:
    try:
        content = sheet.path.read_bytes()
    except OSError as error:
        sheet.note(0, "", f"cannot be read ({error.strerror})")
        return None
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


def _separator(text: str, separators: str, comment: str) -> str:
    said = (line for line in text.splitlines() if line.strip() and not _is_comment(line, comment))
    return max(separators, key=next((line for line in said if not _is_mark(line, separators)), "").count)


def _is_comment(line: str, comment: str) -> bool:
    """A spreadsheet puts the line in quotes where it holds some itself."""
    return bool(comment) and line.lstrip(' "').startswith(comment)


def _is_mark(line: str, separators: str) -> bool:
    """Excel's own first line, `sep=;`."""
    return line.strip().casefold() in {f"sep={mark}" for mark in separators}


def _lines(text: str, mark: str, comment: str, sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """The lines that hold something, each with its number and its trimmed cells. Each is read by itself: no cell of
    these tables has a line break in it, so a quote that is left open costs its own line."""
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if (number == 1 and _is_mark(line, mark)) or _is_comment(line, comment):
            continue
        try:
            cells = [cell.strip() for cell in next(csv.reader([line.rstrip("\n")], delimiter=mark, strict=True), [])]
        except csv.Error:
            sheet.note(number, "", "a quote is opened and not closed, or stands inside a cell")
            continue
        if any(cells):
            yield number, cells


def _read_rows(
    lines: Sequence[tuple[int, list[str]]], columns: Sequence[str], optional: Collection[str], mark: str, sheet: Sheet
) -> None:
    number, header = lines[0]
    names = _header(number, header, columns, optional, mark, sheet)
    for line, cells in lines[1:] if names else ():
        if any(cells[len(names) :]):
            sheet.note(line, "", f"has more cells than the first line has columns: is a {mark} too many in it?")
        else:
            said = dict(zip(names, cells, strict=False))
            sheet.rows.append(SheetRow(line, {name: said.get(name, "") for name in columns}))


def _header(
    line: int, cells: list[str], columns: Sequence[str], optional: Collection[str], mark: str, sheet: Sheet
) -> list[str]:
    """The names of the columns; empty when the lines below cannot be read by them."""
    names = cells[: max((at for at, cell in enumerate(cells, 1) if cell), default=0)]
    first = len(sheet.faults)
    other = next((one for one in _OTHER_MARKS if len(names) == 1 and one in names[0]), None)
    if other is not None:
        sheet.note(line, "", f'the cells are separated by {_OTHER_MARKS[other]}: they must be by "{mark}"')
        return []
    for name in names:
        if name not in columns:
            sheet.note(line, name, f"no such column{nearest(name, columns)}")
    for name in columns:
        if name not in names and name not in optional:
            sheet.note(line, name, "this column is missing")
        elif names.count(name) > 1:
            sheet.note(line, name, "this column is there twice")
    return [] if len(sheet.faults) > first else names
