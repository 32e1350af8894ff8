"""A package without code of ours, called at an address of its own: the whole event that its manifest grants it, signed
as Standard Webhooks describes, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connectors.sdk import Context
from connectors.sdk.http import HttpAnswer
from connectors.webhook.connector import Message, Webhook
from schemas.delivery import Delivery, Done
from schemas.errors import HubError, Refused, refused_fault

_EVENT = "application/cloudevents+json"
_PROBLEM = "application/problem+json"
_LONGEST = 500  # characters of a reason that goes on to a timeline


class PackageWebhook(Webhook):
    """Its settings are those of `[webhook]` in `schemas/folder_settings.toml`. Sends the types of its manifest."""

    def __init__(self, context: Context) -> None:
        super().__init__(replace(context, settings={**context.settings, "types": (), "thin": False}))

    def prepare(self, delivery: Delivery) -> Message:
        """The event alone, as a package that fetches it or reads its queue has it."""
        return Message(delivery.event.encode(), _EVENT)

    def took(self, answer: HttpAnswer) -> Done:
        """`{"reference": "…"}` is the identifier that the package gave to what the event is about."""
        reference = _members(answer, "application/json").get("reference")
        return Done("Le logiciel a pris l'événement.", reference=reference if isinstance(reference, str) else None)

    def failure(self, answer: HttpAnswer) -> HubError:
        """422 with a problem (RFC 9457) is the package's no: final, with its `detail` or `title`, and its `code`."""
        said = _members(answer, _PROBLEM) if answer.status == 422 else {}
        reason = next((text for name in ("detail", "title") if isinstance(text := said.get(name), str) and text), "")
        if not reason:
            return super().failure(answer)
        code = said.get("code")
        native = code if isinstance(code, str) else ""
        return Refused(reason[:_LONGEST], native=native[:40], fault=refused_fault(native[:40]))


def _members(answer: HttpAnswer, media: str) -> Mapping[str, Any]:
    """Those of a JSON object of this media type; none of anything else."""
    if answer.headers.get("content-type", "").partition(";")[0].strip().lower() != media:
        return {}
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
