"""A signature book on loopback: the SOAP interface v4 as its contract says it, with a circuit that a test moves on."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.sdk.contract_twins.wsdl_twin import WsdlTwin
from connectors.sdk.soap_twin import envelope_answer, operation
from connectors.sdk.twin import TwinAnswer, TwinCall, basic
from schemas.secret import Secret
from schemas.times import to_rfc3339

PATH = "/ws-iparapheur-no-mtom"
_CONTRACT = Path(__file__).parent / "contract"
_SAYS_KO = ("CreerDossier", "GetHistoDossier", "GetDossier", "ArchiverDossier")
_CIRCUIT = (
    ("EnCoursVisa", "Dossier déposé sur le bureau du service pour visa"),
    ("Vise", "Visa accordé"),
    ("Lu", "Dossier lu et prêt pour la signature"),
    ("Signe", ""),
)


@dataclass(slots=True)
class TwinDossier:
    """A dossier of the twin. `log` holds its lines in the words of the contract, oldest first."""

    id: str
    type: str
    subtype: str
    title: str
    visibility: str
    file_name: str
    document: bytes
    annotation: str
    log: list[dict[str, str]] = field(default_factory=list)
    place: int = 0
    signature: bytes | None = None

    @property
    def status(self) -> str:
        return self.log[-1]["status"]


class ParapheurTwin(WsdlTwin):
    """Holds `dossiers` by id; `created` counts those that CreerDossier made, `archived` lists those taken out.

    `advance` moves a dossier to the next step of its circuit (visa, signature, end), `reject` refuses it, `say_ko`
    makes the next answers KO with a message.
    """

    wsdl = _CONTRACT / "parapheur.wsdl"
    schema = _CONTRACT / "parapheur.xsd"
    path = PATH

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
        basics = {"url": self.address, "user": user, "password": Secret(password)}
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
        return super().title(call).removesuffix("Request")

    def error_inside(self, call: TwinCall) -> TwinAnswer:
        name = self.operation(call)
        content = self.messages.write_answer(name, _return("KO", "Erreur interne"))
        return envelope_answer(content) if name in _SAYS_KO else super().error_inside(call)

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        if call.headers.get("authorization") == basic(*self._login):
            return None
        return TwinAnswer(401, "<html><body>401</body></html>", {"WWW-Authenticate": 'Basic realm="ws"'})

    def said(self, name: str, request: Any) -> Mapping[str, Any] | str:
        planned = next((ko for ko in self._ko if ko[0] == name), None)
        if planned is None:
            return super().said(name, request)
        self._ko.remove(planned)
        return _return("KO", planned[1])

    @operation("echo")
    def _echo(self, said: str) -> str:
        return said

    @operation("GetListeTypes")
    def _list_types(self, said: str) -> dict[str, Any]:
        return {"TypeTechnique": self.types}

    @operation("CreerDossier")
    def _create(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        dossier_id = wanted["DossierID"]
        if dossier_id in self.dossiers:
            return _return("KO", f"Le nom de dossier est déjà présent dans le Parapheur: dossierID = {dossier_id}")
        if wanted["TypeTechnique"] not in self.types:
            return _return("KO", "Le type technique est inconnu")
        dossier = TwinDossier(
            dossier_id, wanted["TypeTechnique"], wanted["SousType"], wanted["DossierTitre"] or dossier_id,
            wanted["Visibilite"], wanted["NomDocPrincipal"] or dossier_id, wanted["DocumentPrincipal"]["_value_1"],
            wanted["AnnotationPublique"],
        )  # fmt: skip
        self._note(dossier, "Service Web", "NonLu", "Création de dossier")
        self._note(dossier, "Service Web", "NonLu", "Émission du dossier")
        self.dossiers[dossier_id] = dossier
        self.created += 1
        return _return("OK", f"Dossier {dossier_id} soumis dans le circuit")

    @operation("RechercherDossiers")
    def _list_dossiers(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        matching = [
            dossier
            for dossier in self.dossiers.values()
            if asked["TypeTechnique"] in (None, dossier.type)
            and asked["SousType"] in (None, dossier.subtype)
            and (asked["Status"] or dossier.status) == dossier.status
            and (not asked["DossierID"] or dossier.id in asked["DossierID"])
        ]
        found = matching[: asked["NombreDossiers"] or 1000]
        return {"LogDossier": [{**dossier.log[-1], "nom": dossier.id, "accessible": "OK"} for dossier in found]}

    @operation("GetHistoDossier")
    def _history(self, dossier_id: str) -> dict[str, Any]:
        dossier = self.dossiers.get(dossier_id)
        if dossier is None:
            return _return("KO", "Le dossier est inconnu dans le Parapheur")
        return {"LogDossier": dossier.log, **_return("OK", "")}

    @operation("GetDossier")
    def _fetch(self, dossier_id: str) -> dict[str, Any]:
        dossier = self.dossiers.get(dossier_id)
        if dossier is None:
            return _return("KO", "Le dossier est inconnu dans le Parapheur")
        signature = {"_value_1": dossier.signature, "contentType": "application/pkcs7-signature"}
        return {
            "TypeTechnique": dossier.type, "SousType": dossier.subtype, "DossierID": dossier.id,
            "AnnotationPublique": dossier.annotation, "AnnotationPrivee": "", "Visibilite": dossier.visibility,
            "DateLimite": "", "DocPrincipal": {"_value_1": dossier.document, "contentType": "application/pdf"},
            "NomDocPrincipal": dossier.file_name,
            "MetaDonnees": {"MetaDonnee": [{"nom": "ph:dossierTitre", "valeur": dossier.title}]},
            **({"SignatureDocPrincipal": signature} if dossier.signature else {}), **_return("OK", ""),
        }  # fmt: skip

    @operation("ArchiverDossier")
    def _archive(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        dossier = self.dossiers.get(asked["DossierID"])
        if dossier is None or dossier.status != "Archive":
            return _return("KO", "Le dossier n'est pas archivable")
        self.archived.append((dossier.id, asked["ArchivageAction"]))
        del self.dossiers[dossier.id]
        return {"URL": f"{self.url}/archives/{len(self.archived)}", **_return("OK", "Dossier archivé")}

    def _sign(self, dossier: TwinDossier) -> None:
        """A real signature needs a certificate: a note after the end of the file stands for it."""
        if self.detached_signature:
            name = base64.b64encode(dossier.id.encode())
            dossier.signature = b"-----BEGIN PKCS7-----\n" + name + b"\n-----END PKCS7-----\n"
        else:
            dossier.document += b"% Signature du jumeau\n%%EOF\n"

    def _note(self, dossier: TwinDossier, actor: str, status: str, annotation: str) -> None:
        self._last = max(self._now(), self._last + timedelta(milliseconds=1))
        line = {"timestamp": to_rfc3339(self._last), "nom": actor, "status": status, "annotation": annotation}
        dossier.log.append(line)


def _return(code: str, message: str) -> dict[str, Any]:
    severity = "INFO" if code == "OK" else "ERROR"
    return {"MessageRetour": {"codeRetour": code, "message": message, "severite": severity}}
