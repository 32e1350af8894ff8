"""The cells of a spreadsheet: xlsx, xlsm, xlsb, xls or ods."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from connectors.sdk.archive import is_archive, without_compression
from schemas.errors import InvalidMessage

SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_READER = Path(__file__).with_name("workbook_reader.py")
_SECONDS = 180
_SAID = {
    2: ("workbook", "Le classeur est protégé par un mot de passe."),
    3: ("too_large", "La feuille a trop de cellules (une cellule remplie très loin des autres, peut-être)."),
    4: ("workbook", "La feuille convenue n'est pas dans le classeur."),
    -6: ("too_large", "La feuille a trop de cellules (une cellule remplie très loin des autres, peut-être)."),
}


def workbook_as_csv(content: bytes, sheet: str = "") -> str:
    """One sheet as CSV with `;`, a line for each row from the first one on: the `sheet` of this name, else the first.
    Dates are written as ISO 8601, whole numbers without a decimal point, a cell in one line. It is read in a process of
    its own: whatever the bytes are, that one ends, and this one goes on. Raises InvalidMessage `workbook`, `archive`
    or `too_large`."""
    safe = without_compression(content) if is_archive(content) else content
    command = [sys.executable, "-I", str(_READER), sheet]
    try:
        done = subprocess.run(command, input=safe, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise InvalidMessage("Le classeur est trop long à lire.", code="too_large") from None
    if done.returncode != 0:
        code, said = _SAID.get(done.returncode, ("workbook", "Ce n'est pas un classeur qui se lise."))
        raise InvalidMessage(said, code=code)
    return done.stdout.decode("utf-8", "surrogatepass")
