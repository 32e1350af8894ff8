"""Another directory for a hub of tests: the one that stands, with other connections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hub.acceptance.observed import note_modes
from hub.routing.directory import ConnectionRouting, CurrentDirectory, Directory
from hub.settings.model import Tenant
from hub.wiring import Hub


def connect(
    current: CurrentDirectory, members: Iterable[ConnectionRouting], *, tenants: Mapping[str, Tenant] | None = None
) -> None:
    """These are connected from now on, and no others; what else the directory holds stands as it is."""
    before = current.directory
    current.directory = Directory(
        members, before.catalogue, before.tenants if tenants is None else tenants, version=before.version,
        grants=before.grants, declared=before.declared,
    )  # fmt: skip


def connect_noting_modes(hub: Hub, members: Iterable[ConnectionRouting]) -> None:
    """As `connect`, with the modes noted as by a reload: what a connection observes is counted anew."""
    connect(hub.current, members)
    with hub.ledger.transaction() as tx:
        note_modes(tx, {one.name: one.mode for one in hub.current.directory.connections.values()})
    hub.observation.begin_anew()
