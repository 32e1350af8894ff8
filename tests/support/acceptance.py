"""An acceptance with the hub's own rules, for tests that need no whole hub."""

from __future__ import annotations

from hub.acceptance.accept import Acceptance
from hub.acceptance.citizen_rules import CitizenChanged
from hub.acceptance.followed_rules import FOLLOWED
from hub.acceptance.request_rules import RequestReceived, StatusChanged
from hub.acceptance.rules import Rule, Rules
from hub.citizens.identities import People
from hub.exchanges.corrections import Corrections
from hub.exchanges.evidence_rules import EvidenceChanged, RecipientTold
from hub.routing.directory import CurrentDirectory, Directory
from schemas.exchange import CHANGED, TOLD
from schemas.registry import Registry


def acceptance_of(
    directory: Directory, *, people: People | None = None, corrections: Corrections | None = None,
    registry: Registry | None = None, pepper: bytes = b"test",
) -> Acceptance:  # fmt: skip
    """`corrections`: without them the hub follows no evidence."""
    registry = registry or Registry.load()
    rules: dict[str, Rule] = {
        "request.received": RequestReceived(),
        "request.status-changed": StatusChanged(),
        **FOLLOWED,
    }
    if corrections is not None and people is not None:
        rules |= {CHANGED: EvidenceChanged(corrections, people), **dict.fromkeys(TOLD, RecipientTold())}
    return Acceptance(
        registry, CurrentDirectory(directory), Rules(registry, rules, {"citizen": CitizenChanged()}), pepper=pepper,
        people=people,
    )  # fmt: skip
