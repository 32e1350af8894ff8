"""The twin of HubEE: the V1 API over real HTTP, with invented people."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.hubee.workflow import OURS, Workflow
from connectors.sdk.rest_twin import RestTwin, TwinRefusal
from connectors.sdk.twin import TwinAnswer, TwinCall, route
from connectors.sdk.xml import add_all, new_root, write_xml
from schemas.secret import Secret
from schemas.times import to_rfc3339

SIRET, BRANCH = "21930001100018", "93001"
_API = "/teledossiers/v1"
_PORTAL = {"type": "OSL", "companyRegister": "11000001900015", "branchCode": "75107"}
_LIMITS = {"editorname": 50, "applicationname": 50, "softwareversion": 50}
_EVENT_LIMITS = {"actionType": 100, "message": 1000, "comment": 1000, "author": 255, "caseNewStatus": 15}
_ACTIONS = ("STATUS_UPDATE", "ATTACH_DEPOSIT", "ATTACH_DL", "ATTACH_DL_ALL", "COM_ADD", "SENDING_MESSAGE")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody invented, as the portal's form describes them."""

    title: str
    name: str
    given: str
    use_name: str = ""
    born: str = ""
    born_in: str = ""
    email: str = ""
    street: str = ""
    postal_code: str = ""
    town: str = ""


DAUGHTER = Person("MADAME", "MERCŒUR", "Odile Jeanne", email="odile.mercoeur@courriel.example",
                  street="12 bis RUE DES TILLEULS", postal_code="93999", town="SAINT-AUBIN")  # fmt: skip
FATHER = Person("MONSIEUR", "MERCŒUR", "Anselme Émile", born="1938-05-17", born_in="SAINT-AUBIN")


@dataclass(slots=True)
class File:
    """An attachment: `digest` is "right", "wrong" or "absent"."""

    name: str
    kind: str
    media_type: str
    content: bytes
    status: str = "RECEIVED"
    digest: str = "right"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def metadata(self) -> dict[str, Any]:
        return {
            "id": self.id, "status": self.status, "fileName": self.name, "type": self.kind,
            "size": len(self.content), "mimeType": self.media_type,
        }  # fmt: skip


@dataclass(slots=True)
class _Case:
    body: dict[str, Any]
    files: list[File]
    events: list[dict[str, Any]] = field(default_factory=list)
    event_files: dict[str, list[File]] = field(default_factory=dict)


class HubEETwin(RestTwin):
    """HubEE as one subscription sees it, and the online service behind it.

    What the town did: `announced(case)` lists the statuses that the online service was notified of, `status(case)` is
    the one that the case has. `largest_page` bounds a page of notifications whatever is asked.
    """

    def __init__(self, process: str = "EtatCivil", *, largest_page: int | None = None) -> None:
        super().__init__()
        self.process = process
        self.largest_page = largest_page
        self.client_id = "abonnement-essai"
        self.client_secret = Secret("secret-essai")
        self.notifications: list[dict[str, Any]] = []
        self._cases: dict[str, _Case] = {}
        self._clock = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
        self.pace = timedelta(seconds=1)  # between two things that happen; none: all in one second

    def settings(self) -> dict[str, Any]:
        """The settings of a connection to this twin."""
        return {
            "api_url": self.url, "token_url": f"{self.url}/oauth2/token", "client_id": self.client_id,
            "client_secret": self.client_secret, "process_code": self.process,
            "organisation": {"siret": SIRET, "insee_code": BRANCH},
        }  # fmt: skip

    # The online service's side

    def add_case(
        self, files: list[File], *, first_name: str = "Odile Jeanne", last_name: str = "MERCŒUR",
        email: str | None = "odile.mercoeur@courriel.example", process: str | None = None, siret: str = SIRET,
    ) -> str:  # fmt: skip
        """A new case, notified to the town. Returns its id."""
        with self.lock:
            case_id, at = str(uuid.uuid4()), self._tick()
            self._cases[case_id] = _Case({
                "id": case_id, "status": "HUBEE_NOTIFIED", "externalId": f"ESSAI-EC-{len(self._cases) + 1:07}-01",
                "recipient": {"type": "SI", "companyRegister": siret, "branchCode": BRANCH},
                "processCode": process or self.process, "createDateTime": at, "updateDateTime": at,
                "transmissionDateTime": at, "closeDateTime": None, "partnerAttributes": None,
                "applicant": {"firstName": first_name, "lastName": last_name, "email": email},
            }, files)  # fmt: skip
            self._notify(case_id, None)
            return case_id

    def add_civil_record_request(
        self, *, kind: str = "NAISSANCE", excerpt: str = "EXTRAIT-AVEC-FILIATION", holder: Person = FATHER,
        spouse: Person | None = None, requester: Person = DAUGHTER,
        capacity: tuple[str, str] = ("Descendant", "Fils ou fille"), date: str = "1938-05-17", digest: str = "right",
        status: str = "RECEIVED", **case: Any,
    ) -> str:  # fmt: skip
        """An EtatCivil case: the portal's XML and the same in PDF."""
        form = civil_record_form(
            kind=kind, excerpt=excerpt, holder=holder, spouse=spouse, requester=requester, capacity=capacity, date=date
        )
        files = [
            File("ActeEtatCivil-XML.xml", "ActeEtatCivil-XML", "application/xml", form, status, digest),
            File("ActeEtatCivil-PDF.pdf", "ActeEtatCivil-PDF", "application/pdf", b"%PDF-1.4 essai\n", status, digest),
        ]
        names = {"first_name": requester.given, "last_name": requester.name, "email": requester.email or None}
        return self.add_case(files, **(names | case))

    def add_event(
        self, case_id: str, action: str = "SENDING_MESSAGE", *, status: str | None = None, message: str | None = None,
        files: list[File] | None = None, event_status: str = "SENT", tell_before: bool = True,
    ) -> str:  # fmt: skip
        """An event by the online service, notified to the town. Returns its id."""
        with self.lock:
            case = self._cases[case_id]
            event = self._new_event(_PORTAL, action, event_status)
            before = case.body["status"] if tell_before else None
            event |= {"message": message, "caseCurrentStatus": before, "caseNewStatus": status}
            case.events.append(event)
            case.event_files[event["id"]] = files or []
            if status:
                case.body |= {"status": status, "updateDateTime": event["createDateTime"]}
            self._notify(case_id, event["id"])
            return str(event["id"])

    def reopen(self, case_id: str, message: str | None = None, *, tell_before: bool = True) -> str:
        """The online service takes the case up again, whatever its status."""
        return self.add_event(
            case_id, "STATUS_UPDATE", status="HUBEE_NOTIFIED", message=message, tell_before=tell_before
        )

    def close_case(self, case_id: str) -> str:
        return self.add_event(case_id, "STATUS_UPDATE", status="CLOSED")

    def make_ready(self, case_id: str) -> None:
        for file in self._cases[case_id].files:
            file.status = "RECEIVED"

    def spoil(self, case_id: str) -> None:
        """Make the digests of a case wrong."""
        for file in self._cases[case_id].files:
            file.digest = "wrong"

    def status(self, case_id: str) -> str:
        return str(self._cases[case_id].body["status"])

    def announced(self, case_id: str) -> list[str]:
        """The statuses that the town notified to the online service, in order."""
        return [str(event["caseNewStatus"]) for event in self._by_town(case_id)]

    def messages(self, case_id: str) -> list[str]:
        """The messages that the town left for the citizen, in order."""
        return [event["message"] for event in self._by_town(case_id) if event["message"]]

    def event_status(self, case_id: str, event_id: str) -> str:
        return str(self._event(self._cases[case_id], event_id)["status"])

    # The API

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        if call.path == "/oauth2/token":
            return None
        if self.bearer(call) is None:
            return _error(401, "Invalid Credentials", code=900901)
        for header, limit in _LIMITS.items():
            if len(call.headers.get(header, "")) > limit:
                return _error(400, f"Bad Request : {header}")
        return None

    def error_inside(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, {"errors": [{"code": 500, "message": "Internal error"}]})

    def not_found(self, call: TwinCall) -> TwinAnswer:
        return _error(404, "No matching resource found")

    @route("POST", "/oauth2/token")
    def give_token(self, call: TwinCall) -> TwinAnswer:
        if call.form().get("scope") != "SI":
            return TwinAnswer(400, {"error": "invalid_scope"})
        return self.grant(call, self.client_id, self.client_secret.reveal(), scopes=("SI",))

    @route("GET", f"{_API}/notifications")
    def list_notifications(self, call: TwinCall) -> TwinAnswer:
        asked = call.query.get("maxResult", "25")
        if not asked.isdigit():
            return _error(400, "Bad Request : maxResult")
        limit = self.page_size = min(int(asked), self.largest_page or int(asked))
        wanted = call.query.get("processCode")
        found = [self._shown(item) for item in self.notifications if wanted in (None, item["processCode"])]
        return TwinAnswer(200, found[:limit])

    @route("DELETE", f"{_API}/notifications/{{notification_id}}")
    def delete_notification(self, call: TwinCall, notification_id: str) -> TwinAnswer:
        if not _is_uuid(notification_id):
            return _error(400, "Bad Request : notificationId")
        kept = [item for item in self.notifications if item["id"] != notification_id]
        if len(kept) == len(self.notifications):
            return _error(404, "Notification is not found")
        self.notifications = kept
        return TwinAnswer(204)

    @route("GET", f"{_API}/cases/{{case_id}}")
    def get_case(self, call: TwinCall, case_id: str) -> TwinAnswer:
        case = self._case(case_id)
        events = [self._with_files(case, event) for event in case.events]
        return TwinAnswer(200, {**case.body, "attachments": [f.metadata() for f in case.files], "events": events})

    @route("PATCH", f"{_API}/cases/{{case_id}}")
    def patch_case(self, call: TwinCall, case_id: str) -> TwinAnswer:
        case, status = self._case(case_id), _said(call, "status")
        allowed = Workflow.of(case.body["processCode"]).allows(case.body["status"], status)
        if not allowed or status not in OURS:
            return _error(400, f"Status {case.body['status']} cannot be followed by {status or 'nothing'}")
        case.body |= {"status": status, "updateDateTime": self._tick()}
        return TwinAnswer(204)

    @route("GET", f"{_API}/cases/{{case_id}}/attachments/{{file_id}}")
    def download(self, call: TwinCall, case_id: str, file_id: str) -> TwinAnswer:
        return _binary(self._case(case_id).files, file_id)

    @route("POST", f"{_API}/cases/{{case_id}}/events")
    def create_event(self, call: TwinCall, case_id: str) -> TwinAnswer:
        case, body = self._case(case_id, 400), call.json()
        fault = _event_fault(body)
        if fault:
            return _error(400, f"Bad Request : Validation failed. {fault}")
        deposit = body["actionType"] == "ATTACH_DEPOSIT"
        event = self._new_event(case.body["recipient"], body["actionType"], "IN_PROGRESS" if deposit else "SENT")
        event |= {key: body[key] for key in ("message", "comment", "author", "caseCurrentStatus", "caseNewStatus",
                                             "notification", "partnerAttributes") if key in body}  # fmt: skip
        case.events.append(event)
        case.event_files[event["id"]] = [
            File(item["fileName"], item["type"], item["mimeType"], b"", "PENDING")
            for item in body.get("attachments", ())
        ]
        return TwinAnswer(201, self._with_files(case, event))

    @route("GET", f"{_API}/cases/{{case_id}}/events/{{event_id}}")
    def get_event(self, call: TwinCall, case_id: str, event_id: str) -> TwinAnswer:
        case = self._case(case_id)
        return TwinAnswer(200, self._with_files(case, self._known_event(case, event_id)))

    @route("PATCH", f"{_API}/cases/{{case_id}}/events/{{event_id}}")
    def patch_event(self, call: TwinCall, case_id: str, event_id: str) -> TwinAnswer:
        case = self._case(case_id)
        event = self._known_event(case, event_id)
        status = _said(call, "status")
        if event["status"] == status == "RECEIVED":
            return _error(400, "Event is already received")
        waiting = any(file.status != "RECEIVED" for file in case.event_files.get(event_id, ()))
        if status not in ("SENT", "RECEIVED") or (status == "SENT" and waiting):
            return _error(400, "Event attachments are not received")
        event |= {"status": status, "updateDateTime": self._tick()}
        return TwinAnswer(204)

    @route("GET", f"{_API}/cases/{{case_id}}/events/{{event_id}}/attachments/{{file_id}}")
    def download_of_event(self, call: TwinCall, case_id: str, event_id: str, file_id: str) -> TwinAnswer:
        return _binary(self._case(case_id).event_files.get(event_id, []), file_id)

    def _shown(self, notification: dict[str, Any]) -> dict[str, Any]:
        """With how the event that it is about stands now."""
        case = self._cases.get(notification.get("caseId") or "")
        event = self._event(case, notification["eventId"]) if case and notification.get("eventId") else None
        said = {"eventActionType": event["actionType"], "eventStatus": event["status"]} if event else {}
        return {**notification, **said}

    def _by_town(self, case_id: str) -> list[dict[str, Any]]:
        """The events of the town that notified the online service."""
        events = self._cases[case_id].events
        return [event for event in events if event["transmitter"]["type"] == "SI" and event["notification"]]

    def _case(self, case_id: str, status: int = 404) -> _Case:
        if case_id not in self._cases:
            raise TwinRefusal(status, _errors(status, "Case is not found"))
        return self._cases[case_id]

    def _known_event(self, case: _Case, event_id: str) -> dict[str, Any]:
        event = self._event(case, event_id)
        if not event:
            raise TwinRefusal(404, _errors(404, "Event is not found"))
        return event

    def _event(self, case: _Case, event_id: str) -> dict[str, Any]:
        return next((event for event in case.events if event["id"] == event_id), {})

    def _with_files(self, case: _Case, event: Mapping[str, Any]) -> dict[str, Any]:
        return {**event, "attachments": [file.metadata() for file in case.event_files.get(event["id"], ())]}

    def _new_event(self, transmitter: Mapping[str, str], action: str, status: str) -> dict[str, Any]:
        at = self._tick()
        return {
            "id": str(uuid.uuid4()), "transmitter": dict(transmitter), "actionType": action, "status": status,
            "createDateTime": at, "updateDateTime": at, "notification": True, "message": None, "comment": None,
            "author": None, "caseCurrentStatus": None, "caseNewStatus": None, "partnerAttributes": None,
        }  # fmt: skip

    def _notify(self, case_id: str, event_id: str | None) -> None:
        case = self._cases[case_id].body
        self.notifications.append({
            "id": str(uuid.uuid4()), "recipient": case["recipient"], "transmitter": _PORTAL, "caseId": case_id,
            "processCode": case["processCode"], "eventId": event_id, "dateTime": self._tick(),
        })  # fmt: skip

    def _tick(self) -> str:
        self._clock += self.pace
        return to_rfc3339(self._clock)


def civil_record_form(
    *, kind: str, excerpt: str, holder: Person, requester: Person, capacity: tuple[str, str], date: str,
    spouse: Person | None = None,
) -> bytes:  # fmt: skip
    """The portal's XML for a civil-record request. `spouse`: the second holder of a marriage record."""
    root = new_root("EnveloppeMetierType")
    root.set("canal_utilise", "0")
    asker = {
        "QualiteDemandeur": dict(zip(("Code", "Libelle"), capacity, strict=True)), "Civilite": requester.title,
        "Nom": requester.name, "Prenom": requester.given,
        "AdresseFrancaise": {
            "Voie": requester.street, "CodePostal": requester.postal_code, "Ville": requester.town,
        },
        "Courriel": requester.email,
    }  # fmt: skip
    asked = {
        "TypeActe": {"Code": kind, "Libelle": f"Acte de {kind.lower()}"},
        "NatureActe": {"Code": excerpt, "Libelle": excerpt.replace("-", " ").capitalize()}, "DateActe": date,
        "LieuActe": {"CodePostal": "93999", "Ville": "SAINT-AUBIN", "CodeINSEE": BRANCH}, "NombreExemplaires": "1",
        "MotifDemande": {"Libelle": "Autre", "Commentaire": "Succession"}, "Demandeur": asker,
        "Titulaire": _holder(holder), "Conjoint": _holder(spouse) if spouse else None,
    }  # fmt: skip
    return write_xml(add_all(root, {"DemandeActe": asked}), pretty=True)


def _holder(holder: Person) -> dict[str, str | None]:
    return {
        "Civilite": holder.title, "NomNaissance": holder.name, "Prenoms": holder.given,
        "NomUsage": holder.use_name or None, "DateDeNaissance": holder.born, "LieuDeNaissance": holder.born_in,
    }  # fmt: skip


def _event_fault(body: Any) -> str:
    if not isinstance(body, dict) or body.get("actionType") not in _ACTIONS:
        return "actionType"
    if not isinstance(body.get("notification"), bool):
        return "notification"
    for key, limit in _EVENT_LIMITS.items():
        if len(body.get(key) or "") > limit:
            return key
    if body["actionType"] == "ATTACH_DEPOSIT" and not body.get("attachments"):
        return "attachments"
    return ""


def _said(call: TwinCall, key: str) -> str:
    body = call.json()
    return str(body.get(key) or "") if isinstance(body, dict) else ""


def _binary(files: list[File], file_id: str) -> TwinAnswer:
    file = next((file for file in files if file.id == file_id and file.status == "RECEIVED"), None)
    if file is None:
        return _error(404, "File is not found")
    digest = base64.b64encode(hashlib.sha256(file.content).digest()).decode()
    given = {"right": digest, "wrong": base64.b64encode(bytes(32)).decode()}.get(file.digest)
    return TwinAnswer(200, file.content, {"digest": given} if given else {})


def _error(status: int, message: str, *, code: int | None = None) -> TwinAnswer:
    return TwinAnswer(status, _errors(code or status, message))


def _errors(code: int, message: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "message": message}]}


def _is_uuid(text: str) -> bool:
    try:
        return bool(uuid.UUID(text))
    except ValueError:
        return False
