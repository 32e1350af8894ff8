"""The HubEE V1 wire format: the only file that knows it. V2 would be another client behind the same methods."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from connectors.sdk.http import SUCCESS, HttpAnswer, HttpClient, OAuthClient, lost_answer, segment
from connectors.sdk.kinds.calls import lenient_json, value_at
from connectors.sdk.mapping import Converters, MappingTable
from connectors.sdk.values import present
from schemas.errors import AccessDenied, HubError, InvalidMessage, Refused, TryLater

_T = TypeVar("_T")
PAGE = 25
READ = "RECEIVED"
LARGEST = 10 * 1024 * 1024
API = "https://api.hubee.numerique.gouv.fr"
TOKENS = "https://auth.hubee.numerique.gouv.fr/oauth2/token"
_BASE = "teledossiers/v1"
_NAME = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_PARTNER = {"editor_name": "editorName", "application_name": "applicationName", "software_version": "softwareVersion"}


@dataclass(frozen=True, slots=True)
class Notification:
    """Something waits: a new case when `event_id` is None, else an event of it, which HubEE shows as `RECEIVED` once it
    was acknowledged. Texts are "" where HubEE said none."""

    id: str = ""
    process: str = ""
    recipient: str = ""
    case_id: str = ""
    event_id: str | None = None
    event_status: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    id: str
    status: str = ""
    name: str = ""
    kind: str = ""
    size: int = 0
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """An event of a case: who said what, and the status that it led to."""

    id: str
    action: str = ""
    status: str = ""
    sender: str = ""
    message: str | None = None
    before: str | None = None
    after: str | None = None
    created: str | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    external_id: str = ""
    process: str = ""
    status: str = ""
    recipient: str = ""
    created: str | None = None
    first_name: str = ""
    last_name: str = ""
    email: str | None = None
    attachments: tuple[Attachment, ...] = ()
    steps: tuple[Step, ...] = ()

    def has_status_event(self, status: str, message: str | None = None) -> bool:
        """Whether an event has told `status` (with `message`, when given) since the case was last (re)opened."""
        return any(s.after == status and message in (None, s.message) for s in self._since_opening())

    def _since_opening(self) -> tuple[Step, ...]:
        opened = [at for at, step in enumerate(self.steps) if step.after == "HUBEE_NOTIFIED"]
        return self.steps[opened[-1] + 1 :] if opened else self.steps


class HubEE:
    """One subscription (organisation and process). Errors are those of `connectors.sdk.http`, and Refused,
    AccessDenied or TryLater for a success that holds `errors`."""

    timeout = 10.0

    def __init__(self, settings: Mapping[str, Any]) -> None:
        partner = {wire: settings[ours] for ours, wire in _PARTNER.items() if settings.get(ours)}
        base = HttpClient(
            settings.get("api_url", API).rstrip("/") + f"/{_BASE}", headers=partner, timeout=self.timeout,
            max_bytes=LARGEST + 1024, service="HubEE", read_error=_error_inside,
        )  # fmt: skip
        self._http: OAuthClient = base.with_client_credentials(
            settings.get("token_url", TOKENS), settings["client_id"], settings["client_secret"], "SI"
        )
        self.process: str = settings["process_code"]

    def notifications(self, limit: int = PAGE) -> list[Notification]:
        """The oldest notifications of the process that were not deleted. There is no cursor: ask for more to see
        beyond those that must wait."""
        params = {"processCode": self.process, "maxResult": limit}
        body = self._http.request("GET", "notifications", params=params).json()
        if not isinstance(body, list):
            raise TryLater("HubEE n'a pas renvoyé de liste de notifications", fault="away.not-json")
        return [_notification(item) for item in body]

    def delete_notification(self, notification_id: str) -> None:
        answer = self._http.request("DELETE", f"notifications/{segment(notification_id)}", expect=(*SUCCESS, 404))
        if answer.status != 404:
            _check_done(answer)

    def case(self, case_id: str) -> Case:
        return _case(self._http.request("GET", f"cases/{segment(case_id)}").json_object())

    def step(self, case_id: str, event_id: str) -> Step:
        path = f"cases/{segment(case_id)}/events/{segment(event_id)}"
        return _step(self._http.request("GET", path).json_object())

    def download(self, case_id: str, attachment: Attachment, event_id: str | None = None) -> tuple[bytes, bool]:
        """The bytes of an attachment, and whether HubEE gave a digest for them. InvalidMessage when they are not
        what HubEE says they are, or larger than the hub takes."""
        if attachment.size > LARGEST:
            raise InvalidMessage("une pièce jointe dépasse 10 Mio", code="document_too_large")
        owner = f"cases/{segment(case_id)}" + (f"/events/{segment(event_id)}" if event_id else "")
        answer = self._http.request("GET", f"{owner}/attachments/{segment(attachment.id)}")
        digest = answer.headers.get("digest", "").strip()
        if digest:
            _check_digest(answer.body, digest)
        elif len(answer.body) != attachment.size:
            raise InvalidMessage("une pièce jointe sans empreinte n'a pas la taille annoncée", code="size_mismatch")
        return answer.body, bool(digest)

    def set_status(self, case_id: str, status: str) -> None:
        _check_done(self._http.request("PATCH", f"cases/{segment(case_id)}", json={"status": status}))

    def post_status_event(self, case_id: str, status: str, *, before: str | None, message: str | None) -> None:
        """The event that makes HubEE notify the online service. The PATCH alone tells nobody."""
        body = _event_body(status, before=before, message=message)
        self._http.request("POST", f"cases/{segment(case_id)}/events", json=body).json_object()

    def mark_read(self, case_id: str, event_id: str) -> None:
        """Acknowledge an event. HubEE refuses to be told so twice: one that it shows as read is."""
        try:
            self._mark_read(case_id, event_id)
        except Refused:
            if self.step(case_id, event_id).status != READ:
                raise

    def _mark_read(self, case_id: str, event_id: str) -> None:
        path = f"cases/{segment(case_id)}/events/{segment(event_id)}"
        _check_done(self._http.request("PATCH", path, json={"status": READ}, safe=True))

    def close(self) -> None:
        self._http.close()


def _event_body(status: str, *, before: str | None, message: str | None) -> dict[str, Any]:
    body = {"actionType": "STATUS_UPDATE", "notification": True, "caseNewStatus": status}
    return present({**body, "caseCurrentStatus": before, "message": message})


def _error_inside(answer: HttpAnswer) -> HubError | None:
    """HubEE's gateway may answer 200 with `errors` inside; an attachment, which bears its digest, may hold anything."""
    if "digest" in answer.headers:
        return None
    try:
        errors = value_at(lenient_json(answer.body), "/errors") if answer.status in SUCCESS else None
    except ValueError:  # no JSON: whoever reads it says so
        return None
    return _fault(str(value_at(errors, "/0/code") or "")[:10], answer.safe) if errors else None


def _fault(code: str, safe: bool) -> HubError:
    what = f"HubEE a répondu par une erreur ({code or 'sans code'})"
    if code in ("401", "403"):
        return AccessDenied(what, fault="denied.login" if code == "401" else "denied.forbidden")
    if code == "429":
        return TryLater(what)
    if code.startswith("4"):
        return Refused(what, native=code)
    return lost_answer(what, safe)


def _check_done(answer: HttpAnswer) -> None:
    """204 says that it was done; another success comes from something that stands before HubEE."""
    if answer.status != 204:
        raise lost_answer("HubEE a répondu autrement qu'attendu", answer.safe, detail=f"{answer.status}, 204 was due")


def _check_digest(content: bytes, digest: str) -> None:
    named = digest.split("=", 1)[1] if digest.lower().startswith("sha-256=") else digest
    actual = base64.b64encode(hashlib.sha256(content).digest()).decode()
    if not hmac.compare_digest(named.encode(), actual.encode()):
        raise InvalidMessage("une pièce jointe n'a pas l'empreinte annoncée", code="digest_mismatch")


def _notification(body: Any) -> Notification:
    return _read(Notification, body if isinstance(body, Mapping) else {})


def _case(body: Mapping[str, Any]) -> Case:
    steps = sorted((_step(item) for item in _list(body, "events")), key=lambda step: step.created or "")
    return _read(Case, body, attachments=_attachments(body), steps=tuple(steps))


def _step(body: Mapping[str, Any]) -> Step:
    return _read(Step, body, attachments=_attachments(body))


def _attachments(body: Mapping[str, Any]) -> tuple[Attachment, ...]:
    return tuple(_read(Attachment, item) for item in _list(body, "attachments"))


def _list(body: Mapping[str, Any], key: str) -> list[Any]:
    value = body.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InvalidMessage(f"HubEE : {key} n'est pas une liste d'objets", code="not_hubee", pointer=f"/{key}")
    return value


def _read(kind: type[_T], body: Any, **more: Any) -> _T:
    """By the map of its name in `wire.csv`. Raises InvalidMessage for what it cannot do without."""
    return kind(**_wire()[kind.__name__.lower()].read(body), **more)


@cache
def _wire() -> MappingTable:
    return MappingTable.load(Path(__file__).with_name("wire.csv"), converters=Converters(zone=UTC, hooks=_HOOKS))


def _organisation(body: Any) -> str | None:
    """`SI-<siret>-<code>`."""
    if not isinstance(body, Mapping):
        return None
    return "-".join(str(body.get(key) or "") for key in ("type", "companyRegister", "branchCode"))


# What is no identifier or word of HubEE's is as if absent, and never repeated in a message.
_HOOKS: Mapping[str, Callable[[Any], Any]] = {
    "word": lambda value: value if isinstance(value, str) and _NAME.fullmatch(value) else None,
    "text": lambda value: value if isinstance(value, str) else None,
    "size": lambda value: value if type(value) is int else None,
    "organisation": _organisation,
}
