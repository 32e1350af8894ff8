"""Files of rows for packages that have no API: CSV or XML, in the encoding agreed upon."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.sdk.letters import is_held, nearest
from connectors.sdk.xml import add, new_root, write_xml
from schemas.errors import ConfigError

_XML_ENCODINGS = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8", "cp1252": "windows-1252", "iso-8859-15": "ISO-8859-15"}
ENCODINGS = tuple(_XML_ENCODINGS)
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_XML_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_RISKY = ("=", "+", "-", "@", "\t", "\r")
_NEUTRAL = re.compile(r"'(?=[=+\-@])")


class Unwritable(ValueError):
    """Why a text cannot stand in such a file: French, to follow "la valeur"; nothing of the text."""


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How files are written. `neutralise`: an apostrophe before what a spreadsheet would take for a formula."""

    format: str = "csv"
    encoding: str = "utf-8"
    transliterate: bool = False
    separator: str = ";"
    quote_all: bool = False
    line_end: str = "\r\n"
    header: bool = True
    neutralise: bool = True
    xml_root: str = "echanges"
    xml_row: str = "echange"

    @staticmethod
    def of(told: Mapping[str, Any]) -> RowFormat:
        """As `[drop]` or the settings of a connection tell it; what they leave out is usual."""
        return RowFormat(
            format=told.get("format", "csv"), encoding=told.get("encoding", "utf-8"),
            transliterate=told.get("unmappable", "refuse") == "transliterate",
            separator=told.get("separator", ";"), quote_all=told.get("quoting", "minimal") == "all",
            line_end={"crlf": "\r\n", "lf": "\n"}[told.get("line_end", "crlf")],
            header=told.get("header", True), neutralise=told.get("neutralise_formulas", True),
            xml_root=told.get("xml_root", "echanges"), xml_row=told.get("xml_row", "echange"),
        )  # fmt: skip

    def check_names(self, names: Collection[str], key: str) -> None:
        """Raises ConfigError for columns that repeat, or that XML cannot name."""
        if len(set(names)) != len(names):
            raise ConfigError("two columns have the same name", key=key)
        for name in names if self.format == "xml" else ():
            if not _XML_NAME.fullmatch(name):
                raise ConfigError(f"{name} cannot name an XML element", key=key)

    def fit(self, text: str) -> str:
        """The text as the file can hold it. Raises Unwritable."""
        if _UNWRITABLE.search(text):
            raise Unwritable("contient un caractère de contrôle")
        if self.format == "xml" or is_held(text, self.encoding):
            return text
        near = nearest(text, self.encoding)
        if self.transliterate and is_held(near, self.encoding):
            return near
        raise Unwritable(f"contient un caractère que l'encodage {self.encoding} ne connaît pas")

    def write(self, names: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[str] = ()) -> bytes:
        """The whole file. Cells are fit already. `numbers`: columns that no spreadsheet takes for a formula."""
        return self._xml(names, rows) if self.format == "xml" else self._csv(names, rows, numbers)

    def _csv(self, names: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str]) -> bytes:
        written = [
            [cell if name in numbers else self._neutral(cell) for name, cell in zip(names, row, strict=True)]
            for row in rows
        ]
        # The csv module leaves a lone CR or LF bare when it is not the line end of the file.
        multi_line = any("\n" in cell or "\r" in cell for row in written for cell in row)
        buffer = io.StringIO()
        writer = csv.writer(
            buffer, delimiter=self.separator, lineterminator=self.line_end,
            quoting=csv.QUOTE_ALL if self.quote_all or multi_line else csv.QUOTE_MINIMAL,
        )  # fmt: skip
        if self.header:
            writer.writerow(names)
        writer.writerows(written)
        return buffer.getvalue().encode(self.encoding)

    def _xml(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
        root = new_root(self.xml_root)
        for row in rows:
            element = add(root, self.xml_row)
            for name, cell in zip(names, row, strict=True):
                add(element, name, cell)
        return write_xml(root, encoding=_XML_ENCODINGS[self.encoding], pretty=True)

    def _neutral(self, cell: str) -> str:
        return f"'{cell}" if self.neutralise and cell[:1] in _RISKY else cell


def without_apostrophe(cell: str) -> str:
    """A cell without the apostrophe that kept a spreadsheet from running it."""
    return _NEUTRAL.sub("", cell, count=1)


def cell_text(value: object) -> str:
    """A value as a cell says it: a list in one line, `oui` and `non`. Raises Unwritable."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "oui" if value else "non"
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value).strip()
    if isinstance(value, Sequence) and all(isinstance(item, str | int | float) for item in value):
        return " ".join(cell_text(item) for item in value)
    if isinstance(value, Mapping | Sequence):
        raise Unwritable("n'est pas une valeur simple")
    return str(value)
