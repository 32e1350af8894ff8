"""Packages that do not exist, over real sockets: those of the declared examples."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from connectors.sdk import Inbound, Secret
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route
from schemas.delivery import Delivery
from schemas.event import Event
from schemas.exchange import Question
from schemas.times import to_rfc3339
from tests.connectors.sdk.kinds.agenda import SETTINGS, booking
from tests.support.context import NOON


class AgendaTwin(HttpTwin):
    """Bookings: sessions by e-mail and password, users that can be changed, signed webhooks."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, dict[str, Any]] = {"7201": {"email": "maelle.corvisart@courriel.example"}}
        self.session = 0
        self.frozen: set[str] = set()

    def settings(self, **more: Any) -> dict[str, Any]:
        return {**SETTINGS, "base_url": f"{self.url}/api/v1", **more}

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        signed_in = call.headers.get("access-token") == f"token-{self.session}" and call.headers.get("uid") == "hub"
        return None if signed_in or call.path.endswith("sign_in") else TwinAnswer(401, {"errors": ["session"]})

    @route("POST", "/api/v1/auth/sign_in")
    def sign_in(self, call: TwinCall) -> TwinAnswer:
        if call.form() != {"email": "hub@ville.example", "password": "a-password"}:
            return TwinAnswer(422, {"errors": ["identifiants"]})
        self.session += 1
        return TwinAnswer(200, {}, {"access-token": f"token-{self.session}", "client": "c", "uid": "hub"})

    @route("GET", "/api/v1/organisations/29")
    def organisation(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, {"organisation": {"id": 29}})

    @route("PATCH", "/api/v1/users/{number}")
    def change(self, call: TwinCall, number: str) -> TwinAnswer:
        if number not in self.users:
            return TwinAnswer(404, {"error": "not found"})
        if number in self.frozen:
            return TwinAnswer(422, {"error_messages": ["Mme Corvisart ne peut être modifiée"]})
        self.users[number] |= call.form()
        return TwinAnswer(200, {"user": {"id": int(number)}})

    def webhook(self, body: Any = None, secret: str = "a-webhook-secret") -> Inbound:
        content = body if isinstance(body, bytes) else json.dumps(booking() if body is None else body).encode()
        signature = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
        return Inbound("POST", "", {"x-agenda-signature": signature}, {}, content)


class LibraryTwin(HttpTwin):
    """Readers: OAuth tokens that end, a list by date of change and by pages, idempotency keys, an error inside."""

    page_size = 3

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[str, dict[str, Any]] = {}
        self.registrations: dict[str, dict[str, Any]] = {}
        self.seen_keys: set[str] = set()
        self.tokens = 0
        self.asked: list[Mapping[str, str]] = []
        self.now = NOON - timedelta(minutes=1)

    def settings(self, **more: Any) -> dict[str, Any]:
        own = {"base_url": self.url, "client_id": "hub", "client_secret": Secret("a-client-secret")}
        return {**own, "catch_up_days": 1, **more}

    def add(self, number: int, at: datetime | None = None, town: str = "Saint-Aubin") -> str:
        """A reader who moved."""
        card = f"C{number:04}"
        self.readers[card] = {
            "card": card, "category": "Adulte", "until": "31/08/2027", "blocked": "non",
            "address": {"street": f"{number} quai des Brumes", "zip": "93001", "town": town},
            "changed_at": to_rfc3339(at or self.now, "seconds"),
        }  # fmt: skip
        return card

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        if call.path == "/token" or call.headers.get("authorization") == f"Bearer token-{self.tokens}":
            return None
        return TwinAnswer(401, {"error": "invalid_token"})

    @route("POST", "/token")
    def token(self, call: TwinCall) -> TwinAnswer:
        form = call.form()
        if (form.get("client_id"), form.get("client_secret")) != ("hub", "a-client-secret"):
            return TwinAnswer(400, {"error": "invalid_client"})
        self.tokens += 1
        return TwinAnswer(200, {"access_token": f"token-{self.tokens}", "expires_in": "3600"})

    @route("GET", "/v2/readers")
    def listing(self, call: TwinCall) -> TwinAnswer:
        self.asked.append(call.query)
        if "card" in call.query:
            found = [reader for card, reader in self.readers.items() if card == call.query["card"]]
            return TwinAnswer(200, {"readers": found})
        since = call.query.get("changed_since", "")
        found = sorted((r for r in self.readers.values() if r["changed_at"] >= since), key=lambda r: r["changed_at"])
        size, page = int(call.query["page_size"]), int(call.query.get("page", 1))
        return TwinAnswer(200, {"readers": found[(page - 1) * size : page * size]})

    @route("PATCH", "/v2/readers/{card}")
    def change(self, call: TwinCall, card: str) -> TwinAnswer:
        if card not in self.readers:
            return TwinAnswer(404, {"problem": {"code": "NOBODY"}})
        if not self._is_repeated(call):
            self.readers[card]["address"] |= call.json()["address"]
        return TwinAnswer(200, {"done": True})

    @route("POST", "/v2/registrations")
    def register(self, call: TwinCall) -> TwinAnswer:
        key = call.headers.get("idempotency-key") or call.json()["our_key"]
        self.registrations.setdefault(key, call.json())
        return TwinAnswer(201, {"registration": {"number": 100 + list(self.registrations).index(key)}})

    @route("GET", "/v2/registrations")
    def registered(self, call: TwinCall) -> TwinAnswer:
        """All of them: it knows no filter, and says so to nobody."""
        found = [{**one, "number": 100 + number} for number, one in enumerate(self.registrations.values())]
        return TwinAnswer(200, {"registrations": [{"of": "another program"}, "text", *found]})

    def error_inside(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, {"problem": {"code": "READ_ONLY", "text": "Mme Quenneville"}})

    def _is_repeated(self, call: TwinCall) -> bool:
        key = call.headers["idempotency-key"]
        known = key in self.seen_keys
        self.seen_keys.add(key)
        return known


def moved(card: str | None = "C0001", number: int = 1, street: str = "4 chemin du Vieux Lavoir") -> Delivery:
    value = {"street": street, "postal_code": "93001", "city": "Saint-Aubin", "country": "FR"}
    said = {"source": "portail", "date": "2026-03-02", "quality": "declared"}
    citizen = {"references": [{"system": "mediatheque", "id": card or "0"}]}
    data = {"citizen": citizen, "new_address": {"value": value, **said}}
    return Delivery(
        Event("citizen.address-changed", "/saint-aubin/portail", data, id=f"m-{number}"), f"k-{number}", card
    )


def registration(number: int = 1) -> Delivery:
    citizen = {"identity": {"family_name": "Quenneville", "given_names": ["Solène"]}}
    data = {
        "request": {
            "references": [{"system": "portail", "id": f"r-{number}"}], "procedure": "formulaire-qf",
            "submitted_at": "2026-03-02T09:14:05Z", "intake": "online", "requester": {"citizen": citizen},
        }
    }  # fmt: skip
    return Delivery(Event("request.received", "/saint-aubin/portail", data, id=f"r-{number}"), f"kr-{number}")


def about(card: str | None) -> Question:
    fields = ("card_number", "category", "expires_on", "blocked")
    return Question("q-1", "library-card", 1, fields, "formulaire-qf", 5.0, reference=card)
