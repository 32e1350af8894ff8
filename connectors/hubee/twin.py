"""The twin of HubEE: the V1 API over real HTTP, with invented people."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

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
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WRITABLE = (
    "message", "comment", "author", "caseCurrentStatus", "caseNewStatus", "notification", "partnerAttributes",
)  # fmt: skip
_T = TypeVar("_T")
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

    def download(self) -> TwinAnswer:
        digest = {"right": hashlib.sha256(self.content).digest(), "wrong": bytes(32)}.get(self.digest)
        return TwinAnswer(200, self.content, {"digest": base64.b64encode(digest).decode()} if digest else {})


@dataclass(slots=True)
class _Told:
    """A case or an event of it, with its attachments."""

    body: dict[str, Any]
    files: list[File]
    events: list[_Told] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        return {**self.body, "attachments": [file.metadata() for file in self.files]}

    def event(self, event_id: object) -> _Told:
        """Answered 404 when there is none."""
        return _found((event for event in self.events if event.body["id"] == event_id), "Event")

    def download(self, file_id: str) -> TwinAnswer:
        return _found((f for f in self.files if f.id == file_id and f.status == "RECEIVED"), "File").download()


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
        self._cases: dict[str, _Told] = {}
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
            self._cases[case_id] = _Told({
                "id": case_id, "status": "HUBEE_NOTIFIED", "externalId": f"ESSAI-EC-{len(self._cases) + 1:07}-01",
                "recipient": {"type": "SI", "companyRegister": siret, "branchCode": BRANCH},
                "processCode": process or self.process, "createDateTime": at, "updateDateTime": at,
                "transmissionDateTime": at, "closeDateTime": None, "partnerAttributes": None,
                "applicant": {"firstName": first_name, "lastName": last_name, "email": email},
            }, files)  # fmt: skip
            self._notify(case_id, None)
            return case_id

    def add_civil_record_request(
        self, *, digest: str = "right", status: str = "RECEIVED", siret: str = SIRET, process: str | None = None,
        requester: Person = DAUGHTER, **asked: Any,
    ) -> str:  # fmt: skip
        """An EtatCivil case: the portal's XML, of what is `asked` (`civil_record_form`), and the same in PDF."""
        form = civil_record_form(requester=requester, **asked)
        files = [
            File("ActeEtatCivil-XML.xml", "ActeEtatCivil-XML", "application/xml", form, status, digest),
            File("ActeEtatCivil-PDF.pdf", "ActeEtatCivil-PDF", "application/pdf", b"%PDF-1.4 essai\n", status, digest),
        ]
        return self.add_case(
            files, first_name=requester.given, last_name=requester.name, email=requester.email or None,
            process=process, siret=siret,
        )  # fmt: skip

    def add_event(
        self, case_id: str, action: str = "SENDING_MESSAGE", *, status: str | None = None, message: str | None = None,
        files: list[File] | None = None, event_status: str = "SENT", tell_before: bool = True,
    ) -> str:  # fmt: skip
        """An event by the online service, notified to the town. Returns its id."""
        with self.lock:
            case = self._cases[case_id]
            event = self._new_event(case, _PORTAL, action, event_status, files or [])
            before = case.body["status"] if tell_before else None
            event |= {"message": message, "caseCurrentStatus": before, "caseNewStatus": status}
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
        return str(self._cases[case_id].event(event_id).body["status"])

    # The API

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        if call.path == "/oauth2/token":
            return None
        if self.bearer(call) is None:
            return TwinAnswer(401, _errors(900901, "Invalid Credentials"))
        too_long = next((name for name, limit in _LIMITS.items() if len(call.headers.get(name, "")) > limit), None)
        return _refusal(400, f"Bad Request : {too_long}").answer if too_long else None

    def error_inside(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, _errors(500, "Internal error"))

    def not_found(self, call: TwinCall) -> TwinAnswer:
        return _refusal(404, "No matching resource found").answer

    @route("POST", "/oauth2/token")
    def give_token(self, call: TwinCall) -> TwinAnswer:
        if call.form().get("scope") != "SI":
            return TwinAnswer(400, {"error": "invalid_scope"})
        return self.grant(call, self.client_id, self.client_secret.reveal(), scopes=("SI",))

    @route("GET", f"{_API}/notifications")
    def list_notifications(self, call: TwinCall) -> TwinAnswer:
        asked = call.query.get("maxResult", "25")
        if not asked.isdigit():
            raise _refusal(400, "Bad Request : maxResult")
        limit = self.page_size = min(int(asked), self.largest_page or int(asked))
        wanted = call.query.get("processCode")
        found = [self._shown(item) for item in self.notifications if wanted in (None, item["processCode"])]
        return TwinAnswer(200, found[:limit])

    @route("DELETE", f"{_API}/notifications/{{notification_id}}")
    def delete_notification(self, call: TwinCall, notification_id: str) -> TwinAnswer:
        if not _UUID.fullmatch(notification_id):
            raise _refusal(400, "Bad Request : notificationId")
        known = (item for item in self.notifications if item["id"] == notification_id)
        self.notifications.remove(_found(known, "Notification"))
        return TwinAnswer(204)

    @route("GET", f"{_API}/cases/{{case_id}}")
    def get_case(self, call: TwinCall, case_id: str) -> TwinAnswer:
        case = self._case(case_id)
        return TwinAnswer(200, {**case.shown(), "events": [event.shown() for event in case.events]})

    @route("PATCH", f"{_API}/cases/{{case_id}}")
    def patch_case(self, call: TwinCall, case_id: str) -> TwinAnswer:
        case, status = self._case(case_id), _said(call, "status")
        allowed = Workflow.of(case.body["processCode"]).allows(case.body["status"], status)
        if not allowed or status not in OURS:
            raise _refusal(400, f"Status {case.body['status']} cannot be followed by {status or 'nothing'}")
        case.body |= {"status": status, "updateDateTime": self._tick()}
        return TwinAnswer(204)

    @route("GET", f"{_API}/cases/{{case_id}}/attachments/{{file_id}}")
    def download(self, call: TwinCall, case_id: str, file_id: str) -> TwinAnswer:
        return self._case(case_id).download(file_id)

    @route("POST", f"{_API}/cases/{{case_id}}/events")
    def create_event(self, call: TwinCall, case_id: str) -> TwinAnswer:
        case, body = self._case(case_id, 400), call.json()
        if fault := _event_fault(body):
            raise _refusal(400, f"Bad Request : Validation failed. {fault}")
        status = "IN_PROGRESS" if body["actionType"] == "ATTACH_DEPOSIT" else "SENT"
        files = [
            File(item["fileName"], item["type"], item["mimeType"], b"", "PENDING")
            for item in body.get("attachments", ())
        ]
        event = self._new_event(case, case.body["recipient"], body["actionType"], status, files)
        event |= {name: body[name] for name in _WRITABLE if name in body}
        return TwinAnswer(201, case.event(event["id"]).shown())

    @route("GET", f"{_API}/cases/{{case_id}}/events/{{event_id}}")
    def get_event(self, call: TwinCall, case_id: str, event_id: str) -> TwinAnswer:
        return TwinAnswer(200, self._case(case_id).event(event_id).shown())

    @route("PATCH", f"{_API}/cases/{{case_id}}/events/{{event_id}}")
    def patch_event(self, call: TwinCall, case_id: str, event_id: str) -> TwinAnswer:
        event, status = self._case(case_id).event(event_id), _said(call, "status")
        if event.body["status"] == status == "RECEIVED":
            raise _refusal(400, "Event is already received")
        waiting = any(file.status != "RECEIVED" for file in event.files)
        if status not in ("SENT", "RECEIVED") or (status == "SENT" and waiting):
            raise _refusal(400, "Event attachments are not received")
        event.body |= {"status": status, "updateDateTime": self._tick()}
        return TwinAnswer(204)

    @route("GET", f"{_API}/cases/{{case_id}}/events/{{event_id}}/attachments/{{file_id}}")
    def download_of_event(self, call: TwinCall, case_id: str, event_id: str, file_id: str) -> TwinAnswer:
        return self._case(case_id).event(event_id).download(file_id)

    def _shown(self, notification: dict[str, Any]) -> dict[str, Any]:
        """With how the event that it is about stands now."""
        if not notification.get("eventId"):
            return notification
        event = self._case(notification["caseId"]).event(notification["eventId"]).body
        return {**notification, "eventActionType": event["actionType"], "eventStatus": event["status"]}

    def _by_town(self, case_id: str) -> list[dict[str, Any]]:
        """The events of the town that notified the online service."""
        events = [event.body for event in self._cases[case_id].events]
        return [event for event in events if event["transmitter"]["type"] == "SI" and event["notification"]]

    def _case(self, case_id: str, status: int = 404) -> _Told:
        return _found((case for known, case in self._cases.items() if known == case_id), "Case", status)

    def _new_event(
        self, case: _Told, transmitter: Mapping[str, str], action: str, status: str, files: list[File]
    ) -> dict[str, Any]:
        at = self._tick()
        event = dict.fromkeys(_WRITABLE) | {
            "id": str(uuid.uuid4()), "transmitter": dict(transmitter), "actionType": action, "status": status,
            "createDateTime": at, "updateDateTime": at, "notification": True,
        }  # fmt: skip
        case.events.append(_Told(event, files))
        return event

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
    *, kind: str = "NAISSANCE", excerpt: str = "EXTRAIT-AVEC-FILIATION", holder: Person = FATHER,
    requester: Person = DAUGHTER, capacity: tuple[str, str] = ("Descendant", "Fils ou fille"),
    date: str = "1938-05-17", spouse: Person | None = None,
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
    if body["actionType"] == "ATTACH_DEPOSIT" and not body.get("attachments"):
        return "attachments"
    return next((key for key, limit in _EVENT_LIMITS.items() if len(body.get(key) or "") > limit), "")


def _said(call: TwinCall, key: str) -> str:
    body = call.json()
    return str(body.get(key) or "") if isinstance(body, dict) else ""


def _found(those: Iterator[_T], what: str, status: int = 404) -> _T:
    found = next(those, None)
    if found is None:
        raise _refusal(status, f"{what} is not found")
    return found


def _refusal(status: int, message: str) -> TwinRefusal:
    return TwinRefusal(status, _errors(status, message))


def _errors(code: int, message: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "message": message}]}
