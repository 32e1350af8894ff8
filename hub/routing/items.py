"""The directory as items of the ledger, and back: what is resolved there needs no file to be read by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import orjson

from hub.routing.directory import ConnectionItem, ConnectionRouting, Directory
from hub.settings.model import ConnectionSettings, Tenant
from hub.settings.plain import Unreadable, from_plain, to_plain
from hub.settings.procedures import Procedure
from hub.storage.directory_items import CONNECTION, GRANT, OF_FILES, PROCEDURE, TENANT, WEBHOOK, Items, Key, Standing
from schemas.manifest import Consumed, Manifest

_OF_FILE = ("franceconnect",)  # of a tenant: it holds a secret, and says nothing of who gets what


@dataclass(frozen=True, slots=True)
class WebhookItem:
    """A webhook of a client: the types that it hears."""

    tenant: str
    client: str
    types: tuple[str, ...]


def declared_connection(
    item: ConnectionSettings, manifest: Manifest, digest: Callable[[str, str], str]
) -> ConnectionItem:
    """A connection as the settings file and its connector declare it. `digest`: of a system and an identifier there, by
    which somebody is named in a pilot."""
    consumes = item.consumes_override if item.consumes_override is not None else manifest.consumes
    routing = ConnectionRouting(
        name=f"{item.tenant}.{item.name}", tenant=item.tenant, system=item.system, label=item.label or manifest.name,
        consumes={c.type: c for c in consumes}, procedures=item.procedures, outside=manifest.outside == "amqp",
        publishes=manifest.publishes, mode=item.mode, pilot_procedures=item.pilot_procedures,
        pilot_citizens=tuple(sorted(digest(*one) for one in item.pilot_citizens)), sector=item.sector,
        speaks_for=item.speaks_for,
        skips_unknown=manifest.unknown == "skip", household=manifest.household, pulled=manifest.outside == "pull",
        client=item.client or "",
    )  # fmt: skip
    return ConnectionItem(item.connector, routing, item.rate, item.poll_seconds, item.drift)


def items_of(
    tenants: Mapping[str, Tenant], connections: Iterable[ConnectionItem], catalogue: Mapping[str, Procedure],
    grants: Mapping[str, Any],
) -> dict[Key, Any]:  # fmt: skip
    """What files declare, as items. `grants`: by id, as JSON."""
    items: dict[Key, Any] = {(TENANT, slug): to_plain(one, without=_OF_FILE) for slug, one in tenants.items()}
    items |= {(CONNECTION, one.routing.name): to_plain(one) for one in connections}
    items |= {(PROCEDURE, slug): to_plain(one) for slug, one in catalogue.items()}
    return items | {(GRANT, name): body for name, body in grants.items()}


def digest_of(items: Items) -> str:
    """Of what files declare: the same for the same."""
    named = {f"{kind} {name}": body for (kind, name), body in items.items() if kind in OF_FILES}
    return hashlib.sha256(orjson.dumps(named, option=orjson.OPT_SORT_KEYS)).hexdigest()


def connections_of(items: Items) -> dict[str, ConnectionItem]:
    """By name, the connections that files declared. Raises Unreadable."""
    return {name: from_plain(ConnectionItem, body) for (kind, name), body in items.items() if kind == CONNECTION}


def directory_of(
    standing: Standing, version: int, *, hears: Iterable[Consumed], knows: Callable[[str], Collection[int]],
    grants: Callable[[Mapping[str, Any], Mapping[str, Tenant]], Any],
) -> Directory:  # fmt: skip
    """The directory that these items make. `hears`: what a webhook may be told; `knows`: the versions of an event type
    that are known here; `grants`: makes what clients may obtain of the items, by id. Raises Unreadable for what another
    version of the hub wrote."""
    tenants, catalogue, granted = dict[str, Tenant](), dict[str, Procedure](), dict[str, Any]()
    hooks = dict[str, WebhookItem]()
    items = standing.items
    for (kind, name), body in items.items():
        if kind == TENANT:
            tenants[name] = from_plain(Tenant, body)
        elif kind == PROCEDURE:
            catalogue[name] = from_plain(Procedure, body)
        elif kind == GRANT:
            granted[name] = body
        elif kind == WEBHOOK:
            hooks[name] = from_plain(WebhookItem, body)
        elif kind != CONNECTION:
            raise Unreadable(f"items of the kind {kind}")
    declared = connections_of(items)
    members = [one.routing for one in declared.values()]
    told = {one.type: one for one in hears}
    speaking = {(one.tenant, one.client): one.name for one in members if one.client}
    members += [
        _webhook(name, one, told, speaking.get((one.tenant, one.client)))
        for name, one in hooks.items() if one.tenant in tenants
    ]  # fmt: skip
    _check(members, tenants, knows)
    since, began = (
        {name: number for (kind, name), number in numbers.items() if kind in (CONNECTION, WEBHOOK)}
        for numbers in (standing.since, standing.began)
    )
    return Directory(
        members, catalogue, tenants, version=version, since=since, began=began, grants=grants(granted, tenants),
        declared=declared,
    )  # fmt: skip


def _webhook(name: str, hook: WebhookItem, told: Mapping[str, Consumed], speaks_as: str | None) -> ConnectionRouting:
    """`speaks_as`: the connection that its client is, where it is one."""
    own = f"{hook.tenant}.{hook.client}"
    return ConnectionRouting(
        name=name, tenant=hook.tenant, system=name, label=f"Webhook de {hook.client}",
        consumes={one: told[one] for one in hook.types if one in told},
        holds=(own,) if speaks_as is None else (speaks_as, own),
    )  # fmt: skip


def _check(
    members: Iterable[ConnectionRouting], tenants: Mapping[str, Tenant], knows: Callable[[str], Collection[int]]
) -> None:
    for slug, tenant in tenants.items():
        try:
            bool(tenant.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise Unreadable(f"the time zone of {slug}") from None
    for member in members:
        if member.tenant not in tenants:
            raise Unreadable(f"{member.name}, of no tenant")
        for consumed in member.consumes.values():
            if consumed.version not in knows(consumed.type):
                raise Unreadable(f"{member.name} reads {consumed.type} v{consumed.version}")
