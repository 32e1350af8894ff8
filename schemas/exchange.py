"""What passes between the hub and a source of evidence: a question, and the evidence that answers it.

A live question is read-only: it may be asked again, is never stored, and is worth nothing after its deadline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import HubError
from schemas.secret import Secret

CHANGED = "evidence.changed"
"""The event by which a source says that what it answered changed; the hub is its only reader."""
TOLD = frozenset({"evidence.corrected", "evidence.erased"})
"""The events by which the hub tells a client that what it obtained changed; no other client gets them."""


@dataclass(frozen=True, slots=True)
class Question:
    """One live question to one connection.

    `id` is that of the exchange. `evidence`, `version`: a schema under `schemas/evidence/`. `fields`: what the asker
    may obtain; a source that can be asked for less is asked for no more. `identity` is the shared record `identity`;
    `reference` what this connection's own system calls the citizen, None when the hub knows no link. `parameters` are
    those of the evidence type (`month`, `school_year`, …). `token` is the citizen's own FranceConnect access token,
    which lives 60 s: used in the call, never stored, logged or put on a queue. `procedure` is why. `seconds` are left
    until nobody waits for the answer any more.
    """

    id: str
    evidence: str
    version: int
    fields: tuple[str, ...]
    procedure: str
    seconds: float
    identity: Mapping[str, Any] | None = None
    reference: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a source says of a citizen. `values`: by field name, the shared record `evidence-value` (`value`, `source`,
    `date`, `quality`, perhaps `valid_until`); a field that the source did not give is absent, not null."""

    type: str
    version: int
    values: Mapping[str, Mapping[str, Any]]


class NotMatched(HubError):
    """The source finds nobody, or no file, under this identity. It never means that a right is refused. `native`: the
    source's own code."""

    code = "identity_not_matched"
    fault = "refused.not-matched"


class AmbiguousIdentity(HubError):
    """The source finds several people under this identity."""

    code = "identity_ambiguous"
    fault = "refused.ambiguous"


class AuthorisationExpired(HubError):
    """The source says that our right to ask is over, or does not cover this."""

    code = "authorisation_expired"
    fault = "authorisation"
