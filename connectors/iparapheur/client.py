"""The SOAP interface v4 of i-Parapheur. An answer is HTTP 200 even when it says KO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.sdk.error_table import error_row
from connectors.sdk.http import HttpClient, lost_answer
from connectors.sdk.soap import MAX_BYTES, NIL, SoapClient, UnreadableEntry
from connectors.sdk.xml import MENDED
from schemas.errors import HubError, Refused, TryLater
from schemas.secret import Secret

_FOLDER = Path(__file__).parent
_CONTRACT = _FOLDER / "contract"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a dossier's log."""

    timestamp: str
    status: str
    annotation: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A dossier as the search shows it: its last status, and when."""

    dossier_id: str
    status: str
    timestamp: str


@dataclass(frozen=True, slots=True)
class Search:
    """What a search shows. `unread`: the places of lines that cannot be read; each may be of any dossier."""

    found: Sequence[Found]
    unread: Sequence[str] = ()


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
        password: Secret = settings["password"]
        http = HttpClient(
            settings["url"], auth=(settings["user"], password), timeout=settings.get("timeout_seconds", 20),
            max_bytes=MAX_BYTES, ca_file=settings.get("ca_file"), service="le parapheur",
        )  # fmt: skip
        self._soap = SoapClient(
            _CONTRACT / "parapheur.wsdl", settings["url"], schema=_CONTRACT / "parapheur.xsd", http=http
        )

    def close(self) -> None:
        self._soap.close()

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
        refusal = _refusal("CreerDossier", answer, safe=False)
        if refusal is None:
            return True
        # The words for a duplicate vary: whatever the KO says, a dossier that is there was created by us.
        if isinstance(refusal, Refused) and self.holds(dossier_id):
            return False
        raise refusal

    def holds(self, dossier_id: str) -> bool:
        """Whether the parapheur has this dossier: by its log, or by the search where the log says KO."""
        if self.history(dossier_id):
            return True
        return any(found.dossier_id == dossier_id for found in self.search().found)

    def search(self) -> Search:
        """The dossiers of our type and subtype, whatever their status and author. A line of another application may
        hold anything: it hides no other."""
        limit = self._settings.get("search_limit")
        answer = self._soap.call(
            "RechercherDossiers", safe=True, each="LogDossier",
            TypeTechnique=self._settings["type"], SousType=self._settings["subtype"], Status="",
            **({"NombreDossiers": limit} if limit else {}),
        )  # fmt: skip
        lines = [_found(line) for line in (answer or {}).get("LogDossier") or []]
        unread = [f"LogDossier {place}" for place, line in enumerate(lines, 1) if line is None]
        return Search([line for line in lines if line], unread)

    def history(self, dossier_id: str) -> list[LogLine]:
        """The log of a dossier; empty when the parapheur refuses to know it. Raises TryLater for a line whose status or
        time cannot be read, since the others mean nothing without it."""
        answer = self._soap.call("GetHistoDossier", dossier_id, safe=True) or {}
        refusal = _refusal("GetHistoDossier", answer, safe=True)
        if isinstance(refusal, Refused):
            return []
        if refusal is not None:
            raise refusal
        return [_log_line(line) for line in answer.get("LogDossier") or []]

    def fetch(self, dossier_id: str) -> Signed:
        """The signed document. Raises TryLater when the answer holds none, or one that cannot be read."""
        answer = self._soap.call("GetDossier", dossier_id, safe=True) or {}
        refusal = _refusal("GetDossier", answer, safe=True)
        if refusal is not None:
            raise refusal
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
        refusal = _refusal("ArchiverDossier", answer, safe=True)
        if refusal is not None:
            raise refusal


def _found(line: Any) -> Found | None:
    """A line of a search; None for one that cannot be read, or names no dossier."""
    if isinstance(line, UnreadableEntry):
        return None
    found = Found(*(_stripped_text(line[name]) for name in ("nom", "status", "timestamp")))
    readable = found.dossier_id and MENDED not in found.dossier_id + found.status + found.timestamp
    return found if readable else None


def _log_line(line: Mapping[str, Any]) -> LogLine:
    read = LogLine(*(_stripped_text(line[name]) for name in ("timestamp", "status", "annotation")))
    if MENDED in read.timestamp + read.status:
        said = "le parapheur a renvoyé une ligne de journal illisible"
        raise TryLater(said, detail="GetHistoDossier: status or timestamp", fault="bad-return.LogDossier")
    return read


def _refusal(operation: str, answer: Any, *, safe: bool) -> HubError | None:
    """None for OK. The parapheur's own message may name people: only what `errors.csv` knows of it is repeated."""
    said = (answer or {}).get("MessageRetour") or {}
    code = _stripped_text(said.get("codeRetour"))
    if code == "OK":
        return None
    if code != "KO":
        return lost_answer("le parapheur ne dit ni oui ni non", safe, detail=f"{operation}: neither OK nor KO")
    row = error_row(_FOLDER / "errors.csv", message=_stripped_text(said.get("message")).casefold())
    if row is None:
        return Refused("le parapheur refuse la demande", native="KO", detail=operation)
    return row.error(row.meaning, native="KO", detail=operation)


def _document(value: Any) -> tuple[bytes | None, str | None]:
    if not isinstance(value, dict):
        return None, None
    content = value.get("_value_1")
    return (content if isinstance(content, bytes) and content else None), value.get("contentType")


def _stripped_text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
