"""Standard Webhooks to anybody: a portal, a package or a service that has no connector of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from connectors.sdk import Connector, Context, Probe
from connectors.sdk.http import HttpAnswer, HttpClient, retry_after
from connectors.sdk.standard_webhooks import Key, message_id, sign
from connectors.sdk.values import present
from schemas.delivery import Delivery, Done
from schemas.errors import AccessDenied, ConfigError, HubError, TryLater
from schemas.times import to_rfc3339

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ANY = range(100, 600)
_OVERLOADED = (429, 502, 504)
_PAUSE = 60.0  # what an overloaded subscriber is given when it does not say
_FOLLOWED = ("appointment", "payment", "message")  # what has a state of its own beside its request
_MAX_ANSWER = 256 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """The bytes to send; None for a type that the subscriber did not ask for."""

    body: bytes | None
    media: str = "application/json"


class Webhook(Connector):
    """One subscriber's endpoint."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        parts = urlsplit(self.settings["url"])
        self._path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._keys = [Key.read(text) for text in self.settings["signing_keys"]]
        self._http = HttpClient(
            f"{parts.scheme}://{parts.netloc}", headers={"user-agent": "unefois-webhook"},
            timeout=self.settings.get("timeout_seconds", 20), max_bytes=_MAX_ANSWER, service="l'abonné",
            pin_public=not self._may_stay_inside(parts),
        )  # fmt: skip

    def _may_stay_inside(self, parts: SplitResult) -> bool:
        """Loopback, in development. Raises ConfigError for an address without TLS elsewhere."""
        local = bool(self.settings.get("allow_insecure", False)) and parts.hostname in _LOOPBACK
        if parts.scheme != "https" and not local:
            raise ConfigError("must be https:// (http:// only to loopback, with allow_insecure)", key="url")
        return local

    def probe(self) -> Probe:
        try:
            answer = self._http.request("OPTIONS", self._path, expect=_ANY)
        except HubError as error:
            return Probe(False, f"L'abonné ne répond pas : {error.reason}")
        return Probe(True, f"L'abonné répond ({answer.status}) ; aucun message ne lui a été envoyé.")

    def prepare(self, delivery: Delivery) -> Message:
        event = delivery.event
        if event.type not in self.settings["types"]:
            return Message(None)
        told = {**({} if self.settings.get("thin", True) else event.data), **self._identifiers(delivery)}
        body = {"type": event.type, "timestamp": event.time or to_rfc3339(self.context.now()), "data": told}
        return Message(json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode())

    def _identifiers(self, delivery: Delivery) -> dict[str, Any]:
        """What a thin message says: the receiver reads the rest under its own rights."""
        data = delivery.event.data
        request = delivery.request_id or (data.get("request") or {}).get("id")
        document = (data.get("document") or {}).get("id")
        correction = data.get("correction")
        kind, name = ("requests", request) if request else ("documents", document)
        if correction:
            kind, name = "corrections", correction
        base = self.settings.get("public_url", "").rstrip("/")
        link = f"{base}/v1/{kind}/{quote(name, safe='')}" if base and name else None
        said = {"request_id": request, "document_id": document, "correction_id": correction, "link": link}
        if delivery.event.type == "trouble.changed":  # names nobody, and is nowhere to be read
            return {"trouble_id": data["id"], "kind": data["kind"], "state": data["state"]}
        followed: dict[str, Any] = next((data[name] for name in _FOLLOWED if name in data), {})
        told = {name: data[name] for name in ("status", "recipient") if name in data}
        return present({**said, "state": followed.get("state")}) | told

    def send(self, delivery: Delivery, prepared: Message) -> Done:
        """One signed attempt. Any answer but 2xx is a failure to try again, 410 the wish to hear no more."""
        if prepared.body is None:
            return Done("L'abonné n'a pas demandé ce type d'événement.")
        signed = sign(self._keys, id=message_id(delivery.key), at=self.context.now(), body=prepared.body)
        answer = self._http.request(
            "POST", self._path, content=prepared.body, headers={"content-type": prepared.media, **signed},
            expect=_ANY, safe=True,
        )  # fmt: skip
        if not 200 <= answer.status < 300:
            raise self.failure(answer)
        return self.took(answer)

    def took(self, answer: HttpAnswer) -> Done:
        return Done("L'abonné a accusé réception.")

    def failure(self, answer: HttpAnswer) -> HubError:
        if answer.status == 410:
            return AccessDenied("l'abonné demande l'arrêt (410)", fault="denied.gone")
        wish = retry_after(answer.headers)
        if answer.status in _OVERLOADED and wish is None:
            wish = _PAUSE
        what = "renvoie ailleurs, ce qui n'est pas suivi" if 300 <= answer.status < 400 else "a répondu par un échec"
        return TryLater(f"l'abonné {what} ({answer.status})", after=wish, fault=_cause(answer.status))

    def close(self) -> None:
        self._http.close()


def _cause(status: int) -> str:
    if status in (408, 429, 503):
        return "away.busy"
    return "away.http-5xx" if status >= 500 else "away"
