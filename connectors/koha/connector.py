"""Koha, the library's system: new addresses and contacts go into the patron's record and come out of it; it says what
card a citizen has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.koha import mapping
from connectors.sdk import Probe, reference_link
from connectors.sdk.http import SUCCESS
from connectors.sdk.kinds.events import Collected, collected
from connectors.sdk.kinds.paging import Page
from connectors.sdk.kinds.rest import RestConnector
from connectors.sdk.local_times import moment
from connectors.sdk.values import address_version
from schemas.delivery import Delivery, Done, Polled
from schemas.errors import AccessDenied, HubError, InvalidMessage, Refused, TryLater
from schemas.event import Event
from schemas.exchange import AmbiguousIdentity, Evidence, NotMatched, Question
from schemas.times import to_rfc3339

_TRIES = 3
_PAGES = {"kind": "page", "param": "_page", "size": 100, "size_param": "_per_page"}
_SAID = {
    "citizen.address-changed": ("adresse déjà à jour", "adresse mise à jour"),
    "citizen.contact-changed": ("coordonnées déjà à jour", "coordonnées mises à jour"),
}


class Koha(RestConnector):
    """Patrons of the municipal library."""

    def probe(self) -> Probe:
        """Asks for nobody: it tells whether we may read patrons, and shows none."""
        try:
            self._patrons({"cardnumber": ""}, 1)
        except HubError as error:
            return self.said_by_probe(error)
        return Probe(True, "Koha répond et nous laisse lire les fiches.")

    # out: the record of a citizen who has a card

    def prepare(self, delivery: Delivery) -> Mapping[str, str | None]:
        """What to write in the record of the card."""
        data = delivery.event.data
        if delivery.reference is None:
            raise Refused("aucune carte de bibliothèque n'est liée à cette personne")
        if self.spec_of(delivery)["type"] == "citizen.contact-changed":
            return mapping.contact_fields(data, self.settings["phone_property"])
        return mapping.address_fields(data["new_address"]["value"], self.settings["address_layout"])

    def send(self, delivery: Delivery, prepared: Mapping[str, str | None]) -> Done:
        """Read, change, write, read. Koha has no conditional write: the record is written only when two readings in a
        row agree, and read once more. Setting the same values twice is one effect: any failure may be tried again."""
        patron = self._bearer_of(str(delivery.reference))
        wrote = False
        for _ in range(_TRIES + 1):
            if mapping.has_values(patron, prepared):
                return Done(_SAID[delivery.event.type][wrote])
            again = self._patron(patron["patron_id"])
            if _unchanged(patron, again):
                self._replace(patron["patron_id"], mapping.with_values(patron, prepared))
                wrote, again = True, self._patron(patron["patron_id"])
            patron = again
        raise TryLater("la fiche est en cours de modification à la bibliothèque", after=60, fault="away.locked")

    def _bearer_of(self, card: str) -> Mapping[str, Any]:
        found = self._patrons_with_card(card)
        if not found:
            raise Refused("carte inconnue de la bibliothèque", native="404")
        if len(found) > 1:
            raise Refused("plusieurs fiches portent ce numéro de carte : à corriger par la bibliothèque")
        if not isinstance(found[0].get("patron_id"), int):
            raise TryLater("Koha : une fiche sans identifiant", fault="away.not-json")
        return found[0]

    # in: what the library learned at its own desk

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        """Addresses of the records written since the cursor. The first poll marks the day and reads nobody, unless
        `catch_up_days` looks back. `updated_on` counts whole seconds: one still running may change again."""
        if self.settings["publish_addresses"]:
            yield from self.changes(
                cursor, self._written_since, at=_written_at, entry=_patron_number, collect=self._addresses,
                catch_up=timedelta(days=self.settings["catch_up_days"]),
            )  # fmt: skip

    def _written_since(self, since: datetime) -> Iterator[Page]:
        query = {"me.updated_on": {">=": since.isoformat(timespec="seconds")}}
        try:
            yield from self.each(
                "GET patrons", params={"q": _compact_json(query), "_order_by": "+me.updated_on"}, paging=_PAGES
            )
        except Refused as error:
            raise _elsewhere() if error.native == "404" else error from None

    def _addresses(self, patrons: Sequence[Any], place: str) -> Collected:
        return collected(patrons, self._address_events, place=place, key=_patron_number)

    def _address_events(self, patron: Mapping[str, Any]) -> Sequence[Event]:
        """None for a record without card, or whose address cannot be said in full."""
        address, card = mapping.address_of(patron), patron.get("cardnumber")
        if not isinstance(patron.get("patron_id"), int):
            raise InvalidMessage("un numéro de fiche est attendu", pointer="/patron_id", code="wrong_shape")
        if address is None or not card:
            return ()
        stamp = to_rfc3339(_written_at(patron), "seconds")
        said = {"value": address, "source": self.context.connection, "date": stamp, "quality": "declared"}
        data = {"citizen": reference_link(self.context.system, str(card)), "new_address": said}
        name, version = f"patron/{patron['patron_id']}/{stamp}", address_version(data)
        return [self.event("citizen.address-changed", data, id=name, time=stamp, version=version)]

    def state(self, references: Sequence[str]) -> Iterator[Polled]:
        """The address in the record of each of these cards; nothing of a card that nobody bears, or several do."""
        for card in references if self.settings["publish_addresses"] else ():
            if len(bearers := self._patrons_with_card(card)) == 1:
                yield self._addresses(bearers, "").polled()

    def answer(self, question: Question) -> Evidence:
        """The card that is linked to the citizen, as the library holds it now."""
        if question.evidence != "library-card":
            raise Refused("Koha ne répond que de la carte de bibliothèque")
        if question.reference is None:
            raise NotMatched("aucune carte de bibliothèque n'est liée à cette personne")
        found = self._patrons_with_card(question.reference, question.seconds)
        if not found:
            raise NotMatched("carte inconnue de la bibliothèque", native="404")
        if len(found) > 1:
            raise AmbiguousIdentity("plusieurs fiches portent ce numéro de carte : à corriger par la bibliothèque")
        return self.evidence(question, mapping.card_of(found[0]))

    def _patrons_with_card(self, card: str, seconds: float | None = None) -> list[dict[str, Any]]:
        """Those who bear exactly this card number; several where the library has a mess to mend."""
        found = self._patrons({"cardnumber": card}, 5, seconds)
        return [patron for patron in found if str(patron.get("cardnumber", "")).casefold() == card.casefold()]

    def _patrons(self, query: Mapping[str, Any], most: int, seconds: float | None = None) -> list[dict[str, Any]]:
        params = {"q": _compact_json(query), "_per_page": str(most)}
        answer = self.call("GET patrons", params=params, expect=(*SUCCESS, 404), seconds=seconds)
        if answer.status == 404:
            raise _elsewhere()
        value = answer.json()
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise TryLater("Koha : une liste de fiches était attendue", fault="away.not-json")
        return value

    def _patron(self, number: int) -> dict[str, Any]:
        return self.call("GET patrons/{number}", facts={"number": number}).json_object()

    def _replace(self, number: int, patron: Mapping[str, Any]) -> None:
        try:
            self.call("PUT patrons/{number}", facts={"number": number}, json=dict(patron)).json_object()
        except Refused as error:
            raise Refused(f"Koha n'accepte pas cette fiche (code {error.native})", native=error.native) from None


def _elsewhere() -> AccessDenied:
    """For a 404 to a list: nobody found is an empty list, so this is not the library's interface."""
    return AccessDenied("Koha : l'interface des fiches n'est pas à cette adresse", fault="denied.redirect")


def _patron_number(patron: Any) -> str:
    return str(patron.get("patron_id")) if isinstance(patron, Mapping) else ""


def _written_at(patron: Any) -> datetime:
    at = moment(str(patron.get("updated_on")), UTC) if isinstance(patron, Mapping) else None
    if at is None:
        message = "Une fiche de Koha n'a pas de date de modification lisible"
        raise InvalidMessage(message, pointer="/updated_on", code="no_date")
    return at


def _unchanged(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """The same record at the same date. Whole records are compared: two writes may share a second."""
    return all(one[name] == other[name] for name in one.keys() & other.keys())


def _compact_json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
