"""A signature book on loopback: the SOAP interface v4 as its contract says it, with a circuit that a test moves on."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, basic, route
from connectors.sdk.xml import Element, add, local_name, new_root, parse_xml, text_at, texts_at, validate_xsd, write_xml
from schemas.errors import InvalidMessage
from schemas.secret import Secret
from schemas.times import to_rfc3339

PATH = "/ws-iparapheur-no-mtom"
NS = "http://www.adullact.org/spring-ws/iparapheur/1.0"
XMIME = "http://www.w3.org/2005/05/xmlmime"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_SCHEMA = Path(__file__).parent / "contract" / "parapheur.xsd"
_TEXT_XML = {"Content-Type": "text/xml; charset=utf-8"}
_OPERATION = re.compile(rb"<(?:\w+:)?(\w+)Request[\s/>]")
_CIRCUIT = (
    ("EnCoursVisa", "Dossier déposé sur le bureau du service pour visa"),
    ("Vise", "Visa accordé"),
    ("Lu", "Dossier lu et prêt pour la signature"),
    ("Signe", ""),
)


@dataclass(slots=True)
class TwinDossier:
    """A dossier of the twin. `log` holds (time-stamp, actor, status, annotation), oldest first."""

    id: str
    type: str
    subtype: str
    title: str
    visibility: str
    file_name: str
    document: bytes
    annotation: str
    log: list[tuple[str, str, str, str]] = field(default_factory=list)
    place: int = 0
    signature: bytes | None = None

    @property
    def status(self) -> str:
        return self.log[-1][2]


class ParapheurTwin(HttpTwin):
    """Holds `dossiers` by id; `created` counts those that CreerDossier made, `archived` lists those taken out.

    `advance` moves a dossier to the next step of its circuit (visa, signature, end), `reject` refuses it, `say_ko`
    makes the next answers KO with a message.
    """

    def __init__(
        self, *, user: str = "ws@ville", password: str = "jumeau", type: str = "Arretes",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        super().__init__()
        self.dossiers: dict[str, TwinDossier] = {}
        self.created = 0
        self.archived: list[tuple[str, str]] = []
        self.types = [type]
        self.detached_signature = False
        self._login = (user, password)
        self._ko: list[tuple[str, str]] = []
        self._now = now
        self._last = datetime.min.replace(tzinfo=UTC)

    def settings(self, **more: Any) -> dict[str, Any]:
        """Settings of a connection to this twin."""
        user, password = self._login
        basics = {"url": f"{self.url}{PATH}", "user": user, "password": Secret(password)}
        return basics | {"type": self.types[0], "subtype": "Voirie", "town": "Saint-Aubin"} | more

    def advance(self, dossier_id: str, *, actor: str = "Odile Marchand") -> str:
        """One step further; the status reached. The last step ends the circuit right after the signature."""
        with self.lock:
            dossier = self.dossiers[dossier_id]
            status, annotation = _CIRCUIT[dossier.place]
            dossier.place += 1
            self._note(dossier, actor, status, annotation)
            if status == "Signe":
                self._sign(dossier)
                self._note(dossier, actor, "Archive", "Circuit terminé, dossier archivable")
            return dossier.status

    def finish(self, dossier_id: str) -> None:
        """Through the whole circuit."""
        while self.advance(dossier_id) != "Archive":
            pass

    def reject(self, dossier_id: str, annotation: str, *, actor: str = "Odile Marchand") -> str:
        """Refuse at the place where the dossier stands: visa or signature."""
        with self.lock:
            dossier = self.dossiers[dossier_id]
            self._note(dossier, actor, "RejetVisa" if dossier.place < 2 else "RejetSignataire", annotation)
            return dossier.status

    def resume(self, dossier_id: str) -> None:
        """The sender puts a rejected dossier back at the start of its circuit."""
        with self.lock:
            dossier = self.dossiers[dossier_id]
            dossier.place = 0
            self._note(dossier, "Service Web", "NonLu", "Reprise du dossier")

    def remove(self, dossier_id: str) -> None:
        """A person deletes the dossier."""
        with self.lock:
            del self.dossiers[dossier_id]

    def say_ko(self, message: str, *, on: str = "CreerDossier", times: int = 1) -> None:
        """The next `times` calls of operation `on` are answered KO."""
        with self.lock:
            self._ko += [(on, message)] * times

    def title(self, call: TwinCall) -> str:
        """With the name of the operation, as "POST /… CreerDossier"."""
        found = _OPERATION.search(call.body)
        return f"{call.method} {call.path} {found[1].decode() if found else ''}"

    def operation(self, call: TwinCall) -> str:
        return self.title(call).rpartition(" ")[2]

    def error_inside(self, call: TwinCall) -> TwinAnswer:
        operation = self.operation(call)
        root = new_root(f"{{{SOAP}}}Envelope", {"S": SOAP})
        _return(add(add(root, "Body"), f"{{{NS}}}{operation}Response"), "KO", "Erreur interne")
        return TwinAnswer(200, write_xml(root), _TEXT_XML)

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        if call.headers.get("authorization") == basic(*self._login):
            return None
        return TwinAnswer(401, "<html><body>401</body></html>", {"WWW-Authenticate": 'Basic realm="ws"'})

    @route("POST", PATH)
    def message(self, call: TwinCall) -> TwinAnswer:
        try:
            envelope = parse_xml(call.body, max_bytes=64 * 1024 * 1024, large_text=True)
        except InvalidMessage:
            return _fault("not XML")
        body = envelope.find(f"{{{SOAP}}}Body")
        if body is None or len(body) != 1:
            return _fault("no message")
        operation = local_name(body[0]).removesuffix("Request")
        answer = getattr(self, f"_do_{operation}", None)
        if answer is None or validate_xsd(_alone(body[0]), _SCHEMA):
            return _fault("not in the contract")
        return self._answered(operation, body[0], answer)

    def _answered(self, operation: str, request: Element, answer: Callable[[Element, Element], None]) -> TwinAnswer:
        root = new_root(f"{{{SOAP}}}Envelope", {"S": SOAP})
        add(root, "Header")
        response = add(add(root, "Body"), f"{{{NS}}}{operation}Response")
        planned = next((ko for ko in self._ko if ko[0] == operation), None)
        if planned is not None:
            self._ko.remove(planned)
            _return(response, "KO", planned[1])
        else:
            answer(request, response)
        return TwinAnswer(200, write_xml(root), _TEXT_XML)

    def _do_echo(self, request: Element, response: Element) -> None:
        response.text = request.text

    def _do_GetListeTypes(self, request: Element, response: Element) -> None:
        for name in self.types:
            add(response, "TypeTechnique", name)

    def _do_CreerDossier(self, request: Element, response: Element) -> None:
        wanted = {local_name(child): child.text or "" for child in request}
        dossier_id = wanted["DossierID"]
        if dossier_id in self.dossiers:
            message = f"Le nom de dossier est déjà présent dans le Parapheur: dossierID = {dossier_id}"
            return _return(response, "KO", message)
        if wanted["TypeTechnique"] not in self.types:
            return _return(response, "KO", "Le type technique est inconnu")
        try:
            document = base64.b64decode(wanted["DocumentPrincipal"], validate=True)
        except binascii.Error:
            return _return(response, "KO", "Le document principal est illisible")
        dossier = TwinDossier(
            dossier_id, wanted["TypeTechnique"], wanted["SousType"], wanted.get("DossierTitre") or dossier_id,
            wanted["Visibilite"], wanted.get("NomDocPrincipal") or dossier_id, document, wanted["AnnotationPublique"],
        )  # fmt: skip
        self._note(dossier, "Service Web", "NonLu", "Création de dossier")
        self._note(dossier, "Service Web", "NonLu", "Émission du dossier")
        self.dossiers[dossier_id] = dossier
        self.created += 1
        _return(response, "OK", f"Dossier {dossier_id} soumis dans le circuit")
        return None

    def _do_RechercherDossiers(self, request: Element, response: Element) -> None:
        asked = {name: text_at(request, f"{{{NS}}}{name}") for name in ("TypeTechnique", "SousType", "Status")}
        ids = set(texts_at(request, f"{{{NS}}}DossierID"))
        limit = int(text_at(request, f"{{{NS}}}NombreDossiers") or 1000)
        matching = [
            dossier
            for dossier in self.dossiers.values()
            if asked["TypeTechnique"] in (None, dossier.type)
            and asked["SousType"] in (None, dossier.subtype)
            and asked["Status"] in (None, dossier.status)
            and (not ids or dossier.id in ids)
        ]
        for dossier in matching[:limit]:
            at, _, status, annotation = dossier.log[-1]
            _log_line(response, at, dossier.id, status, annotation)
            add(response[-1], "accessible", "OK")

    def _do_GetHistoDossier(self, request: Element, response: Element) -> None:
        dossier = self.dossiers.get(request.text or "")
        if dossier is None:
            return _return(response, "KO", "Le dossier est inconnu dans le Parapheur")
        for line in dossier.log:
            _log_line(response, *line)
        _return(response, "OK", "")
        return None

    def _do_GetDossier(self, request: Element, response: Element) -> None:
        dossier = self.dossiers.get(request.text or "")
        if dossier is None:
            return _return(response, "KO", "Le dossier est inconnu dans le Parapheur")
        for tag, text in (
            ("TypeTechnique", dossier.type),
            ("SousType", dossier.subtype),
            ("DossierID", dossier.id),
            ("AnnotationPublique", dossier.annotation),
            ("AnnotationPrivee", ""),
            ("Visibilite", dossier.visibility),
            ("DateLimite", ""),
        ):
            add(response, tag, text)
        _binary(response, "DocPrincipal", dossier.document, "application/pdf")
        add(response, "NomDocPrincipal", dossier.file_name)
        if dossier.signature:
            _binary(response, "SignatureDocPrincipal", dossier.signature, "application/pkcs7-signature")
        title = add(add(response, "MetaDonnees"), "MetaDonnee")
        add(title, "nom", "ph:dossierTitre")
        add(title, "valeur", dossier.title)
        _return(response, "OK", "")
        return None

    def _do_ArchiverDossier(self, request: Element, response: Element) -> None:
        dossier_id = text_at(request, f"{{{NS}}}DossierID") or ""
        dossier = self.dossiers.get(dossier_id)
        if dossier is None or dossier.status != "Archive":
            return _return(response, "KO", "Le dossier n'est pas archivable")
        self.archived.append((dossier_id, text_at(request, f"{{{NS}}}ArchivageAction") or ""))
        del self.dossiers[dossier_id]
        add(response, "URL", f"{self.url}/archives/{len(self.archived)}")
        _return(response, "OK", "Dossier archivé")
        return None

    def _sign(self, dossier: TwinDossier) -> None:
        """A real signature needs a certificate: a note after the end of the file stands for it."""
        if self.detached_signature:
            dossier.signature = (
                b"-----BEGIN PKCS7-----\n" + base64.b64encode(dossier.id.encode()) + b"\n-----END PKCS7-----\n"
            )
        else:
            dossier.document += b"% Signature du jumeau\n%%EOF\n"

    def _note(self, dossier: TwinDossier, actor: str, status: str, annotation: str) -> None:
        self._last = max(self._now(), self._last + timedelta(milliseconds=1))
        dossier.log.append((to_rfc3339(self._last), actor, status, annotation))


def _log_line(response: Element, at: str, name: str, status: str, annotation: str) -> None:
    line = add(response, "LogDossier")
    for tag, text in (("timestamp", at), ("nom", name), ("status", status), ("annotation", annotation)):
        add(line, tag, text)


def _binary(response: Element, tag: str, content: bytes, media_type: str) -> None:
    element = add(response, tag, base64.b64encode(content).decode())
    element.set(f"{{{XMIME}}}contentType", media_type)


def _return(response: Element, code: str, message: str) -> None:
    said = add(response, "MessageRetour")
    add(said, "codeRetour", code)
    add(said, "message", message)
    add(said, "severite", "INFO" if code == "OK" else "ERROR")


def _alone(element: Element) -> Element:
    return parse_xml(write_xml(element), max_bytes=64 * 1024 * 1024, large_text=True)


def _fault(reason: str) -> TwinAnswer:
    root = new_root(f"{{{SOAP}}}Envelope", {"S": SOAP})
    fault = add(add(root, "Body"), "Fault")
    for tag, text in (("faultcode", "S:Client"), ("faultstring", reason)):
        child = add(fault, tag, text)
        child.tag = tag
    return TwinAnswer(500, write_xml(root), _TEXT_XML)
