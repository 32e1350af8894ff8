"""A subscriber on loopback: verifies signatures as the standard says, and does each message once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.sdk import Secret
from connectors.sdk.standard_webhooks import TOLERANCE, verify
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route
from schemas.errors import AccessDenied


class WebhookTwin(HttpTwin):
    """`messages` holds each message once, by its id; `attempts` every genuine attempt's id, in order; `refused` counts
    the calls that did not verify. `endpoint` is the setting `url`. Faults are HttpTwin's: "410", "302", "429"..."""

    status_is_all = True

    def __init__(
        self, secrets: Sequence[Secret], *, now: Callable[[], datetime] = lambda: datetime.now(UTC),
        tolerance: float = TOLERANCE,
    ) -> None:  # fmt: skip
        super().__init__()
        self.secrets = list(secrets)
        self.messages: dict[str, Any] = {}
        self.attempts: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refused = 0
        self._now, self._tolerance = now, tolerance

    @property
    def endpoint(self) -> str:
        return f"{self.url}/hook"

    @route("POST", "/hook")
    def _receive(self, call: TwinCall) -> TwinAnswer:
        try:
            id = verify(call.headers, call.body, self.secrets, self._now(), self._tolerance)
        except AccessDenied:
            self.refused += 1
            return TwinAnswer(401, {"error": "invalid signature"})
        self.attempts.append(id)
        self.headers.append(dict(call.headers))
        self.messages.setdefault(id, json.loads(call.body))
        return TwinAnswer(204)
