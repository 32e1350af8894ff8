"""Webhooks that clients asked for: each is a connection of its own, spoken by the `webhook` connector."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import delete, func, insert, select, update

from bus.ledger import Ledger, Transaction
from bus.tables import OPEN, deliveries
from hub.settings.model import HubSettings
from hub.storage.cipher import BodyCipher
from hub.storage.directory_items import WEBHOOK, Key, differences, read_items, write_version
from hub.storage.tables import clients, webhooks
from schemas.errors import InvalidMessage
from schemas.secret import Secret

KEYS = "webhooks"  # the counter of changes of webhooks, their keys among them
MOST = 20  # of one client
# What tells how the hub does, and not of the client's own requests, wants the right to read its figures.
SCOPES_OF_TYPES: Mapping[str, str] = {"trouble.changed": "metrics:read"}
_KEYS_KEPT = 2  # the new key and the one before: receivers change over while both sign


@dataclass(frozen=True, slots=True)
class Webhook:
    """`keys`: signing secrets as Standard Webhooks write them (`whsec_…`), newest first. `types`: what its client asked
    for; `allowed_types`: what of it that client may hear."""

    id: str
    tenant: str
    client: str
    url: str
    types: tuple[str, ...]
    keys: tuple[str, ...]
    thin: bool
    scopes: frozenset[str] = frozenset()  # of its client

    @property
    def allowed_types(self) -> tuple[str, ...]:
        return tuple(one for one in self.types if SCOPES_OF_TYPES.get(one) in (None, *self.scopes))

    @property
    def connection(self) -> str:
        return f"{self.tenant}.webhook-{self.id}"

    def settings(self, hub: HubSettings) -> Mapping[str, Any]:
        """What the `webhook` connector needs."""
        return {
            "url": self.url, "signing_keys": [Secret(key) for key in self.keys], "types": list(self.types),
            "thin": self.thin, "timeout_seconds": 20,
            "allow_insecure": hub.mode == "development", "public_url": hub.public_url,
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """What its client may read again; the keys are shown once, when made."""
        return {"id": self.id, "url": self.url, "types": list(self.types), "thin": self.thin}


def new_key() -> str:
    """A symmetric signing secret of 32 random bytes (Standard Webhooks)."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def add(
    ledger: Ledger, key: Secret | None, *, tenant: str, client: str, url: str, types: Sequence[str], thin: bool
) -> Webhook:
    """Raises InvalidMessage `too_many_webhooks`, also to those who make theirs at the same moment."""
    hook = Webhook(
        id=str(uuid.uuid4()), tenant=tenant, client=client, url=url, types=tuple(types), keys=(new_key(),), thin=thin,
    )  # fmt: skip
    with ledger.transaction() as tx:
        tx.sql.execute(select(clients.c.id).where(clients.c.id == client).with_for_update())  # one after the other
        mine = select(func.count()).select_from(webhooks).where(webhooks.c.client_id == client)
        if tx.sql.execute(mine).scalar_one() >= MOST:
            raise InvalidMessage(f"at most {MOST}", code="too_many_webhooks")
        tx.sql.execute(insert(webhooks), [{
            "id": hook.id, "tenant": tenant, "client_id": client, "url": url, "types": " ".join(types),
            "keys": _sealed(key, hook.id, hook.keys), "thin": int(thin), "created_at": tx.now,
        }])  # fmt: skip
        enter_in_directory(tx, by=f"client:{client}")
    return hook


def rotate(ledger: Ledger, key: Secret | None, hook: Webhook) -> str:
    """A new signing key; the one before goes on signing beside it until the next change."""
    keys = (new_key(), *hook.keys)[:_KEYS_KEPT]
    with ledger.transaction() as tx:
        sealed = _sealed(key, hook.id, keys)
        tx.sql.execute(update(webhooks).where(webhooks.c.id == hook.id).values(keys=sealed))
        count_change(tx)
    return keys[0]


def remove(ledger: Ledger, hook: Webhook) -> None:
    with ledger.transaction() as tx:
        tx.sql.execute(delete(webhooks).where(webhooks.c.id == hook.id))
        enter_in_directory(tx, by=f"client:{hook.client}")
        tx.abandon(hook.connection, "webhook supprimé par son client")


def abandon_webhooks(tx: Transaction, client: str) -> list[tuple[str, int]]:
    """The webhooks of a client that was disabled hear nothing more, not even what was on its way: those deliveries,
    each as connection and number."""
    enter_in_directory(tx, by=f"client:{client}")
    given_up = []
    for row in tx.sql.execute(select(webhooks).where(webhooks.c.client_id == client)).all():
        connection = f"{row.tenant}.webhook-{row.id}"
        waiting = select(deliveries.c.seq).where(deliveries.c.connection == connection, deliveries.c.state.in_(OPEN))
        given_up += [(connection, seq) for seq in tx.sql.execute(waiting).scalars()]
        tx.abandon(connection, "client désactivé")
    return given_up


def items_of(tx: Transaction) -> dict[Key, Any]:
    """The webhooks of all clients that are not disabled, as items of the directory: what each of them may hear."""
    owner = webhooks.outerjoin(clients, clients.c.id == webhooks.c.client_id)
    able = func.coalesce(clients.c.disabled, 0) == 0
    rows = tx.sql.execute(select(webhooks, clients.c.scopes).select_from(owner).where(able))
    hooks = (_webhook(row, ()) for row in rows)
    return {
        (WEBHOOK, one.connection): {"tenant": one.tenant, "client": one.client, "types": list(one.allowed_types)}
        for one in hooks
    }


def enter_in_directory(tx: Transaction, *, by: str) -> None:
    """Make the directory say what the webhooks are now, in the commit of what changed them: from it on each event has a
    delivery for them, whoever accepts it. Where there is no directory yet, its first version will."""
    tx.hold_door()
    if tx.directory:
        before = {key: body for key, body in read_items(tx, tx.directory).items() if key[0] == WEBHOOK}
        if changes := differences(before, items_of(tx)):
            write_version(tx, changes, by=by)
    count_change(tx)


def list_webhooks(
    ledger: Ledger, key: Secret | None, *, tenant: str | None = None, client: str | None = None
) -> list[Webhook]:
    owner = webhooks.outerjoin(clients, clients.c.id == webhooks.c.client_id)
    query = select(webhooks, clients.c.scopes).select_from(owner).where(func.coalesce(clients.c.disabled, 0) == 0)
    query = query.order_by(webhooks.c.created_at)
    if tenant is not None:
        query = query.where(webhooks.c.tenant == tenant)
    if client is not None:
        query = query.where(webhooks.c.client_id == client)
    with ledger.reading() as tx:
        rows = list(tx.sql.execute(query))
    return [_webhook(row, _opened(key, row.id, row.keys)) for row in rows]


def _webhook(row: Any, keys: tuple[str, ...]) -> Webhook:
    return Webhook(
        id=row.id, tenant=row.tenant, client=row.client_id, url=row.url, types=tuple(row.types.split()), keys=keys,
        thin=bool(row.thin), scopes=frozenset((row.scopes or "").split()),
    )  # fmt: skip


def count_change(tx: Transaction) -> None:
    """Make every process read its connections again."""
    tx.count_up(KEYS)


def _sealed(key: Secret | None, hook_id: str, keys: Sequence[str]) -> bytes:
    plain = orjson.dumps(list(keys))
    return BodyCipher(key).encrypt(plain, f"webhook:{hook_id}".encode()) if key else plain


def _opened(key: Secret | None, hook_id: str, sealed: bytes) -> tuple[str, ...]:
    plain = BodyCipher(key).decrypt(sealed, f"webhook:{hook_id}".encode()) if key else sealed
    return tuple(orjson.loads(plain))
