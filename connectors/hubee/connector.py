"""HubEE: requests come in from the State's online services; what becomes of them goes back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise, takewhile
from typing import Any

from connectors.hubee import mapping
from connectors.hubee.client import PAGE, READ, Attachment, Case, HubEE, Notification, Step
from connectors.hubee.workflow import FINAL, OURS, Workflow
from connectors.sdk import Connector, Context, Probe, reference_link, status_changed
from connectors.sdk.documents import file_name, media_type
from connectors.sdk.records import record_fault
from connectors.sdk.values import address_version
from connectors.sdk.xml import parse_xml
from schemas.delivery import Delivery, Done, Polled, StoredDocument
from schemas.errors import AccessDenied, HubError, InvalidMessage, Refused, TryLater
from schemas.event import Event

_LONGEST_MESSAGE = 1000
_UNSAID = "Rien à dire à HubEE : cet état n'a pas de mot dans cette démarche"

Notice = tuple[str | None, str | None]
"""What is to be told of a case: the status, None when HubEE has no word for it, and the message."""


class HubEEConnector(Connector):
    """One subscription: one organisation, one process."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.client = HubEE(self.settings)
        organisation = self.settings["organisation"]
        self._us = f"SI-{organisation['siret']}-{organisation['insee_code']}"
        self._workflow = Workflow.of(self.client.process)

    def probe(self) -> Probe:
        try:
            self.client.notifications(1)
        except AccessDenied:
            return Probe(False, "HubEE refuse nos identifiants : vérifier l'abonnement et son secret")
        except HubError:
            return Probe(False, "HubEE ne répond pas comme prévu")
        return Probe(True, f"HubEE répond pour la démarche {self.client.process}")

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        """Every notification that is ready, one case or event at a time. Those that are not ready wait for the next
        poll; those that are wrong are kept by HubEE, and told. Raises TryLater at the end for those that HubEE could
        not show."""
        seen: dict[str, bool] = {}  # id -> still at HubEE
        away: list[tuple[str, TryLater]] = []
        for notification in self._waiting(seen):
            polled = self._read_or_note(notification, seen, away)
            if polled is not None:
                yield polled
        if away:
            raise _summary(away)

    def prepare(self, delivery: Delivery) -> Notice:
        if not delivery.reference:
            raise Refused("Cette demande n'a pas de dossier HubEE", native="no_case")
        word = delivery.event.data.get("status")
        row = self.statuses.native(word, procedure=self.client.process) if word else None
        reason = delivery.event.data.get("reason")
        return row.native if row else None, _message(reason)

    def send(self, delivery: Delivery, prepared: Notice) -> Done:
        """Read the case first and do only what is missing: a stop between PATCH and event leaves the event alone."""
        target, message = prepared
        if target is None:
            return Done(_UNSAID)
        case = self.client.case(str(delivery.reference))
        path = self._workflow.path(case.status, target)
        passed = self._workflow.path(target, case.status) or case.has_status_event(target)
        if path is None and passed:
            return Done(f"HubEE est déjà plus loin : {case.status}")
        if path is None:
            raise Refused(f"HubEE ne permet pas de passer de {case.status} à {target}", native=case.status)
        self._announce_missing(case, message if case.status == target else None)
        for before, status in pairwise((case.status, *path)):
            self._set_status(case.id, status, before)
            told = message if status == target else None
            self.client.post_status_event(case.id, status, before=before, message=told)
        return _informed(target)

    def look_up(self, delivery: Delivery) -> Done | None:
        target, message = self.prepare(delivery)
        if target is None:
            return Done(_UNSAID)
        case = self.client.case(str(delivery.reference))
        done = case.status == target and case.has_status_event(target, message)
        return _informed(target) if done else None

    def _announce_missing(self, case: Case, message: str | None) -> None:
        """Tell the status that the case has, when it was set without its event or without this message."""
        if case.status in OURS - {"SENT"} and not case.has_status_event(case.status, message):
            self.client.post_status_event(case.id, case.status, before=None, message=message)

    def _set_status(self, case_id: str, status: str, before: str) -> None:
        try:
            self.client.set_status(case_id, status)
        except Refused as error:
            raise Refused(f"HubEE refuse le passage de {before} à {status}", native=error.native) from None

    def _waiting(self, seen: dict[str, bool]) -> Iterator[Notification]:
        """Each notification once, until a page brings fewer than 25 new ones. There is no cursor: what was seen and
        stays must not hide what comes after it, so each page asks for that many more."""
        new_ones = PAGE
        while new_ones >= PAGE:
            page = self.client.notifications(PAGE + sum(seen.values()))
            new = [notification for notification in page if notification.id not in seen]
            new_ones = len(new)
            seen.update((notification.id, True) for notification in new)
            yield from new

    def _read_or_note(
        self, notification: Notification, seen: dict[str, bool], away: list[tuple[str, TryLater]]
    ) -> Polled | None:
        """Take a notification, or tell its fault so that the others are taken."""
        try:
            return self._read_notification(notification, seen)
        except AccessDenied:
            raise
        except TryLater as error:
            away.append((notification.case_id, error))
            self.client.notifications(1)  # is it this case, or HubEE as a whole? then it raises
            return None
        except Exception as error:  # whatever this case holds
            place = f"dossier HubEE {notification.case_id}" if notification.case_id else "notification sans dossier"
            return Polled(faults=[record_fault(error, key=notification.id or notification.case_id, place=place)])

    def _read_notification(self, notification: Notification, seen: dict[str, bool]) -> Polled | None:
        """What a notification brings; None while it is not ready."""
        if notification.process not in ("", self.client.process):
            return None
        if not (notification.id and notification.process and notification.case_id):
            raise InvalidMessage("une notification sans identifiant", code="not_hubee")
        if notification.recipient not in ("", self._us):
            raise InvalidMessage("une notification pour une autre collectivité", code="not_ours")
        unread = None
        if notification.event_id is None:
            events = self._new_case(notification.case_id)
        else:
            step = self.client.step(notification.case_id, notification.event_id)
            events = self._new_step(notification.case_id, step)
            unread = step.id if READ not in (step.status, notification.event_status) else None
        return None if events is None else Polled(events, None, partial(self._take, notification, unread, seen))

    def _take(self, notification: Notification, unread: str | None, seen: dict[str, bool]) -> None:
        """Once its events are committed."""
        if unread is not None:
            self.client.mark_read(notification.case_id, unread)
        self.client.delete_notification(notification.id)
        seen[notification.id] = False

    def _new_case(self, case_id: str) -> list[Event] | None:
        case = self.client.case(case_id)
        if case.process != self.client.process or case.recipient != self._us:
            raise InvalidMessage("un dossier pour une autre collectivité", code="not_ours")
        if not _ready(case.attachments):
            return None
        fetched = [(item, *self.client.download(case.id, item)) for item in _received(case.attachments)]
        forms = [parse_xml(content) for item, content, _ in fetched if mapping.is_xml(item)]
        # read before anything is stored: what is refused leaves nothing behind
        request = mapping.request(
            case, forms, system=self.context.system, procedures=self.settings.get("procedure_map", {}),
            territory=self.context.tenant_insee,
        )  # fmt: skip
        stored = [(self._store(item, content), verified) for item, content, verified in fetched]
        refused = [mapping.document_kind(item.kind) or "?" for item in case.attachments if item.status != "RECEIVED"]
        request = mapping.with_documents(request, stored, refused)
        data, version = {"request": request}, address_version(request)
        return [self._event("request.received", data, f"case-{case.id}", case.id, case.created, version)]

    def _new_step(self, case_id: str, step: Step) -> list[Event] | None:
        if step.status == "IN_PROGRESS" or not _ready(step.attachments):
            return None
        if step.sender == self._us:
            return []
        stored = [
            (item, self._store(item, self.client.download(case_id, item, step.id)[0]))
            for item in _received(step.attachments)
        ]
        events = [self._document(case_id, step, item, document) for item, document in stored]
        if step.after or step.message or not events:
            events.append(self._status(case_id, step))
        return events

    def _document(self, case_id: str, step: Step, item: Attachment, document: StoredDocument) -> Event:
        data = {"document": document.to_data(), "kind": document.kind or "document", "request": self._link(case_id)}
        return self._event("document.received", data, f"event-{step.id}-{item.id}", case_id, step.created)

    def _status(self, case_id: str, step: Step) -> Event:
        code, row, label, reopened = step.action or "COM_ADD", None, "Message du service en ligne", False
        if step.after:
            code, label = step.after, ""
            row = self.statuses.canonical(code, procedure=self.client.process)
            reopened = code not in FINAL and self._before(case_id, step) in FINAL
        data = status_changed(self._link(case_id), code, row, label=label, reopened=reopened, reason=step.message)
        return self._event("request.status-changed", data, f"event-{step.id}", case_id, step.created)

    def _before(self, case_id: str, step: Step) -> str | None:
        """The status that an event left: its own word, else that of the events before it, in HubEE's order where
        several are of one second."""
        if step.before:
            return step.before
        earlier = takewhile(lambda other: other.id != step.id, self.client.case(case_id).steps)
        known = [other.after for other in earlier if other.after]
        return known[-1] if known else None

    def _store(self, item: Attachment, content: bytes) -> StoredDocument:
        return self.context.documents.store(
            content, name=file_name(re.sub(r"[/\\]", "_", item.name)), media_type=media_type(item.media_type),
            kind=mapping.document_kind(item.kind),
        )  # fmt: skip

    def _event(
        self, event_type: str, data: dict[str, Any], event_id: str, case_id: str, at: str | None, version: int = 1
    ) -> Event:  # fmt: skip
        # the time is HubEE's own, so that the same thing read twice is the same event
        return self.event(event_type, data, id=event_id, subject=case_id, time=mapping.instant(at), version=version)

    def _link(self, case_id: str) -> dict[str, Any]:
        return reference_link(self.context.system, case_id)


def _ready(attachments: tuple[Attachment, ...]) -> bool:
    """CORRUPTED and REJECTED are HubEE's last word: only PENDING may still come."""
    return all(item.status in ("RECEIVED", "CORRUPTED", "REJECTED") for item in attachments)


def _received(attachments: tuple[Attachment, ...]) -> list[Attachment]:
    return [item for item in attachments if item.status == "RECEIVED"]


def _message(reason: Any) -> str | None:
    if not isinstance(reason, str) or not reason.strip():
        return None
    text = reason.strip()
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"


def _informed(status: str) -> Done:
    return Done(f"HubEE informé : {status}")


def _summary(away: list[tuple[str, TryLater]]) -> TryLater:
    """One error for all: cases by their HubEE identifiers, nothing personal."""
    what = " ; ".join(f"{case_id or 'sans dossier'} : {error}" for case_id, error in away[:5])
    message = f"HubEE garde {len(away)} notification(s) qui n'ont pas pu être prises : {what}"
    wish = max((e.after for _, e in away if e.after is not None), default=None)
    return TryLater(message, after=wish, fault=away[0][1].fault)
