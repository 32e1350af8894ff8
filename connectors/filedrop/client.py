"""The files themselves: written for the package to collect, read back when it has something to say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.filedrop.layout import Layout, News, Site
from connectors.sdk import values
from connectors.sdk.row_files import without_apostrophe
from connectors.sdk.values import named, present
from schemas.checks import is_french_postal_code
from schemas.errors import InvalidMessage
from schemas.identities import given_names
from schemas.tables import Row, Table, read_rows

MAX_BYTES = 5 * 1024 * 1024
ANSWER_COLUMNS = ("cle", "resultat", "motif")
_HOUSE = re.compile(r"(\d{1,5}(?: ?(?:bis|ter|quater|[A-Za-z](?![A-Za-z])))?)\s*[, ]\s*(\S.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Move:
    """A change of address that the package tells: whose (identifier, perhaps the name), where to, since when."""

    reference: str
    address: dict[str, str]
    date: str
    named: Mapping[str, Any]


def write_rows(site: Site, layout: Layout, rows: Sequence[Sequence[str]]) -> bytes:
    """The whole file. Cells were already made fit for the encoding by `Site.row`."""
    numbers = [column.name for column in layout.columns if column.format == "number"]
    return site.form.write(layout.names, rows, numbers=numbers)


def read_news(site: Site, news: News, content: bytes) -> Table:
    """A file of the package's own changes: any columns in any order, of which only those named are looked at.
    Raises InvalidMessage when nothing of it can be read; a bad line is a fault of its own."""
    wanted = [news.reference, news.address, news.postal_code, news.city, news.date]
    more = [name for name in (news.complement, news.country, news.family_name, news.given_names) if name]
    return read_rows(
        content, [*wanted, *more], encoding=site.form.encoding, separator=site.form.separator, required=wanted
    )


def read_answers(site: Site, content: bytes) -> Table:
    """A return file, three columns: `cle;resultat;motif`. Raises InvalidMessage as `read_news`."""
    return read_rows(
        content, ANSWER_COLUMNS, encoding=site.form.encoding, separator=site.form.separator, required=ANSWER_COLUMNS[:2]
    )


def move_of(site: Site, news: News, row: Row) -> Move:
    """Raises InvalidMessage for a row that says no move."""
    cells = {name: without_apostrophe(cell) for name, cell in row.cells.items()}
    reference, city = cells[news.reference], cells[news.city]
    if not reference or len(reference) > 128:
        raise InvalidMessage("l'identifiant manque ou est trop long", code="reference")
    try:
        day = site.date(cells[news.date])
    except ValueError:
        raise InvalidMessage(f"la date n'est pas au format {site.date_format}", code="date") from None
    if not "1900" <= day[:4] <= "2100":
        raise InvalidMessage("l'année de la date n'est pas plausible", code="date")
    place = _place(cells[news.postal_code], city, cells[news.country] if news.country else "")
    address = _street(cells[news.address], cells[news.complement] if news.complement else None) | place
    if len(city) > 100 or any(len(part) > 200 for part in address.values()):
        raise InvalidMessage("l'adresse est trop longue", code="address")
    family, given = (cells[name] if name else "" for name in (news.family_name, news.given_names))
    names = given_names([given]) if family else []
    return Move(reference, address, day, present({"identity": named(family, names) if names else None}))


def _place(code: str, city: str, country: str) -> dict[str, str]:
    """An address without a country is in France."""
    home = values.country(country or "FR").value == "FR"
    if not city or (home and not code):
        raise InvalidMessage("le code postal ou la ville manque", code="address")
    town = values.town(city, _postal_code(code) if home else code, country)
    if town is None:
        raise InvalidMessage("le pays ou le code postal ne se lit pas", code="address")
    return town


def _postal_code(text: str) -> str:
    code = text.replace(" ", "")
    if len(code) == 4 and code.isdecimal():
        why = (
            "le code postal n'a que quatre chiffres (un tableur a ôté le zéro du début, ou l'adresse est à l'étranger)"
        )
        raise InvalidMessage(why, code="postal_code")
    if not is_french_postal_code(code):
        raise InvalidMessage("le code postal n'a pas cinq chiffres", code="postal_code")
    return code


def _street(text: str, complement: str | None) -> dict[str, str]:
    """The parts of "12 bis rue des Tilleuls, Bâtiment C", so that an address given back is known as the one we gave."""
    house = _HOUSE.fullmatch(text)
    number, street = house.groups() if house else ("", text)
    if complement is None:
        street, _, complement = street.partition(", ")
    return present({"house_number": number, "street": street.strip(), "complement": complement.strip()})
