"""The cells of a spreadsheet: xlsx, xlsm, xlsb, xls or ods. The one file that knows python-calamine."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

import python_calamine

from connectors.sdk.archive import is_archive, without_compression
from schemas.errors import InvalidMessage

SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
MAX_ROWS, MAX_COLUMNS = 500_000, 1_000


def read_workbook(content: bytes, *, sheet: str = "") -> list[list[str]]:
    """The cells of one sheet as texts, from its first line on: the `sheet` of this name, else the first. Dates are
    written as ISO 8601, whole numbers without a decimal point. Raises InvalidMessage `workbook`, whatever the bytes
    are, and `too_large`."""
    safe = without_compression(content) if is_archive(content) else content
    try:
        book = python_calamine.load_workbook(io.BytesIO(safe))
        found = _sheet(book, sheet)
        if found.total_height > MAX_ROWS or found.total_width > MAX_COLUMNS:
            raise InvalidMessage("La feuille a trop de lignes ou de colonnes.", code="too_large")
        rows = found.to_python(skip_empty_area=False)
    except InvalidMessage:
        raise
    except python_calamine.PasswordError:
        raise InvalidMessage("Le classeur est protégé par un mot de passe.", code="workbook") from None
    except BaseException as error:  # a panic of the library is no Exception
        if not _is_of_the_library(error):
            raise
        raise InvalidMessage("Ce n'est pas un classeur qui se lise.", code="workbook") from None
    return [[_text(cell) for cell in row] for row in rows]


def _sheet(book: python_calamine.CalamineWorkbook, name: str) -> python_calamine.CalamineSheet:
    if name and name not in book.sheet_names:
        raise InvalidMessage("La feuille convenue n'est pas dans le classeur.", code="workbook")
    if not book.sheet_names:
        raise InvalidMessage("Le classeur n'a pas de feuille.", code="workbook")
    return book.get_sheet_by_name(name) if name else book.get_sheet_by_index(0)


def _is_of_the_library(error: BaseException) -> bool:
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _text(cell: object) -> str:
    if isinstance(cell, bool):
        return "oui" if cell else "non"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat()
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell.total_seconds()) if isinstance(cell, timedelta) else " ".join(str(cell).split(" "))


def in_lines(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The same with each cell in one line."""
    return [[" ".join(cell.splitlines()) for cell in row] for row in rows]
