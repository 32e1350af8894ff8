"""The twin of a package that leaves exports, or news, as files of rows: laid out as its manifest declares them."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from connectors.sdk.folder_twin import FolderTwin
from connectors.sdk.kinds.table_files import TableForm
from connectors.sdk.workbook import SUFFIXES
from connectors.sdk.workbook_writer import workbook_of
from schemas.errors import ConfigError

_NIGHT = 1_772_400_000
_EVENING = 600  # seconds between two exports
_END = b"\r\n"
_SHOWN = b";"
_OF_TEXTS = ("latin-1", "utf-16")


@dataclass(frozen=True, slots=True)
class FileLayout:
    """How a file of rows is written. `pattern`: what files are called. `head`: the names of its columns, which stand in
    its first line where the form has one."""

    form: TableForm
    pattern: str
    head: tuple[str, ...]

    def name(self, number: int) -> str:
        """A name that the pattern fits, one for each number. Raises ConfigError for a pattern of one name alone."""
        pattern = self.pattern.removesuffix("*") + "csv" if self.pattern.endswith(".*") else self.pattern
        stem, star, rest = pattern.rpartition("*")
        if not star:
            raise ConfigError(
                f'"{self.pattern}" is one name: its twin cannot leave two files side by side', key="files"
            )
        name = f"{stem.replace('*', '-')}-{number:03d}{rest}".replace("?", "0").replace("[", "").replace("]", "")
        return name if "." in name else f"{name}.csv"

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name(0)).suffix.lower()

    @property
    def is_text(self) -> bool:
        return self.suffix not in (*SUFFIXES, ".zip")

    def as_table(self, rows: Sequence[Sequence[str]]) -> bytes:
        """Names and rows as a table with `;`, whatever the layout: as those see it who look for what could be wrong."""
        return self.as_lines([self.head, *rows])

    def as_lines(self, rows: Sequence[Sequence[str]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=";", lineterminator="\r\n").writerows(rows)
        return text.getvalue().encode(self.form.encoding, "replace")

    def as_file(self, table: bytes) -> bytes:
        """The file that holds such a table, its bytes as they are where the layout has room for them."""
        table = table if self.form.header else table.partition(_END)[2]
        if self.suffix in SUFFIXES:
            lines = table.decode(self.form.encoding, "replace").split("\r\n")
            return workbook_of([_cells(line) for line in lines], self.form.sheet)
        if self.form.fixed:
            return _END.join(self._padded(line) for line in table.split(_END))
        plain = table.replace(_SHOWN, self.form.separator.encode())
        return _zipped(plain) if self.suffix == ".zip" else plain

    def _padded(self, line: bytes) -> bytes:
        cells = line.decode(self.form.encoding, "surrogateescape").split(";") if line else []
        made = ""
        for (first, last), cell in zip(self.form.fixed.values(), cells, strict=False):
            made = made.ljust(first - 1) + cell[: last - first + 1].ljust(last - first + 1)
        return made.rstrip().encode(self.form.encoding, "surrogateescape")


@dataclass
class RowFilesTwin(FolderTwin):
    """Leaves files of rows. `texts`: they are texts, which may come in another encoding. `quiet`: rows that stand
    behind those that are shown, in every file, and never change.

    What `left` shows is a table with `;`, and `rewrite` puts another in its place, in the layout of the manifest."""

    texts: bool = True
    quiet: Sequence[Sequence[str]] = ()
    nights: int = 0
    _whole: bool = False
    _tables: dict[str, bytes] = field(default_factory=dict)
    _layouts: dict[str, FileLayout] = field(default_factory=dict)
    _moments: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.texts:
            kept = {kind: words for kind, words in self.kinds.items() if kind not in _OF_TEXTS}
            self.kinds = kept  # type: ignore[misc]

    def collect(self) -> object:
        return None

    def export(self, layout: FileLayout, rows: Sequence[Sequence[str]]) -> str:
        """A further file of these rows, written later than the one before."""
        self.nights += 1
        name = layout.name(self.nights)
        self._tables[name], self._layouts[name] = layout.as_table(rows), layout
        self._moments[name] = _NIGHT + self.nights * _EVENING
        self.leave(name, self._content(name))
        self._date(name)
        return name

    def left(self) -> dict[str, bytes]:
        lying = super().left()
        return lying if self._whole else {name: self._tables.get(name, content) for name, content in lying.items()}

    def rewrite(self, name: str, content: bytes) -> None:
        if self._whole:
            super().rewrite(name, content)
        else:
            self._tables[name] = content
            super().rewrite(name, self._content(name))
            self._date(name)

    def misbehave(self, kind: str, times: int = 1, *, on: str = "", at: str = "") -> None:
        self._whole = True  # it is the file that goes wrong, not the table in it
        try:
            super().misbehave(kind, times, on=on, at=at)
        finally:
            self._whole = False

    def _date(self, name: str) -> None:
        os.utime(self.returns / name, (self._moments[name],) * 2)

    def _content(self, name: str) -> bytes:
        layout = self._layouts[name]
        behind = layout.as_lines(self.quiet)
        table = self._tables[name]
        return layout.as_file(table + (behind if table.endswith(_END) else b""))


def _cells(line: str) -> list[str]:
    """Of one line: a quote that is left open there is a letter as any other."""
    if line.count('"') % 2 or "\n" in line:
        return line.split(";")
    return next(csv.reader([line], delimiter=";"), [])


def _zipped(content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export.csv", content)
    return made.getvalue()
