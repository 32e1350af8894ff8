"""The directory as the ledger keeps it: items by kind and name, each from one version on and up to another.

Whoever changes it holds the door: between two events one version stands, and everybody accepts by that one. What began
and ended says itself who was connected, with which rights, when an event was accepted.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import delete, insert, or_, select, update

from bus.ledger import Transaction
from bus.tables import events
from hub.storage.tables import directory_items, directory_versions

TENANT, CONNECTION, PROCEDURE, GRANT, WEBHOOK = "tenant", "connection", "procedure", "grant", "webhook"
OF_FILES = (TENANT, CONNECTION, PROCEDURE, GRANT)
"""The kinds that the settings files declare; webhooks are made by their clients."""

Key = tuple[str, str]
Items = Mapping[Key, Any]
"""By kind and name, the body of an item: JSON, without any secret."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The items of one version. `since`: since which version each is as it is; `began`: the last event before it began
    to stand without a break, 0 for one that stood before the first version."""

    items: Items
    since: Mapping[Key, int] = field(default_factory=dict)
    began: Mapping[Key, int] = field(default_factory=dict)


def read_items(tx: Transaction, version: int) -> Items:
    """The items of one version."""
    return read_standing(tx, version).items


def read_standing(tx: Transaction, version: int) -> Standing:
    until = directory_items.c.until_version
    standing = or_(until.is_(None), until > version)
    query = select(directory_items).where(directory_items.c.since_version <= version, standing)
    rows = {(row.kind, row.name): row for row in tx.sql.execute(query)}
    return Standing(
        {key: orjson.loads(row.body) for key, row in rows.items()},
        {key: row.since_version for key, row in rows.items()},
        {key: row.began_seq for key, row in rows.items()},
    )


def differences(before: Items, after: Items) -> dict[Key, Any]:
    """What must change for `before` to become `after`: the new body of each item, None for one that goes."""
    changed = {key: body for key, body in after.items() if key not in before or before[key] != body}
    return changed | dict.fromkeys(key for key in before if key not in after)


def write_version(tx: Transaction, changes: Items, *, by: str, digest: str | None = None) -> int:
    """A new version with these changes (None ends an item), under the lock of the door; its number. `by`: who changes
    it; `digest`: of the files that do. What each connection gets from now on starts with the next event, and who does
    not get a type any more starts anew another time."""
    tx.hold_door()
    standing, begins = read_standing(tx, tx.directory), tx.last_number if tx.directory else 0
    version = tx.next_directory()
    for (kind, name), body in changes.items():
        types, had = _types(kind, body), _types(kind, standing.items.get((kind, name)))
        if had - types:
            tx.unsubscribe(name, had - types)
        tx.subscribe({name: sorted(types)})
    for kind, name in changes:
        item = directory_items.c
        ends = update(directory_items).where(item.kind == kind, item.name == name, item.until_version.is_(None))
        tx.sql.execute(ends.values(until_version=version))
    rows = [
        {"kind": kind, "name": name, "since_version": version, "began_seq": standing.began.get((kind, name), begins),
         "body": _encoded(body)}
        for (kind, name), body in changes.items() if body is not None
    ]  # fmt: skip
    if rows:
        tx.sql.execute(insert(directory_items), rows)
    made = {"version": version, "at": tx.now, "by": by[:128], "host": socket.gethostname()[:128], "digest": digest}
    tx.sql.execute(insert(directory_versions), [made])
    return version


def _types(kind: str, body: Any) -> set[str]:
    """The event types that an item gets."""
    if body is None or kind not in (CONNECTION, WEBHOOK):
        return set()
    return set(body["routing"]["consumes"]) if kind == CONNECTION else set(body["types"])


def was_loaded(tx: Transaction, digest: str) -> bool:
    """Whether files of this content made a version before."""
    query = select(directory_versions.c.version).where(directory_versions.c.digest == digest).limit(1)
    return tx.sql.execute(query).first() is not None


def digest_standing(tx: Transaction) -> str | None:
    """Of the files that made what stands of theirs; None before any did."""
    made_of = directory_versions.c.digest
    query = select(made_of).where(made_of.is_not(None)).order_by(directory_versions.c.version.desc()).limit(1)
    return tx.sql.execute(query).scalar()


def forget_versions(tx: Transaction) -> int:
    """Forget the items and versions that no kept event was routed by; how many items. Files that were loaded once stay
    known by the digest of the last version that they made."""
    first = tx.sql.execute(select(events.c.directory).order_by(events.c.seq).limit(1)).first()
    oldest = first.directory if first is not None else tx.directory
    if not oldest:  # events from before the directory are still kept
        return 0
    gone = delete(directory_items).where(directory_items.c.until_version <= oldest)
    number = tx.sql.execute(gone).rowcount
    old = (directory_versions.c.version < oldest, directory_versions.c.digest.is_(None))
    tx.sql.execute(delete(directory_versions).where(*old))
    return int(number)


def _encoded(body: Any) -> str:
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()
