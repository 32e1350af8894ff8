"""Publik, the town's portal: forms come in by push, catch-up by pull, statuses go back by workflow triggers. It says
whether a family is registered at the canteen, where a form of the portal is how one registers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from connectors.publik import canteen, mapping
from connectors.publik.client import PublikClient
from connectors.sdk import Context, Inbound, Probe, Reply
from connectors.sdk.evidence import Said
from connectors.sdk.kinds.client import HttpConnector
from connectors.sdk.kinds.signatures import Signature, SignatureSettings
from connectors.sdk.local_times import Readings, instant, readings
from connectors.sdk.poll_cursor import PollCursor
from connectors.sdk.records import each
from connectors.sdk.values import address_version, present
from schemas.delivery import Delivery, Done, Polled
from schemas.errors import AccessDenied, BusUnavailable, HubError, InvalidMessage, Refused, TryLater
from schemas.event import Event, decode_json
from schemas.exchange import AmbiguousIdentity, Evidence, NotMatched, Question
from schemas.times import to_rfc3339

_PAGE = 50
_OVERLAP = timedelta(minutes=10)  # a form may appear in the list a little after its own date
_KEY = "unefois_key"
_FEW = 10  # forms of one person that a question reads, the newest
_REFUSALS = {InvalidMessage: 400, AccessDenied: 403, Refused: 422, TryLater: 503, BusUnavailable: 503}


@dataclass(frozen=True, slots=True)
class Jump:
    """What a status becomes: a trigger of one form's workflow; no trigger means that nothing is said."""

    slug: str
    number: str
    trigger: str | None
    body: Mapping[str, Any]


class Publik(HttpConnector):
    """Requests of citizens, told by forms; what became of them, told to the form's workflow."""

    max_bytes = 64 * 1024 * 1024  # a form and its files, in base64

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        settings = self.settings
        self._slugs: Mapping[str, Any] = settings["forms"]
        self._zone = ZoneInfo(settings["timezone"]) if "timezone" in settings else context.zone
        kind = "basic" if settings["incoming_authentication"] == "basic" else "publik"
        caller = SignatureSettings(kind, settings["incoming_secret"], "authorization", user=settings["incoming_id"])
        self._caller = Signature(caller, context)

    @cached_property
    def client(self) -> PublikClient:
        return PublikClient(self.request)

    def probe(self) -> Probe:
        try:
            self.client.ping(next(iter(self._slugs)))
        except HubError as error:
            return Probe(False, f"Publik ne répond pas comme attendu : {error.reason}")
        return Probe(True, "Publik répond et accepte notre identifiant.")

    # in: the push

    def knows_caller(self, head: Inbound) -> bool:
        """Publik signs the query, or sends Basic: never the body."""
        self._caller.check(head, use=False)
        return True

    def receive(self, inbound: Inbound) -> Reply:
        """A form pushed by its workflow to `/in/{connection}/{slug}`."""
        self._caller.check(inbound)
        slug = inbound.path.strip("/")
        if inbound.method != "POST" or slug not in self._slugs:
            raise InvalidMessage("formulaire inconnu de ce raccordement", code="unknown_form")
        formdata = decode_json(inbound.body)
        if not isinstance(formdata, Mapping):
            raise InvalidMessage("un objet JSON est attendu", code="not_a_formdata")
        events = self._events(slug, formdata)
        return Reply(Polled(events), {"err": 0, "data": {"reference": events[0].subject, "events": len(events)}})

    def refusal(self, error: HubError) -> tuple[int, Mapping[str, Any]]:
        status = next((code for kind, code in _REFUSALS.items() if isinstance(error, kind)), 500)
        pointer = f" ({error.pointer})" if isinstance(error, InvalidMessage) and error.pointer else ""
        return status, {"err": 1, "err_class": error.code, "err_desc": f"{error.reason}{pointer}"}

    # in: the pull, for pushes that were lost

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        """Forms received since the cursor, under the identifiers that the push gives them. At first, those of the
        last `catch_up_days`. A form that cannot be read is passed over and told: it must not hide the others."""
        state: dict[str, Any] = dict(cursor or {})
        for slug in self._slugs:
            yield from self._poll_form(slug, state)

    def _poll_form(self, slug: str, state: dict[str, Any]) -> Iterator[Polled]:
        """The cursor moves with the last page only: whatever the order of the list, a stop skips nothing."""
        first = slug not in state
        first_day = self.context.now() - timedelta(days=self.settings["catch_up_days"])
        mark = PollCursor.from_dict(state.setdefault(slug, PollCursor(first_day).to_dict()), _OVERLAP)
        received: dict[str, datetime] = {}
        reached = mark.since
        for page in self._pages(slug, mark.horizon):
            # An hour that comes twice: told by its second reading and reached by its first, so that nothing is missed.
            dated, faults = each(page, self._dated, key=_form_number)
            fresh = [(at, item) for at, item in dated if mark.is_news(_form_number(item), at.latest)]
            received |= {_form_number(item): at.latest for at, item in fresh}
            reached = max([reached, *(at.earliest for at, _ in fresh)])
            events, unread = each(
                fresh, lambda one: self._caught_up(slug, one[1]), key=lambda one: f"{slug}/{_form_number(one[1])}"
            )
            last = len(page) < _PAGE
            if last and received:
                state[slug] = mark.after(received, reached).to_dict()
            if events or faults or unread or (last and (received or first)):
                yield Polled(events, dict(state), faults=[*faults, *unread])

    def _pages(self, slug: str, horizon: datetime) -> Iterator[Sequence[Mapping[str, Any]]]:
        since = horizon.astimezone(self._zone)
        for offset in count(0, _PAGE):
            page = self.client.listing(slug, since=since, offset=offset, limit=_PAGE)
            yield page
            if len(page) < _PAGE:
                return

    def _dated(self, item: Mapping[str, Any]) -> Iterator[tuple[Readings, Mapping[str, Any]]]:
        yield readings(item.get("receipt_time"), self._zone, "/receipt_time"), item

    def _caught_up(self, slug: str, item: Mapping[str, Any]) -> Sequence[Event]:
        whole = self.client.formdata(slug, _form_number(item)) if mapping.lacks_content(item) else item
        return self._events(slug, whole)

    def _events(self, slug: str, formdata: Mapping[str, Any]) -> list[Event]:
        """Mapped first, stored second: what is refused leaves nothing behind."""
        form = mapping.read_form(
            slug, self._slugs[slug], formdata,
            system=self.context.system, source=self.context.connection, zone=self._zone,
            territory=self.context.tenant_insee,
        )  # fmt: skip
        stored = [self.context.documents.store(**file) for file in form.files]
        request = present({**form.request, "documents": [document.to_data() for document in stored]})
        told = {
            "request.received": {"request": request}, "citizen.address-changed": form.address_change,
            "citizen.contact-changed": form.contact_change,
        }  # fmt: skip
        return [
            self.event(
                kind, data, id=f"{form.reference}/{kind}", time=form.received_at, subject=form.reference,
                version=address_version(data) if kind != "citizen.contact-changed" else 1,
            )
            for kind, data in told.items() if data
        ]  # fmt: skip

    # asked: who is registered at the canteen

    def answer(self, question: Question) -> Evidence:
        """The one registration of the school year that is asked for, or of the latest. A parent of several children
        has several: the portal does not say which one is meant, so that is ambiguous."""
        setting = self.settings.get("canteen")
        if question.evidence != "canteen-registration" or setting is None:
            raise Refused("ce raccordement ne répond que de l'inscription à la cantine, quand elle est réglée")
        if question.reference is None:
            raise NotMatched("aucun compte du portail n'est lié à cette personne")
        found = self._registrations(question, setting)
        year = question.parameters.get("school_year") or max(
            (form.get("school_year", "") for form, _ in found), default=""
        )
        meant = [(form, at) for form, at in found if form.get("school_year", "") == year]
        if not meant:
            raise NotMatched("aucune inscription à la cantine de ce compte pour cette année")
        if len(meant) > 1:
            raise AmbiguousIdentity("plusieurs inscriptions à la cantine de ce compte pour cette année")
        [(form, at)] = meant
        quality = "verified" if "registered" in form else "declared"
        values = Said(self.context.connection, at, quality).values(form, question.fields)
        return Evidence(question.evidence, question.version, values)

    def _registrations(self, question: Question, setting: Mapping[str, Any]) -> list[tuple[dict[str, Any], str]]:
        """What each registration form of the account says, and when it was last touched."""
        until = time.monotonic() + question.seconds
        found = []
        listed = self.client.forms_of(str(question.reference), question.seconds)
        for number in canteen.filed(listed, setting["form"])[:_FEW]:
            left = until - time.monotonic()
            if left <= 0:
                raise TryLater("Publik n'a pas répondu à temps", fault="away.timeout")
            try:
                formdata = self.client.formdata(setting["form"], number, left)
            except Refused as error:
                if error.native == "404":  # withdrawn since it was listed
                    continue
                raise
            found.append((canteen.registration(setting, formdata), self._touched(formdata)))
        return found

    def _touched(self, formdata: Mapping[str, Any]) -> str:
        written = formdata.get("last_update_time") or formdata.get("receipt_time")
        try:
            return to_rfc3339(instant(written, self._zone, "/last_update_time"), "seconds")
        except InvalidMessage:
            raise TryLater("Publik : une demande sans date lisible", fault="away.not-json") from None

    # out: the status of a request

    def prepare(self, delivery: Delivery) -> Jump:
        if delivery.event.type != "request.status-changed" or delivery.reference is None:
            raise Refused("Publik ne connaît pas cette demande")
        slug, number = mapping.split_reference(delivery.reference)
        data = delivery.event.data
        row = self.statuses.native(data["status"]) if data["status"] else None
        body = {
            _KEY: delivery.key, "status": data["status"], "label": row.label if row else "",
            "native_code": data["native"]["code"], "native_label": data["native"]["label"],
            "reason": data.get("reason", ""), "phase": data.get("phase", ""),
            "documents": [document["name"] for document in data.get("documents", ())],
        }  # fmt: skip
        return Jump(slug, number, self._trigger(slug, data["status"], row.native if row else None), body)

    def _trigger(self, slug: str, status: str | None, default: str | None) -> str | None:
        """The form's own trigger, else the connection's, else that of statuses.csv; "" means silence."""
        own = self._slugs.get(slug, {}).get("triggers", {})
        name = own.get(status, self.settings.get("triggers", {}).get(status, default)) if status else None
        return name or None

    def send(self, delivery: Delivery, prepared: Jump) -> Done:
        if prepared.trigger is None:
            return Done("Publik n'a pas de déclencheur pour cet état : rien ne lui a été dit.")
        self.client.trigger(prepared.slug, prepared.number, prepared.trigger, prepared.body)
        return Done(f"Publik a été informé (déclencheur « {prepared.trigger} »).")

    def look_up(self, delivery: Delivery) -> Done | None:
        """Whether the workflow keeps our key: the body of a trigger becomes workflow data."""
        slug, number = mapping.split_reference(delivery.reference or "")
        if mapping.holds_value(self.client.workflow_data(slug, number), _KEY, delivery.key):
            return Done("Publik avait bien été informé.")
        return None


def _form_number(item: Mapping[str, Any]) -> str:
    return str(item.get("id"))
