"""The two folders shared with the package: requests out as ZIP files, return files in."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from connectors.sdk.files import Folder, LeftFile, complete_files, put_away, read_left, set_aside
from schemas.errors import InvalidMessage

MAX_RETURN_BYTES = 8 * 1024
RETURN_COLUMNS = ("reference", "statut", "date", "motif")
_RETURN_NAME = re.compile(r"retour-([A-Za-z0-9 -]{1,100})\.csv")  # spaces: people copy references
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a ZIP made again is the same to the byte


@dataclass(frozen=True, slots=True)
class ReturnFile:
    """What an agent said of one request. `reference` is as they wrote it; the mark of `file` tells two returns about
    one request apart."""

    file: LeftFile
    reference: str
    status: str
    date: str
    reason: str


def pack(name: str, request: bytes, attachments: Mapping[str, bytes]) -> bytes:
    """One ZIP: `<name>.xml` first, then the attachments under names already made safe."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in {f"{name}.xml": request, **attachments}.items():
            archive.writestr(zipfile.ZipInfo(member, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


class ReturnFolder:
    """The return files: read one by one, then put away. A file that says nothing usable stops nothing: it goes to
    `erreurs` with a text file that says why."""

    def __init__(self, folder: Folder, encoding: str, statuses: Sequence[str]) -> None:
        self._folder = folder
        self._encoding = "utf-8-sig" if encoding == "utf-8" else encoding
        self._statuses = frozenset(statuses)

    def names(self) -> list[str]:
        return complete_files(self._folder)

    def read(self, name: str) -> ReturnFile:
        """Raises InvalidMessage, with the reason in French, when it is not exactly one return. What is not a return
        file is not even opened: no record may come back this way. Raises AccessDenied for one that we may not open."""
        match = _RETURN_NAME.fullmatch(name)
        if match is None:
            raise InvalidMessage("Seul retour-<référence>.csv est lu : aucune pièce jointe.", code="nom")
        try:
            file = read_left(self._folder, name, MAX_RETURN_BYTES)
        except InvalidMessage:
            raise InvalidMessage(
                f"Ce n'est pas un fichier de {MAX_RETURN_BYTES} octets au plus.", code="taille"
            ) from None
        row = self._row(file.content)
        if row["reference"].strip() != match.group(1).strip():
            raise InvalidMessage("La référence n'est pas celle du nom du fichier.", code="reference")
        if row["statut"] not in self._statuses:
            raise InvalidMessage(f"Statut inconnu ; attendu : {', '.join(sorted(self._statuses))}.", code="statut")
        return ReturnFile(file, row["reference"], row["statut"], _checked_date(row["date"]), row["motif"].strip())

    def put_away(self, file: ReturnFile) -> None:
        put_away(self._folder, file.file)

    def refuse(self, name: str, why: str) -> None:
        set_aside(self._folder, name, why)

    def _row(self, content: bytes) -> dict[str, Any]:
        try:
            text = content.decode(self._encoding)
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=";", strict=True))
        except UnicodeDecodeError:
            raise InvalidMessage("Le texte n'est pas dans l'encodage convenu.", code="encodage") from None
        except csv.Error:
            raise InvalidMessage("Ce n'est pas un CSV à points-virgules.", code="csv") from None
        rows = [row for row in rows if row]
        if not rows or tuple(rows[0]) != RETURN_COLUMNS:
            raise InvalidMessage(f"La première ligne doit être {';'.join(RETURN_COLUMNS)}.", code="entete")
        if len(rows) != 2 or len(rows[1]) != len(RETURN_COLUMNS):
            raise InvalidMessage("Il faut exactement une ligne de retour, de quatre colonnes.", code="lignes")
        if any(ord(c) < 32 and c not in "\r\n\t" for cell in rows[1] for c in cell) or len(rows[1][3]) > 2000:
            raise InvalidMessage("Le motif est trop long ou contient des caractères de contrôle.", code="motif")
        return dict(zip(RETURN_COLUMNS, rows[1], strict=True))


def _checked_date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", text):
            raise ValueError
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidMessage("La date doit être AAAA-MM-JJ ou AAAA-MM-JJTHH:MM.", code="date") from None
