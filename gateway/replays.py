"""Asking for what was sent to be sent again: the same for a webhook and for a package that pulls."""

from __future__ import annotations

from typing import Any

from bus.ledger import Transaction
from gateway.access import Caller
from hub.acceptance.replaying import Replay
from hub.journal.entries import Entry
from hub.services import Services
from schemas.times import to_rfc3339


def ask_replay(
    services: Services, tx: Transaction, caller: Caller, connection: str, *, since: float | None = None,
    seq: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Begin one, or name the one that is under way; the body of the answer. Raises InvalidMessage `replay_running`, and
    `replay_too_soon` with the seconds to wait."""
    found = services.replays.ask(tx, connection, since=since, seq=seq)
    facts = {"connection": connection, "client": caller.client.id}
    services.journal.write(
        tx, Entry(caller.tenant, "operator", "deliveries.replayed", caller.origin.name, "asked", facts=facts)
    )
    return replay_body(found)


def replay_body(found: Replay) -> dict[str, Any]:
    """A replay as its client is told of it."""
    ended = to_rfc3339(found.ended_at) if found.ended_at is not None else None
    return {"since": to_rfc3339(found.since), "asked_at": to_rfc3339(found.asked_at), "ended_at": ended}
