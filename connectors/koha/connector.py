"""Koha, the library's system: new addresses and contacts go into the patron's record and come out of it; it says what
card a citizen has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from connectors.koha import mapping
from connectors.koha.client import KohaClient
from connectors.sdk import Connector, Probe, reference_link
from connectors.sdk.poll_cursor import PollCursor
from connectors.sdk.records import each
from connectors.sdk.values import address_version
from schemas.delivery import Delivery, Done, Polled
from schemas.errors import HubError, InvalidMessage, Refused, TryLater
from schemas.event import Event
from schemas.exchange import AmbiguousIdentity, Evidence, NotMatched, Question
from schemas.times import to_rfc3339

_TRIES = 3
_SETTLED = timedelta(seconds=2)  # `updated_on` counts whole seconds: a second still running may change again
_SAID = {
    "citizen.address-changed": ("adresse déjà à jour", "adresse mise à jour"),
    "citizen.contact-changed": ("coordonnées déjà à jour", "coordonnées mises à jour"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """What to write in the record of which card."""

    card: str
    what: str
    fields: Mapping[str, str | None]


class Koha(Connector):
    """Patrons of the municipal library."""

    @cached_property
    def client(self) -> KohaClient:
        return KohaClient(self.settings)

    def probe(self) -> Probe:
        try:
            self.client.ping()
        except HubError as error:
            return Probe(False, f"Koha ne répond pas comme attendu : {error.reason}")
        return Probe(True, "Koha répond et nous laisse lire les fiches.")

    # out: the record of a citizen who has a card

    def prepare(self, delivery: Delivery) -> Change:
        kind = delivery.event.type
        if delivery.reference is None:
            raise Refused("aucune carte de bibliothèque n'est liée à cette personne")
        if kind not in _SAID:
            raise Refused("Koha ne prend que les changements d'adresse et de coordonnées")
        if kind == "citizen.contact-changed":
            fields = mapping.contact_fields(delivery.event.data, self.settings.get("phone_property", "phone"))
        else:
            layout = self.settings.get("address_layout", "one-line")
            fields = mapping.address_fields(delivery.event.data["new_address"]["value"], layout)
        return Change(delivery.reference, kind, fields)

    def send(self, delivery: Delivery, prepared: Change) -> Done:
        """Read, change, write, read. Koha has no conditional write: the record is written only when two readings in a
        row agree, and read once more. Setting the same values twice is one effect: any failure may be tried again."""
        patron = self._bearer_of(prepared.card)
        wrote = False
        for _ in range(_TRIES + 1):
            if mapping.has_values(patron, prepared.fields):
                return Done(_SAID[prepared.what][wrote])
            again = self.client.patron(patron["patron_id"])
            if _unchanged(patron, again):
                self.client.replace(patron["patron_id"], mapping.with_values(patron, prepared.fields))
                wrote, again = True, self.client.patron(patron["patron_id"])
            patron = again
        raise TryLater("la fiche est en cours de modification à la bibliothèque", after=60)

    def _bearer_of(self, card: str) -> Mapping[str, Any]:
        found = self.client.patrons_with_card(card)
        if not found:
            raise Refused("carte inconnue de la bibliothèque", native="404")
        if len(found) > 1:
            raise Refused("plusieurs fiches portent ce numéro de carte : à corriger par la bibliothèque")
        if not isinstance(found[0].get("patron_id"), int):
            raise TryLater("Koha : une fiche sans identifiant")
        return found[0]

    # in: what the library learned at its own desk

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        """Addresses of the records written since the cursor. The first poll marks the day and reads nobody, unless
        `catch_up_days` looks back. The cursor moves with the last page, so that a stop skips nothing."""
        now = self.context.now()
        if not self.settings.get("publish_addresses", True):
            return
        if cursor is None:
            days = self.settings.get("catch_up_days", 0)
            cursor = PollCursor(now - timedelta(days=days)).to_dict()
            yield Polled((), cursor)
            if not days:
                return
        mark, settled = PollCursor.from_dict(cursor), now - _SETTLED
        written: dict[str, datetime] = {}
        for page in self.client.changed_since(mark.horizon):
            dated, faults = each(page, _dated, key=_patron_number)
            fresh = [(at, one) for at, one in dated if at <= settled and mark.is_news(_patron_number(one), at)]
            written |= {_patron_number(patron): at for at, patron in fresh}
            events, unread = each(fresh, lambda one: self._address_events(*one), key=lambda one: _patron_number(one[1]))
            if events or faults or unread:
                yield Polled(events, cursor, faults=[*faults, *unread])
        if written:
            yield Polled((), mark.after(written).to_dict())

    def _address_events(self, at: datetime, patron: Mapping[str, Any]) -> Sequence[Event]:
        """None for a record without card, or whose address cannot be said in full."""
        address, card = mapping.address_of(patron), patron.get("cardnumber")
        if address is None or not card:
            return ()
        stamp = to_rfc3339(at, "seconds")
        data = {
            "citizen": reference_link(self.context.system, str(card)),
            "new_address": {
                "value": address, "source": self.context.connection, "date": stamp, "quality": "declared",
            },
        }  # fmt: skip
        name, version = f"patron/{patron['patron_id']}/{stamp}", address_version(data)
        return [self.event("citizen.address-changed", data, id=name, time=stamp, version=version)]

    # asked: what card a citizen has

    def answer(self, question: Question) -> Evidence:
        """The card that is linked to the citizen, as the library holds it now."""
        if question.evidence != "library-card":
            raise Refused("Koha ne répond que de la carte de bibliothèque")
        if question.reference is None:
            raise NotMatched("aucune carte de bibliothèque n'est liée à cette personne")
        found = self.client.patrons_with_card(question.reference, question.seconds)
        if not found:
            raise NotMatched("carte inconnue de la bibliothèque", native="404")
        if len(found) > 1:
            raise AmbiguousIdentity("plusieurs fiches portent ce numéro de carte : à corriger par la bibliothèque")
        stamp = to_rfc3339(self.context.now(), "seconds")
        said = {"source": self.context.connection, "date": stamp, "quality": "authoritative"}
        card = mapping.card_of(found[0])
        asked = {name: {"value": value, **said} for name, value in card.items() if name in question.fields}
        return Evidence(question.evidence, question.version, asked)

    def close(self) -> None:
        if "client" in vars(self):
            self.client.close()


def _patron_number(patron: Mapping[str, Any]) -> str:
    return str(patron.get("patron_id"))


def _unchanged(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """The same record at the same date. Whole records are compared: two writes may share a second."""
    return all(one[name] == other[name] for name in one.keys() & other.keys())


def _dated(patron: Mapping[str, Any]) -> Iterator[tuple[datetime, Mapping[str, Any]]]:
    try:
        at = datetime.fromisoformat(str(patron.get("updated_on")))
    except ValueError:
        message = "Une fiche de Koha n'a pas de date de modification lisible"
        raise InvalidMessage(message, pointer="/updated_on", code="no_date") from None
    yield (at if at.tzinfo else at.replace(tzinfo=UTC)), patron
