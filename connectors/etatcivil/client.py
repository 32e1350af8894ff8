"""The two folders shared with the package: requests out as ZIP files, return files in."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Collection, Mapping
from datetime import datetime

from schemas.errors import InvalidMessage
from schemas.tables import Row, read_rows

MAX_RETURN_BYTES = 8 * 1024
RETURN_COLUMNS = ("reference", "statut", "date", "motif")
_RETURN_NAME = re.compile(r"retour-([A-Za-z0-9 -]{1,100})\.csv")  # spaces: people copy references
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
_UNREADABLE = {
    "quote": ("Ce n'est pas un CSV à points-virgules.", "csv"),
    "cell": ("Une cellule est trop longue ou contient un caractère de contrôle.", "cell"),
}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a ZIP made again is the same to the byte


def pack(name: str, request: bytes, attachments: Mapping[str, bytes]) -> bytes:
    """One ZIP: `<name>.xml` first, then the attachments under names already made safe."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in {f"{name}.xml": request, **attachments}.items():
            archive.writestr(zipfile.ZipInfo(member, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def expect_return(name: str) -> None:
    """Raises InvalidMessage for a name that is not a return's: such a file is not even opened, since no record may come
    back this way."""
    if _RETURN_NAME.fullmatch(name) is None:
        raise InvalidMessage("Seul retour-<référence>.csv est lu : aucune pièce jointe.", code="name")


def read_return(name: str, content: bytes, encoding: str, words: Collection[str]) -> Row:
    """The one line of a return file, its reference as an agent wrote it. Raises InvalidMessage, with the reason in
    French, when it is not exactly one."""
    table = read_rows(
        content, RETURN_COLUMNS, encoding=encoding, exact=True, required=RETURN_COLUMNS[:3], prose=["motif"]
    )
    if table.faults.told and table.faults.told[0].code in _UNREADABLE:
        why, code = _UNREADABLE[table.faults.told[0].code]
        raise InvalidMessage(why, code=code)
    if len(table.rows) != 1 or len(table.faults):
        raise InvalidMessage("Il faut exactement une ligne de retour, de quatre colonnes.", code="lines")
    [row] = table.rows
    match = _RETURN_NAME.fullmatch(name)
    if match is None or row["reference"] != match.group(1).strip():
        raise InvalidMessage("La référence n'est pas celle du nom du fichier.", code="reference")
    _check_said(row, words)
    return row


def _check_said(row: Row, words: Collection[str]) -> None:
    if row["statut"] not in words:
        raise InvalidMessage(f"Statut inconnu ; attendu : {', '.join(sorted(words))}.", code="status")
    try:
        if len(row["date"]) > 10 and not _MOMENT.fullmatch(row["date"]):
            raise ValueError
        datetime.fromisoformat(row["date"])
    except ValueError:
        raise InvalidMessage("La date doit être AAAA-MM-JJ ou AAAA-MM-JJTHH:MM.", code="date") from None
