"""The signature book: requests go in as acts to sign, come out signed or refused on the way."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from connectors.iparapheur import mapping
from connectors.iparapheur.client import LogLine, Parapheur
from connectors.iparapheur.mapping import Act, Step
from connectors.sdk import Connector, Context, reference_link, status_changed
from connectors.sdk.documents import file_name
from schemas.delivery import Delivery, Done, Polled, Probe, RecordFault, StoredDocument
from schemas.errors import AccessDenied, HubError, Refused, TryLater
from schemas.event import Event

_UNREADABLE = "bad-return."
_MISSES = 3  # a KO may be a passing trouble
_log = logging.getLogger("unefois.iparapheur")
_SIGNATURE_ENDINGS = {"application/zip": "zip", "application/xml": "xml", "text/xml": "xml"}


class SignatureBook(Connector):
    """Acts to sign, their circuit, and the signed document that comes back."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.client = Parapheur(self.settings)
        self._prefix = f"{context.settings.get('prefix', 'unefois')}-"
        self._archived: set[str] = set()

    def probe(self) -> Probe:
        wanted = self.settings["type"]
        try:
            types = self.client.types()
        except AccessDenied:
            return Probe(False, "Le parapheur refuse le compte technique : identifiant ou mot de passe à vérifier.")
        except HubError:
            return Probe(False, "Le parapheur ne répond pas comme attendu : adresse du service SOAP à vérifier.")
        if wanted not in types:
            return Probe(False, f"Le compte technique ne voit pas le type « {wanted} » : droits à vérifier.")
        return Probe(True, "Le parapheur répond et connaît le type réglé.")

    def prepare(self, delivery: Delivery) -> Act:
        return mapping.act(delivery, self.settings, self.context.now().astimezone(self.context.zone).date())

    def send(self, delivery: Delivery, prepared: Act) -> Done:
        created = self.client.create(**asdict(prepared))
        return _deposited(prepared.dossier_id, already=not created)

    def look_up(self, delivery: Delivery) -> Done | None:
        dossier_id = mapping.dossier_id(delivery, self.settings.get("prefix", "unefois"))
        return _deposited(dossier_id, already=True) if self.client.holds(dossier_id) else None

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        """One commit per dossier that moved. The cursor keeps, per dossier that we follow, its last status and the
        lines told: a dossier that the search leaves out is asked for by name. A dossier that fails does not hold the
        others; its error is raised at the end. What cannot be read is told and read again: nothing of it is granted or
        archived before."""
        followed: dict[str, Any] = dict((cursor or {}).get("dossiers", {}))
        shown, unread = self.client.search()
        found = {name: line for name, line in shown.items() if name.startswith(self._prefix)}
        if unread:
            yield Polled((), _cursor(followed), faults=[_unreadable(place) for place in unread])
        failure: HubError | None = None
        for dossier_id in sorted(found.keys() | followed.keys()):
            try:
                polled = self._read_dossier(dossier_id, found.get(dossier_id), followed)
            except AccessDenied:
                raise
            except HubError as error:
                if not error.fault.startswith(_UNREADABLE):
                    failure = failure or error
                    continue
                fault = _unreadable(error.fault.removeprefix(_UNREADABLE), key=dossier_id)
                polled = Polled((), _cursor(followed), faults=[fault])
            if polled is not None:
                yield polled
        if failure is not None:
            raise failure

    def _read_dossier(self, dossier_id: str, found: LogLine | None, followed: dict[str, Any]) -> Polled | None:
        known = followed.get(dossier_id)
        mark = f"{found.status} {found.timestamp}" if found else ""
        if known and (mark == known["mark"] if found else known["over"]):
            return self._finished_dossier(dossier_id, found, followed)
        steps = mapping.steps(self.client.history(dossier_id), self.statuses, self.context.zone)
        if not steps:
            return self._missing_dossier(dossier_id, found, followed)
        told = set(known["seen"]) if known else set()
        news = [step for step in steps if _short(step.key) not in told]
        events = [event for step in news for event in self._events(dossier_id, step)]
        last = steps[-1]
        followed[dossier_id] = {
            "mark": mark,
            "seen": [_short(step.key) for step in steps],
            "over": last.line.status == mapping.END,
            "granted": last.decides,
        }
        return Polled(events, _cursor(followed), self._archiving(dossier_id) if found and last.decides else None)

    def _finished_dossier(self, dossier_id: str, found: LogLine | None, followed: dict[str, Any]) -> Polled | None:
        """Nothing new: forget a finished dossier that has left the parapheur, archive a granted one that has not."""
        if found is None:
            del followed[dossier_id]
            return Polled((), _cursor(followed))
        archiving = self._archiving(dossier_id) if followed[dossier_id]["granted"] else None
        return Polled((), _cursor(followed), archiving) if archiving else None

    def _missing_dossier(self, dossier_id: str, found: LogLine | None, followed: dict[str, Any]) -> Polled:
        """A dossier that nobody finished is gone: said when it stays so, applied to nothing."""
        if found is not None:
            said = "le parapheur montre un dossier sans son journal"
            raise TryLater(said, detail="GetHistoDossier", fault="bad-return.LogDossier")
        missed = followed[dossier_id].get("missed", 0) + 1
        if missed < _MISSES:
            followed[dossier_id] = followed[dossier_id] | {"missed": missed}
            return Polled((), _cursor(followed))
        del followed[dossier_id]
        link, label = reference_link(self.context.system, dossier_id), "Dossier introuvable dans le parapheur"
        data = status_changed(link, "absent", None, label=label)
        event = self.event("request.status-changed", data, id=f"{dossier_id}/absent")
        return Polled([event], _cursor(followed))

    def _events(self, dossier_id: str, step: Step) -> list[Event]:
        documents = self._store_signed(dossier_id) if step.decides else []
        received = [self._document_event(dossier_id, document, step) for document in documents]
        data = step.data(self.context.system, dossier_id, [document.to_data() for document in documents])
        name = f"{dossier_id}/{step.key}"
        return [*received, self.event("request.status-changed", data, id=name, time=step.time)]

    def _store_signed(self, dossier_id: str) -> list[StoredDocument]:
        signed = self.client.fetch(dossier_id)
        kind = mapping.document_type(signed.content, signed.media_type)
        name = file_name(signed.name, f"{dossier_id}.pdf")
        documents = [self.context.documents.store(signed.content, name=name, media_type=kind, kind="signed-act")]
        if signed.signature:
            kind = mapping.document_type(signed.signature, signed.signature_type)
            name = f"{dossier_id}-signature.{_SIGNATURE_ENDINGS.get(kind, 'p7s')}"
            store = self.context.documents.store
            documents.append(store(signed.signature, name=name, media_type=kind, kind="detached-signature"))
        return documents

    def _document_event(self, dossier_id: str, document: StoredDocument, step: Step) -> Event:
        link = reference_link(self.context.system, dossier_id)
        data = {"document": document.to_data(), "kind": document.kind, "request": link}
        name = f"{dossier_id}/{document.kind}/{document.sha256[:16]}"
        return self.event("document.received", data, id=name, time=step.time, subject=dossier_id)

    def _archiving(self, dossier_id: str) -> Callable[[], None] | None:
        wish = self.settings.get("archive", "archive")
        if wish == "leave" or dossier_id in self._archived:
            return None

        def archive() -> None:
            try:
                self.client.archive(dossier_id, erase=wish == "erase")
            except Refused:
                _log.warning("the parapheur does not archive %s: a person must", dossier_id)
            self._archived.add(dossier_id)

        return archive


def _deposited(dossier_id: str, *, already: bool) -> Done:
    told = "Dossier déjà présent dans le parapheur." if already else "Acte déposé dans le parapheur pour signature."
    return Done(answer=told, reference=dossier_id)


def _unreadable(place: str, *, key: str = "") -> RecordFault:
    reason = f"Le parapheur a renvoyé quelque chose d'illisible ({place}) : il sera relu."
    return RecordFault("record-refused.unreadable", place, reason, key)


def _cursor(followed: Mapping[str, Any]) -> dict[str, Any]:
    return {"dossiers": dict(followed)}


def _short(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]
