"""CSV as packages and spreadsheets really write it: what loses nothing is taken, the rest is told by its line.

Taken: byte order marks, Excel's line `sep=;`, empty lines and lines of separators alone, separators too many at the
end of a line, empty cells dropped there, blanks before a quote, the mark with which DOS ends a file, names of columns
in other letters (`PRENOM` for `Prénom`) where no other column could be meant. Columns that nobody asked for are not
looked at. A quote that is opened and never closed costs its own line: the lines that it would swallow are read again,
or named with it. What is told holds nothing of the content.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.errors import InvalidMessage
from schemas.names import joined_name

MAX_CELL = 2000
MAX_FAULTS = 1000
_MARK = b"\xef\xbb\xbf"
_DOS_END = "\x1a"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PROSE_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_C1 = re.compile(r"[\x80-\x9f]")
# What French text holds outside ASCII. Bytes of another encoding that happen to be UTF-8 give other characters.
_FRENCH = re.compile(r"[\u00a0-\u017f\u2010-\u206f\u20ac]")


@dataclass(frozen=True, slots=True)
class Row:
    """A line that could be read: of the columns asked for, the text without spaces around it. `last`: the last line of
    the file that it takes, for a cell may hold line breaks."""

    line: int
    last: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]


@dataclass(frozen=True, slots=True)
class LineFault:
    """Why lines were not taken: a code, and a sentence in French that holds nothing of them."""

    line: int
    last: int
    code: str
    reason: str

    @property
    def where(self) -> str:
        return f"ligne {self.line}" if self.last == self.line else f"lignes {self.line} à {self.last}"

    def __str__(self) -> str:
        return f"{self.where} : {self.reason}"


@dataclass(slots=True)
class LineFaults:
    """The faults of a file in the order of its lines; beyond MAX_FAULTS they are only counted, in `more`."""

    told: list[LineFault] = field(default_factory=list)
    more: int = 0

    def add(self, line: int, last: int, code: str, reason: str) -> None:
        if len(self.told) < MAX_FAULTS:
            self.told.append(LineFault(line, last, code, reason))
        else:
            self.more += 1

    def __len__(self) -> int:
        return len(self.told) + self.more

    def __str__(self) -> str:
        """For people: one line each."""
        lines = [str(fault) for fault in sorted(self.told, key=lambda fault: fault.line)]
        return "\n".join([*lines, f"et {self.more} autre(s) ligne(s)"] if self.more else lines)


@dataclass(frozen=True, slots=True)
class Table:
    """`names`: those of the first line, where it has any."""

    rows: list[Row]
    faults: LineFaults
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """As `Table`, its rows one after the other; `faults` are those of the lines passed so far."""

    rows: Iterator[Row]
    faults: LineFaults
    names: Sequence[str] = ()


def read_text(content: bytes, encoding: str) -> str:
    """The text of a file in the encoding agreed upon. Raises InvalidMessage `encoding` for one in another: UTF-8 with
    accents where a one-byte encoding was agreed on, bytes of cp1252 in ISO 8859, UTF-16. Most wrong bytes are some
    character of a one-byte encoding, so decoding alone refuses nothing."""
    body = content
    while body.startswith(_MARK):
        body = body.removeprefix(_MARK)
    utf8 = encoding.lower().startswith("utf-8")
    if body.startswith(_UTF16_MARKS) or (not utf8 and _is_utf8(body)):
        raise _other_encoding()
    try:
        text = body.decode("utf-8" if utf8 else encoding)
    except UnicodeDecodeError:
        raise _other_encoding() from None
    if not utf8 and _C1.search(text):
        raise _other_encoding()
    return text


def read_rows(
    content: bytes | str, columns: Sequence[str], *, encoding: str = "utf-8", separator: str = ";", exact: bool = False,
    required: Collection[str] = (), prose: Collection[str] = (), max_cell: int = MAX_CELL,
    positions: Mapping[str, int] | None = None, header: bool = True,
) -> Table:  # fmt: skip
    """The rows of a CSV file with a header, and the faults of its other lines.

    `columns`: those that are read; they may stand in any order among others, unless the header must be `exact`.
    `required`: a line that ends before one of these is told; other missing cells are empty. `prose`: columns that may
    hold line breaks and tabs. `positions`: where columns stand, from 1, that the header does not name, or names twice;
    all of them in a file without a `header`. Raises InvalidMessage `encoding` or `header` when nothing of the file can
    be used.
    """
    stream = stream_rows(
        content, columns, encoding=encoding, separator=separator, exact=exact, required=required, prose=prose,
        max_cell=max_cell, positions=positions, header=header,
    )  # fmt: skip
    return Table(list(stream.rows), stream.faults, stream.names)


def stream_rows(
    content: bytes | str, columns: Sequence[str], *, encoding: str = "utf-8", separator: str = ";", exact: bool = False,
    required: Collection[str] = (), prose: Collection[str] = (), max_cell: int = MAX_CELL,
    positions: Mapping[str, int] | None = None, header: bool = True,
) -> Stream:  # fmt: skip
    """As `read_rows`, of a file whose rows are too many to be kept."""
    text = content if isinstance(content, str) else read_text(content, encoding)
    faults = LineFaults()
    records = _Records(text, separator, faults)
    names = (records if header else _Records(text, separator, LineFaults())).header()
    if exact and names != list(columns):
        raise InvalidMessage(f"La première ligne doit être {separator.join(columns)}.", code="header")
    places = _places(columns, names if header else [], positions or {}, len(names))
    needed = max((places[name] for name in required), default=-1) + 1

    def rows() -> Iterator[Row]:
        for line, last, cells in records.of_width(len(names), needed):
            row = Row(line, last, {name: cells[place].strip() for name, place in places.items()})
            if any(_is_unreadable(row[name], max_cell, name in prose) for name in columns):
                faults.add(line, last, "cell", "une cellule est trop longue ou contient un caractère de contrôle")
            else:
                yield row

    return Stream(rows(), faults, names if header else ())


def _places(
    columns: Sequence[str], names: Sequence[str], positions: Mapping[str, int], width: int
) -> Mapping[str, int]:
    """Where each column stands, from 0."""
    by_name = {name: _named(name, names) for name in columns if name not in positions}
    missing = [name for name, place in by_name.items() if place is None]
    if missing:
        raise InvalidMessage(f"La première ligne doit nommer une fois : {', '.join(missing)}.", code="header")
    beyond = [str(positions[name]) for name in columns if positions.get(name, 0) > width]
    if beyond:
        raise InvalidMessage(f"Il n'y a pas de colonne {', '.join(beyond)} : {width} en tout.", code="header")
    found = {name: place for name, place in by_name.items() if place is not None}
    return {name: positions[name] - 1 if name in positions else found[name] for name in columns}


def _named(column: str, names: Sequence[str]) -> int | None:
    """Where the one column of this name stands, or the one that is written so but for case, accents and signs."""
    if names.count(column) > 1:
        return None
    if column in names:
        return names.index(column)
    wanted = joined_name(column)
    alike = [place for place, name in enumerate(names) if wanted and joined_name(name) == wanted]
    return alike[0] if len(alike) == 1 else None


class _Records:
    """The records of a text. One that is malformed gives its following lines back, to be read again."""

    def __init__(self, text: str, separator: str, faults: LineFaults) -> None:
        self._lines = list(io.StringIO(text.rstrip(_DOS_END), newline=""))
        self._separator, self._faults = separator, faults
        self._at = 1 if self._lines and self._lines[0].rstrip("\r\n") == f"sep={separator}" else 0
        self._reader = self._new_reader()

    def header(self) -> list[str]:
        """The names of the first record, without the empty ones at its end."""
        for _, _, cells in self._records():
            names = [name.strip() for name in cells]
            while names and not names[-1]:
                names.pop()
            if names:
                return names
        return []

    def of_width(self, width: int, needed: int) -> Iterator[tuple[int, int, list[str]]]:
        """Each record with its first and last line, made as wide as the header."""
        for line, last, cells in self._records():
            if not any(cell.strip() for cell in cells):
                continue
            found = len(cells)
            if any(cell.strip() for cell in cells[width:]) or found < needed:
                self._faults.add(line, line, "columns", f"{found} colonne(s) au lieu de {width}")
                self._read_again_after(line)
            elif any(_swallowed_lines(cell, self._separator, width) for cell in cells):
                reason = "un guillemet ouvert semble avoir avalé des lignes entières"
                self._faults.add(line, last, "quote", reason)
            else:
                yield line, last, (cells + [""] * width)[:width]

    def _records(self) -> Iterator[tuple[int, int, list[str]]]:
        while True:
            line = self._at + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error:
                self._faults.add(line, line, "quote", "CSV mal formé (un guillemet n'est pas fermé, ou l'est mal)")
                self._read_again_after(line)
                continue
            yield line, self._at, cells

    def _read_again_after(self, line: int) -> None:
        self._at = line
        self._reader = self._new_reader()

    def _new_reader(self) -> Iterator[list[str]]:
        return csv.reader(self._following(), delimiter=self._separator, strict=True, skipinitialspace=True)

    def _following(self) -> Iterator[str]:
        while self._at < len(self._lines):
            self._at += 1
            yield self._lines[self._at - 1]


def _swallowed_lines(cell: str, separator: str, width: int) -> bool:
    """Whether a cell holds line breaks and as many separators as a whole line: read again, it might be what somebody
    wrote into a free text, so it is neither taken nor read."""
    return ("\n" in cell or "\r" in cell) and width > 1 and cell.count(separator) >= width - 1


def _is_unreadable(cell: str, most: int, prose: bool) -> bool:
    return len(cell) > most or (_PROSE_CONTROL if prose else _CONTROL).search(cell) is not None


def _is_utf8(content: bytes) -> bool:
    """Whether these bytes are UTF-8 with letters as French has them. `CAFÉ…` in cp1252 is UTF-8, too, but no such."""
    try:
        return _FRENCH.search(content.decode()) is not None
    except UnicodeDecodeError:
        return False


def _other_encoding() -> InvalidMessage:
    return InvalidMessage("Le texte n'est pas dans l'encodage convenu.", code="encoding")
