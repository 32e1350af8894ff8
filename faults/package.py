"""What the hub runs for a recording target: it tells the recorder of each delivery, and dies of poison."""

from __future__ import annotations

import os
from dataclasses import dataclass

from connectors.sdk import Connector, Context, Probe
from connectors.sdk.http import HttpClient
from schemas.delivery import Delivery, Done
from schemas.errors import Unknown

PLAIN, POISON, UNWANTED = "rue des Lilas", "rue du Poison", "rue du Refus"


@dataclass(frozen=True, slots=True)
class Effect:
    """The nth move of a subject, as a target notes it. `deadly`: it is poison, and meant for this target."""

    key: str
    subject: str
    number: int
    street: str
    deadly: bool


class Recorded(Connector):
    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._http = HttpClient(self.settings["url"], timeout=self.settings["timeout_seconds"])
        self._knows_keys = context.manifest.idempotency == "native-key"

    def probe(self) -> Probe:
        return Probe(True, "enregistreur de la campagne")

    def prepare(self, delivery: Delivery) -> Effect:
        address = delivery.event.data["new_address"]["value"]
        subject = delivery.event.data["citizen"]["references"][0]["id"]
        deadly = address["street"] == POISON and address.get("complement") == self.context.connection
        return Effect(delivery.key, subject, int(address["house_number"]), address["street"], deadly)

    def send(self, delivery: Delivery, prepared: Effect) -> Done:
        if prepared.deadly:
            os._exit(9)
        body = {"key": prepared.key, "subject": prepared.subject, "number": prepared.number}
        if prepared.street == UNWANTED:
            body["unwanted"] = True
        self._http.request("POST", f"/{self.context.connection}", json=body, safe=False).json()
        return Done("noté")

    def look_up(self, delivery: Delivery) -> Done | None:
        answer = self._http.request("GET", f"/{self.context.connection}/{self.prepare(delivery).key}")
        found = answer.json()
        if not isinstance(found, dict) or "known" not in found:
            raise Unknown("the recorder did not say")
        return Done("déjà noté") if found["known"] else None

    def close(self) -> None:
        self._http.close()
