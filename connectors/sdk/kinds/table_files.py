"""A file of rows in whatever form a package exports it: CSV, a spreadsheet, fixed width, or one of these in a ZIP."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from connectors.sdk.archive import is_archive, only_member
from connectors.sdk.workbook import SUFFIXES, workbook_as_csv
from schemas.errors import InvalidMessage
from schemas.tables import Table, read_rows, read_text

_TEXTS = (".csv", ".txt", ".tsv", ".dat", ".asc")
_LONGEST_LINE = 20_000
_SEPARATOR = ";"
_HEAD = 4096
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x19\x1b-\x1f]")


@dataclass(frozen=True, slots=True)
class TableForm:
    """How the rows of a file are laid out. `positions`: where columns stand, from 1, that the first line does not name
    or names twice. `fixed`: from which to which character each column goes, from 1, in a file of fixed width."""

    encoding: str = "utf-8"
    separator: str = ";"
    header: bool = True
    sheet: str = ""
    positions: Mapping[str, int] = field(default_factory=dict)
    fixed: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    prose: Collection[str] = ()

    @staticmethod
    def of(raw: Mapping[str, Any], encoding: str) -> TableForm:
        """Raises ValueError for characters that are no range."""
        return TableForm(
            encoding=encoding, separator=raw.get("separator", ";"), header=raw.get("header", "fixed" not in raw),
            sheet=raw.get("sheet", ""), positions=dict(raw.get("positions", {})),
            fixed={name: _range(text) for name, text in raw.get("fixed", {}).items()}, prose=raw.get("prose", ()),
        )  # fmt: skip

    def read(self, name: str, content: bytes, columns: Sequence[str], required: Collection[str]) -> Table:
        """The rows of a file, of which only `columns` are looked at. Raises InvalidMessage when nothing of it can be
        used; a bad line is a fault of its own."""
        suffix = PurePosixPath(name).suffix.lower()
        if suffix == ".zip":
            name, content = only_member(content, is_table)
            suffix = PurePosixPath(name).suffix.lower()
        if is_archive(content) or (suffix in SUFFIXES and not _is_text(content)):
            return self._rows(workbook_as_csv(content, self.sheet), _SEPARATOR, columns, required)
        text = read_text(content, self.encoding)
        if self.fixed:
            return self._rows(_as_csv(self._cut(text)), _SEPARATOR, columns, required)
        return self._rows(text, self.separator, columns, required)

    def _rows(self, text: str, separator: str, columns: Sequence[str], required: Collection[str]) -> Table:
        positions = {name: place for place, name in enumerate(self.fixed, 1)} if self.fixed else self.positions
        return read_rows(
            text, columns, separator=separator, required=required, prose=self.prose, positions=positions,
            header=self.header and not self.fixed,
        )  # fmt: skip

    def _cut(self, text: str) -> list[list[str]]:
        lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x1a", "").split("\n")
        first = 1 if self.header else 0  # a line of names is passed over
        return [
            [line[start - 1 : end] for start, end in self.fixed.values()] if at >= first and line.strip() else []
            for at, line in enumerate(lines)
        ]


def _as_csv(rows: Sequence[Sequence[str]]) -> str:
    """One line a row, so that a line of it has the number of the row."""
    made = io.StringIO()
    csv.writer(made, delimiter=_SEPARATOR, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    return made.getvalue()


def _is_text(content: bytes) -> bool:
    """Whether a file that is called a workbook is a text: many a package names its CSV so that a double click opens it.
    Raises InvalidMessage for a web page of that name."""
    head = content[:_HEAD]
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        said = "C'est une page web (ou du XML) sous le nom d'un classeur : demander un export CSV."
        raise InvalidMessage(said, code="workbook")
    return bool(head) and not _BINARY.search(head)


def is_table(name: str) -> bool:
    last = PurePosixPath(name)
    return last.suffix.lower() in (*_TEXTS, *SUFFIXES) and not last.name.startswith((".", "~$", "__"))


def _range(text: str) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    first, last = int(start), int(end) if dash else int(start)
    if not 1 <= first <= last <= _LONGEST_LINE:
        raise ValueError(f"{text} is no range of characters such as 1-8")
    return first, last


def form_faults(place: str, raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with how a manifest lays out the rows of a file."""
    if "fixed" in raw:
        yield from ((f"{place}.{other}", "a file of fixed width has none") for other in ("positions",) if other in raw)
        for name, text in raw["fixed"].items():
            try:
                _range(text)
            except ValueError as error:
                yield f"{place}.fixed.{name}", str(error)
    if raw.get("header") is False and "positions" not in raw and "fixed" not in raw:
        yield f"{place}.header", "without a first line of names, say `positions`"
    encoding = raw.get("encoding", "utf-8")
    if "{" not in encoding and not _is_encoding(encoding):
        yield f"{place}.encoding", f'no encoding "{encoding}"'


def _is_encoding(name: str) -> bool:
    try:
        return "é".encode(name) != b""
    except (LookupError, UnicodeError):
        return False
