"""Who speaks, and what it may publish."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Who speaks. `name` is `tenant.connection` or `tenant.client`. `types`: the event types it may publish, `*` for
    all; `sources`: prefixes that its events' `source` must be under; `internal`: the hub itself, which alone may speak
    of its own operation; `connection`: a connection of the hub, whose connector keeps documents for its tenant."""

    name: str
    tenant: str
    types: frozenset[str]
    sources: tuple[str, ...]
    internal: bool = False
    connection: bool = False

    @staticmethod
    def hub(tenant: str) -> Origin:
        return Origin(f"{tenant}.hub", tenant, frozenset({"*"}), (f"/{tenant}/hub",), internal=True)
