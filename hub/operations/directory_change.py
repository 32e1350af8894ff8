"""The directory changed as files declare it: all or nothing, under the door's lock, together with what hangs on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bus.ledger import Ledger, Transaction
from hub.acceptance.kept_calls import drop_calls, room_of
from hub.acceptance.observed import forget_connections, note_modes
from hub.citizens.catch_ups import note_granted
from hub.clients import webhooks
from hub.journal.entries import Entry, Journal
from hub.operations.household_numbers import settle_households_in
from hub.routing.directory import Directory
from hub.routing.items import digest_of
from hub.storage.directory_items import (
    CONNECTION,
    GRANT,
    OF_FILES,
    TENANT,
    Items,
    Key,
    differences,
    read_items,
    write_version,
)
from schemas.errors import ConfigError

REMOVED = "raccordement retiré"


class StillOpen(ConfigError):
    """Connections would go that still have deliveries without an end, or calls that were kept while they observed:
    nothing is changed. `open`: how many, by name."""

    def __init__(self, open_: Mapping[str, int]) -> None:
        named = ", ".join(f"{name} ({number})" for name, number in sorted(open_.items()))
        super().__init__(
            f"these would be removed, and deliveries to them, or calls kept of them, are open: {named}; name each with"
            " --remove to give them up", key="connections",
        )  # fmt: skip
        self.open = open_


@dataclass(frozen=True, slots=True)
class DirectoryChange:
    """What files change. `version`: that of the directory now; `written`: whether it is a new one. By kind and name,
    as `connection saint-aubin.koha`: what was `added`, `changed` and `removed`."""

    version: int
    written: bool = False
    added: Sequence[str] = ()
    changed: Sequence[str] = ()
    removed: Sequence[str] = ()
    given_up: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "version": self.version, "written": self.written, "added": list(self.added), "changed": list(self.changed),
            "removed": list(self.removed), "given_up": dict(self.given_up),
        }  # fmt: skip


def load_directory(
    ledger: Ledger, journal: Journal, declared: Items, build: Callable[[Items, int], Directory], *, by: str,
    remove: Collection[str] = (), dry_run: bool = False, when: Callable[[Transaction], bool] = lambda tx: True,
) -> DirectoryChange:  # fmt: skip
    """Make the directory what files declare: a new version, or none where nothing differs. `build` makes the directory
    of items, and raises for what cannot be one. `remove`: connections of which open deliveries and kept calls are given
    up; `when` says, under the lock, whether to do it at all. A connection of the same name that is added later is
    another: of one that goes, nothing is kept that would be taken for its own.

    Raises StillOpen, and ConfigError for a name of `remove` that does not go: then nothing is changed."""
    with ledger.transaction() as tx:
        tx.hold_door()
        standing = read_items(tx, tx.directory) if tx.directory else webhooks.items_of(tx)
        before = {key: body for key, body in standing.items() if key[0] in OF_FILES}
        changes = differences(before, declared)
        found = _described(tx.directory, before, changes)
        gone = [name for (kind, name), body in changes.items() if kind == CONNECTION and body is None]
        open_ = {name: number for name in gone if (number := tx.open_number(name) + room_of(tx, name).calls)}
        _refuse(gone, open_, remove)
        after = {**{key: body for key, body in standing.items() if key[0] not in OF_FILES}, **declared}
        directory = build(after, tx.directory + 1)
        if dry_run or not changes or not when(tx):
            return found
        hooks = {} if tx.directory else standing
        version = write_version(tx, {**changes, **hooks}, by=by, digest=digest_of(declared))
        for name in open_:
            tx.abandon(name, REMOVED)
            drop_calls(tx, name)
        forget_connections(tx, gone)
        note_modes(tx, {name: one.mode for name, one in directory.connections.items()})
        settle_households_in(tx, directory, journal)
        note_granted(tx, directory.granted_of_people())
        if before:  # the first version is no change of anything
            journal.write(tx, *_lines(directory, version, before, changes, by))
        return DirectoryChange(version, True, found.added, found.changed, found.removed, open_)


def _refuse(gone: Collection[str], open_: Mapping[str, int], remove: Collection[str]) -> None:
    if unknown := sorted(set(remove) - set(gone)):
        raise ConfigError(f"{unknown[0]} is not one that goes", key="remove")
    if left := {name: number for name, number in open_.items() if name not in remove}:
        raise StillOpen(left)


def _described(version: int, before: Items, changes: Items) -> DirectoryChange:
    added = sorted(" ".join(key) for key, body in changes.items() if body is not None and key not in before)
    changed = sorted(" ".join(key) for key, body in changes.items() if body is not None and key in before)
    removed = sorted(" ".join(key) for key, body in changes.items() if body is None)
    return DirectoryChange(version, False, added, changed, removed)


def _lines(directory: Directory, version: int, before: Items, changes: Items, by: str) -> list[Entry]:
    """A line of the journal for each tenant that it concerns: procedures concern them all."""
    tenants = sorted(directory.tenants.keys() | {name for kind, name in changes if kind == TENANT})
    lines = []
    for tenant in tenants:
        mine = sorted(" ".join(key) for key, body in changes.items() if _concerns(key, body or before[key], tenant))
        if mine:
            facts = {"version": version, "items": mine[:100], "number": len(mine)}
            lines.append(Entry(tenant, "operator", "directory.changed", by, "done", facts=facts))
    return lines


def _concerns(key: Key, body: Any, tenant: str) -> bool:
    kind, name = key
    if kind == TENANT:
        return name == tenant
    if kind == CONNECTION:
        return name.partition(".")[0] == tenant
    return kind != GRANT or tenant in (body.get("tenant"), body.get("of_tenant"))
