"""Who speaks, and what it may publish."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Who speaks. `name` is `tenant.connection` or `tenant.client`. `types`: the event types it may publish, `*` for
    all; `sources`: prefixes that its events' `source` must be under; `internal`: the hub itself, which alone may speak
    of its own operation; `connection`: a connection of the hub, whose connector keeps documents for its tenant.
    `system`: its own name space of identifiers, named as it is itself unless told otherwise; `others`: those for which
    its declaration says that it speaks, too; `by_grant`: it speaks for a signed-in person of the request, by a grant
    that was looked at before; `unlimited`: by an operator's word it may open any number of questions about people;
    `skips_unknown`: what it says of a request that the hub does not know is nobody's loss; `client`: the id of the
    client that speaks as a connection."""

    name: str
    tenant: str
    types: frozenset[str]
    sources: tuple[str, ...]
    internal: bool = False
    connection: bool = False
    system: str = ""
    others: frozenset[str] = frozenset()
    by_grant: bool = False
    unlimited: bool = False
    skips_unknown: bool = False
    client: str = ""

    def speaks_for(self, system: str) -> bool:
        """Whether it may bind an identifier of this system. By any other it may find, and no more (design, promise
        10)."""
        own = self.system or self.name.partition(".")[2]
        return self.internal or system == own or system in self.others

    @staticmethod
    def hub(tenant: str) -> Origin:
        return Origin(f"{tenant}.hub", tenant, frozenset({"*"}), (f"/{tenant}/hub",), internal=True)
