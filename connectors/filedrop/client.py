"""The files themselves: written for the package to collect, read back when it has something to say."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from connectors.filedrop.layout import Layout, News, Site
from connectors.sdk.files import LeftFile
from connectors.sdk.xml import add, new_root, write_xml
from schemas.errors import InvalidMessage

MAX_BYTES = 5 * 1024 * 1024
MAX_CELL = 2000
ANSWER_COLUMNS = ("cle", "resultat", "motif")
_XML_ENCODINGS = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8", "cp1252": "windows-1252", "iso-8859-15": "ISO-8859-15"}
_HOUSE = re.compile(r"(\d{1,5}(?: ?(?:bis|ter|quater|[A-Za-z](?![A-Za-z])))?)\s*[, ]\s*(\S.*)", re.IGNORECASE)
_POSTAL = re.compile(r"[0-9A-Za-z][0-9A-Za-z -]{0,11}")
_NEUTRAL = re.compile(r"'(?=[=+\-@])")


@dataclass(frozen=True, slots=True)
class Move:
    """A change of address that the package tells: whose (its own identifier), where to, since when."""

    line: int
    reference: str
    address: dict[str, str]
    date: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the package says of one row it was given: `key` is the row's exchange key."""

    line: int
    key: str
    result: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A file as read: its good lines, and for each bad line its number and the rule it breaks, never its content."""

    file: LeftFile
    moves: list[Move] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def write_rows(site: Site, layout: Layout, rows: Sequence[Sequence[str]]) -> bytes:
    """The whole file. Cells were already made fit for the encoding by `Site.row`."""
    return _write_xml(site, layout, rows) if site.format == "xml" else _write_csv(site, layout, rows)


def _write_csv(site: Site, layout: Layout, rows: Sequence[Sequence[str]]) -> bytes:
    written = [
        [_without_formula(site, column.format, cell) for column, cell in zip(layout.columns, row, strict=True)]
        for row in rows
    ]
    # The csv module leaves a lone CR or LF bare when it is not the line end of the file.
    multi_line = any("\n" in cell or "\r" in cell for row in written for cell in row)
    buffer = io.StringIO()
    writer = csv.writer(
        buffer, delimiter=site.separator, lineterminator=site.line_end,
        quoting=csv.QUOTE_ALL if site.quote_all or multi_line else csv.QUOTE_MINIMAL,
    )  # fmt: skip
    if site.header:
        writer.writerow(layout.names)
    writer.writerows(written)
    return buffer.getvalue().encode(site.encoding)


def _without_formula(site: Site, format: str, cell: str) -> str:
    risky = site.neutralise and format != "number" and cell[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{cell}" if risky else cell


def _write_xml(site: Site, layout: Layout, rows: Sequence[Sequence[str]]) -> bytes:
    root = new_root(site.xml_root)
    for row in rows:
        element = add(root, site.xml_row)
        for name, cell in zip(layout.names, row, strict=True):
            add(element, name, cell)
    return write_xml(root, encoding=_XML_ENCODINGS[site.encoding], pretty=True)


def read_news(site: Site, news: News, file: LeftFile) -> Reading:
    """A file of the package's own changes: any columns in any order, of which only those named are looked at.
    Raises InvalidMessage when nothing of it can be read; a bad line is a fault of its own."""
    wanted = [news.reference, news.address, news.postal_code, news.city, news.date]
    reading = Reading(file)
    for line, row in _rows(
        site, file.content, [*wanted, *([news.complement] if news.complement else [])], reading.faults
    ):
        try:
            reading.moves.append(_move(site, news, line, row))
        except InvalidMessage as error:
            reading.faults.append(f"ligne {line} : {error.reason}")
    return reading


def read_answers(site: Site, file: LeftFile) -> Reading:
    """A return file, three columns: `cle;resultat;motif`. Raises InvalidMessage as `read_news`."""
    reading = Reading(file)
    for line, row in _rows(site, file.content, list(ANSWER_COLUMNS), reading.faults):
        reading.answers.append(Answer(line, row["cle"], row["resultat"], row["motif"]))
    return reading


def _rows(site: Site, content: bytes, wanted: Sequence[str], faults: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    lines = _lines(site, content, faults)
    _, header = next(lines, (0, []))
    header = [name.strip() for name in header]
    missing = [name for name in wanted if header.count(name) != 1]
    if missing:
        raise InvalidMessage(f"La première ligne doit nommer une fois : {', '.join(missing)}.", code="entete")
    places = {name: header.index(name) for name in wanted}
    for number, cells in lines:
        if len(cells) != len(header):
            faults.append(f"ligne {number} : {len(cells)} colonne(s) au lieu de {len(header)}")
        elif any(len(cell) > MAX_CELL or any(ord(c) < 32 or ord(c) == 127 for c in cell) for cell in cells):
            faults.append(f"ligne {number} : une cellule est trop longue ou contient un caractère de contrôle")
        else:
            yield number, {name: _NEUTRAL.sub("", cells[place].strip(), count=1) for name, place in places.items()}


def _lines(site: Site, content: bytes, faults: list[str]) -> Iterator[tuple[int, list[str]]]:
    try:
        text = content.decode("utf-8-sig" if site.encoding.startswith("utf-8") else site.encoding)
    except UnicodeDecodeError:
        raise InvalidMessage("Le texte n'est pas dans l'encodage convenu.", code="encodage") from None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=site.separator, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            faults.append(f"ligne {first} : CSV mal formé")
            continue
        if cells:
            yield first, cells


def _move(site: Site, news: News, line: int, row: dict[str, str]) -> Move:
    reference = row[news.reference]
    if not reference or len(reference) > 128:
        raise InvalidMessage("l'identifiant manque ou est trop long")
    try:
        day = site.date(row[news.date])
    except ValueError:
        raise InvalidMessage(f"la date n'est pas au format {site.date_format}") from None
    if not _POSTAL.fullmatch(row[news.postal_code]) or not 0 < len(row[news.city]) <= 100:
        raise InvalidMessage("le code postal ou la ville manque")
    complement = row[news.complement] if news.complement else None
    address = _street(row[news.address], complement) | {"postal_code": row[news.postal_code], "city": row[news.city]}
    if any(len(part) > 200 for part in address.values()):
        raise InvalidMessage("l'adresse est trop longue")
    return Move(line, reference, address, day)


def _street(text: str, complement: str | None) -> dict[str, str]:
    """The parts of "12 bis rue des Tilleuls, Bâtiment C", so that an address given back is known as the one we gave."""
    house = _HOUSE.fullmatch(text)
    number, street = house.groups() if house else ("", text)
    if complement is None:
        street, _, complement = street.partition(", ")
    parts = {"house_number": number, "street": street.strip(), "complement": complement.strip()}
    return {name: part for name, part in parts.items() if part}
