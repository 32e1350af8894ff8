"""The SOAP interface v4 of i-Parapheur. An answer is HTTP 200 even when it says KO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.sdk.error_table import error_row
from connectors.sdk.http import HttpClient, lost_answer
from connectors.sdk.soap import MAX_BYTES, NIL, SoapClient, UnreadableEntry
from connectors.sdk.xml import MENDED
from schemas.errors import Refused, TryLater

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a dossier's log."""

    timestamp: str
    status: str
    annotation: str = ""


@dataclass(frozen=True, slots=True)
class Signed:
    """The document as it left the circuit, and its detached signature when the format has one."""

    content: bytes
    media_type: str | None
    name: str | None
    signature: bytes | None
    signature_type: str | None


class Parapheur:
    """One technical account. Thread-safe. Raises what `SoapClient` raises; a KO is told by `errors.csv`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        http = HttpClient(
            settings["url"], auth=(settings["user"], settings["password"]), timeout=settings.get("timeout_seconds", 20),
            max_bytes=MAX_BYTES, ca_file=settings.get("ca_file"), service="le parapheur",
        )  # fmt: skip
        contract, schema = (_FOLDER / f"contract/parapheur.{ending}" for ending in ("wsdl", "xsd"))
        self._soap = SoapClient(contract, settings["url"], schema=schema, http=http)
        self.close = self._soap.close

    def types(self) -> list[str]:
        """The technical types that the account may use."""
        answer = self._soap.call("GetListeTypes", "", safe=True)
        return [name for name in (answer or {}).get("TypeTechnique") or [] if name]

    def create(self, *, dossier_id: str, title: str, file_name: str, pdf: bytes, annotation: str) -> bool:
        """Put a document into the circuit. False when a dossier of this identifier was there already."""
        answer = self._soap.call(
            "CreerDossier", safe=False,
            TypeTechnique=self._settings["type"], SousType=self._settings["subtype"], DossierID=dossier_id,
            DossierTitre=title, NomDocPrincipal=file_name,
            DocumentPrincipal={"_value_1": pdf, "contentType": "application/pdf"},
            VisuelPDF=NIL, MetaDataTdtACTES=NIL, XPathPourSignatureXML=NIL,
            AnnotationPublique=annotation, AnnotationPrivee=NIL, DateLimite=NIL,
            Visibilite=self._settings.get("visibility", "SERVICE"),
            **({"EmailEmetteur": email} if (email := self._settings.get("sender_email")) else {}),
        )  # fmt: skip
        try:
            _check_done("CreerDossier", answer, safe=False)
        except Refused:
            # The words for a duplicate vary: whatever the KO says, a dossier that is there was created by us.
            if not self.holds(dossier_id):
                raise
            return False
        return True

    def holds(self, dossier_id: str) -> bool:
        """Whether the parapheur has this dossier: by its log, or by the search where the log says KO."""
        if self.history(dossier_id):
            return True
        return dossier_id in self.search()[0]

    def search(self) -> tuple[dict[str, LogLine], list[str]]:
        """The dossiers of our type and subtype, whatever their status and author, each with the last line of its log,
        and the places of lines that cannot be read; each may be of any dossier. A line of another application may hold
        anything: it hides no other."""
        limit = self._settings.get("search_limit")
        answer = self._soap.call(
            "RechercherDossiers", safe=True, each="LogDossier",
            TypeTechnique=self._settings["type"], SousType=self._settings["subtype"], Status="",
            **({"NombreDossiers": limit} if limit else {}),
        )  # fmt: skip
        lines = list(enumerate((answer or {}).get("LogDossier") or [], 1))
        found = dict(read for _, line in lines if (read := _found(line)))
        return found, [f"LogDossier {place}" for place, line in lines if not _found(line)]

    def history(self, dossier_id: str) -> list[LogLine]:
        """The log of a dossier; empty when the parapheur refuses to know it. Raises TryLater for a line whose status or
        time cannot be read, since the others mean nothing without it."""
        answer = self._soap.call("GetHistoDossier", dossier_id, safe=True) or {}
        try:
            _check_done("GetHistoDossier", answer, safe=True)
        except Refused:
            return []
        return [_log_line(line) for line in answer.get("LogDossier") or []]

    def fetch(self, dossier_id: str) -> Signed:
        """The signed document. Raises TryLater when the answer holds none, or one that cannot be read."""
        answer = self._soap.call("GetDossier", dossier_id, safe=True) or {}
        _check_done("GetDossier", answer, safe=True)
        content, kind = _document(answer.get("DocPrincipal"))
        signature, signature_kind = _document(answer.get("SignatureDocPrincipal"))
        if not content:
            raise TryLater(
                "le parapheur a répondu sans le document", detail="GetDossier", fault="bad-return.DocPrincipal"
            )
        return Signed(content, kind, answer.get("NomDocPrincipal"), signature, signature_kind)

    def archive(self, dossier_id: str, *, erase: bool) -> None:
        """Take a finished dossier out of the parapheur. Raises Refused when it does not let go."""
        action = "EFFACER" if erase else "ARCHIVER"
        answer = self._soap.call("ArchiverDossier", safe=True, DossierID=dossier_id, ArchivageAction=action)
        _check_done("ArchiverDossier", answer, safe=True)


def _found(line: Any) -> tuple[str, LogLine] | None:
    """A line of a search; None for one that cannot be read, or names no dossier."""
    if isinstance(line, UnreadableEntry):
        return None
    dossier, status, timestamp = (_stripped_text(line[name]) for name in ("nom", "status", "timestamp"))
    return (dossier, LogLine(timestamp, status)) if dossier and MENDED not in dossier + status + timestamp else None


def _log_line(line: Mapping[str, Any]) -> LogLine:
    read = LogLine(*(_stripped_text(line[name]) for name in ("timestamp", "status", "annotation")))
    if MENDED in read.timestamp + read.status:
        said = "le parapheur a renvoyé une ligne de journal illisible"
        raise TryLater(said, detail="GetHistoDossier: status or timestamp", fault="bad-return.LogDossier")
    return read


def _check_done(operation: str, answer: Any, *, safe: bool) -> None:
    """Raises what a KO means. The parapheur's own message may name people: only what `errors.csv` knows of it is
    repeated."""
    said = (answer or {}).get("MessageRetour") or {}
    code = _stripped_text(said.get("codeRetour"))
    if code == "OK":
        return
    if code != "KO":
        raise lost_answer("le parapheur ne dit ni oui ni non", safe, detail=f"{operation}: neither OK nor KO")
    row = error_row(_FOLDER / "errors.csv", message=_stripped_text(said.get("message")).casefold())
    if row is None:
        raise Refused("le parapheur refuse la demande", native="KO", detail=operation)
    raise row.error(row.meaning, native="KO", detail=operation)


def _document(value: Any) -> tuple[bytes | None, str | None]:
    if not isinstance(value, dict):
        return None, None
    content = value.get("_value_1")
    return (content if isinstance(content, bytes) and content else None), value.get("contentType")


def _stripped_text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
