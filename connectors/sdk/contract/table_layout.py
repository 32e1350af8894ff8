"""How a file of rows is laid out, found from the file itself: form, encoding, separator, header, fixed columns."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath

from connectors.sdk.archive import is_archive, only_member
from connectors.sdk.kinds.table_files import is_table
from connectors.sdk.workbook import SUFFIXES, workbook_as_csv
from schemas.errors import ConfigError, InvalidMessage

TABLE_SUFFIXES = (".csv", ".txt", ".tsv", ".dat", ".asc", ".zip", *SUFFIXES)
SEPARATORS = (";", ",", "\t", "|")
_MARKS: Mapping[bytes, str] = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_MOST_ROWS = 2000
_FEWEST_LINES = 2  # of which the blanks show where columns of fixed width stand
_APART = ("|", "/", "~", "{", "}", " + ")  # what a name cannot hold where mapping.csv names a column


@dataclass(frozen=True, slots=True)
class TableSample:
    """What a file shows of itself. `names`: of its columns, each once, as a manifest may name them. `positions`: those,
    from 1, that the first line names twice, not at all, or as no manifest can. `fixed`: characters from and to, from 1,
    of a file of fixed width. `rows`: a cell for each name. `suffix`: of the file of rows, `zipped` in another.
    `head`: the first line as it stands there."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    suffix: str
    zipped: bool = False
    encoding: str = "utf-8"
    separator: str = ";"
    header: bool = True
    positions: Mapping[str, int] = field(default_factory=dict)
    fixed: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    head: tuple[str, ...] = ()

    def column(self, name: str) -> tuple[str, ...]:
        """Its cells that hold something, in their order."""
        place = self.names.index(name)
        return tuple(row[place] for row in self.rows if row[place])


def read_sample(path: Path, *, sheet: str = "") -> TableSample:
    """Read CSV, a spreadsheet, fixed width, or one of these in a ZIP. Raises ConfigError, naming the file, for what is
    no table or holds no row of names."""
    try:
        name, content = path.name, path.read_bytes()
        zipped = PurePosixPath(name).suffix.lower() == ".zip"
        if zipped:
            name, content = only_member(content, is_table)
        return _sample(PurePosixPath(name).suffix.lower(), content, zipped, sheet)
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", key=path.name) from None
    except InvalidMessage as error:
        raise ConfigError(error.reason, key=path.name) from None
    except ValueError as error:
        raise ConfigError(str(error), key=path.name) from None


def _sample(suffix: str, content: bytes, zipped: bool, sheet: str) -> TableSample:
    if suffix in SUFFIXES or is_archive(content):
        return _named(_cells(workbook_as_csv(content, sheet), ";"), suffix, zipped, "utf-8", ";")
    encoding = _encoding(content)
    text = content.decode(encoding)
    separator = _separator(text)
    if separator:
        return _named(_cells(text, separator), suffix, zipped, encoding, separator)
    ranges = _ranges(text)
    if len(ranges) > 1:
        return _fixed(text, ranges, suffix, zipped, encoding)
    return _named(_cells(text, ";"), suffix, zipped, encoding, ";")


def _encoding(content: bytes) -> str:
    """UTF-8 where its bytes are that, else what French Windows writes."""
    if content[:2] in _MARKS:
        return _MARKS[content[:2]]
    for name in ("utf-8-sig" if content.startswith(b"\xef\xbb\xbf") else "utf-8", "cp1252"):
        try:
            content.decode(name)
        except UnicodeDecodeError:
            continue
        return name
    return "iso-8859-1"


def _separator(text: str) -> str:
    """That which parts the first line, and as many cells of most others; "" for none."""
    lines = [line for line in text.splitlines() if line.strip()][:50]
    if lines and lines[0].startswith("sep="):
        return lines[0][4:5]
    counts = {mark: [_parts(line, mark) for line in lines] for mark in SEPARATORS}
    found = {mark: (sum(one == all_[0] for one in all_), all_[0]) for mark, all_ in counts.items() if all_}
    wide = {mark: said for mark, said in found.items() if said[1] > 1}
    return max(wide, key=lambda mark: wide[mark]) if wide else ""


def _parts(line: str, mark: str) -> int:
    return len(next(csv.reader([line], delimiter=mark), []))


def _cells(text: str, separator: str) -> Iterator[list[str]]:
    body = text.removeprefix("\ufeff")
    first, _, rest = body.partition("\n")
    body = rest if first.rstrip("\r") == f"sep={separator}" else body
    for cells in csv.reader(io.StringIO(body, newline=""), delimiter=separator):
        if any(cell.strip() for cell in cells):
            yield [cell.replace("\x00", "").strip() for cell in cells]


def _named(found: Iterator[list[str]], suffix: str, zipped: bool, encoding: str, separator: str) -> TableSample:
    lines = [cells for cells, _ in zip(found, range(_MOST_ROWS), strict=False)]
    if not lines:
        raise ValueError("holds no row")
    header = _is_header(lines)
    head = lines[0] if header else [""] * max(map(len, lines))
    while header and head and not head[-1]:
        head.pop()
    names, positions = _unique(head)
    rows = tuple(tuple((cells + [""] * len(names))[: len(names)]) for cells in lines[1 if header else 0 :])
    return TableSample(names, rows, suffix, zipped, encoding, separator, header, positions, {}, tuple(head))


def _is_header(lines: Sequence[Sequence[str]]) -> bool:
    """Names of columns are texts without figures alone, and mostly not said again below."""
    head = [cell for cell in lines[0] if cell]
    return bool(head) and not any(cell.replace("/", "").replace(".", "").isdigit() or "@" in cell for cell in head)


def _unique(head: Sequence[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """A name for each column, and the place of those that the first line does not name well enough."""
    often, seen = Counter(head), Counter[str]()
    names: list[str] = []
    positions: dict[str, int] = {}
    for place, said in enumerate(head, 1):
        seen[said] += 1
        name = _plain(said) or f"Colonne {place}"
        if often[said] > 1 and said:
            name = f"{name} {seen[said]}"
        while name in names:
            name = f"{name} bis"
        if name != said:
            positions[name] = place
        names.append(name)
    return tuple(names), positions


def _plain(name: str) -> str:
    """A name that `mapping.csv` may hold as that of a column."""
    for mark in _APART:
        name = name.replace(mark, " ")
    return " ".join(name.removeprefix("=").split())


def _ranges(text: str) -> list[tuple[int, int]]:
    """Where columns of fixed width stand: each begins where, after blanks in all lines, some line goes on."""
    lines = [line.rstrip("\r\n\x1a") for line in text.splitlines() if line.strip(" \x1a")]
    if len(lines) < _FEWEST_LINES:
        return []
    width = max(map(len, lines))
    used = [any(at < len(line) and line[at] != " " for line in lines) for at in range(width)]
    starts = [at for at in range(width) if used[at] and (at == 0 or not used[at - 1])]
    return [(start + 1, end) for start, end in pairwise([*starts, width])]


def _fixed(
    text: str, ranges: Sequence[tuple[int, int]], suffix: str, zipped: bool, encoding: str
) -> TableSample:  # fmt: skip
    lines = [line for line in text.splitlines() if line.strip(" \x1a")][:_MOST_ROWS]
    cut = [[line[first - 1 : last].strip() for first, last in ranges] for line in lines]
    header = _is_header(cut) and len({*cut[0]}) == len(ranges) and all(cut[0])
    names, _ = _unique(cut[0] if header else [""] * len(ranges))
    rows = tuple(map(tuple, cut[1 if header else 0 :]))
    fixed = dict(zip(names, ranges, strict=True))
    return TableSample(names, rows, suffix, zipped, encoding, ";", header, {}, fixed, names)
