"""Clients: the programs that may call the hub, each bound to one tenant.

A client has a secret (kept as a hash), or public keys for `private_key_jwt`, and perhaps a broker user. A secret that
was replaced may be taken beside the new one until a stated time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import insert, select, update

from bus.ledger import Ledger, Transaction
from hub.clients import webhooks
from hub.clients.origin import Origin
from hub.storage.tables import clients
from schemas.errors import ConfigError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_SYSTEM = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
SCOPES = (
    "events:write", "requests:read", "requests:write", "documents:read", "documents:write", "webhooks:write",
    "deliveries:read", "exchanges:write", "exchanges:read", "citizens:read", "metrics:read",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Client:
    """One client. `origin` says under which name and sources its events are accepted: `/<tenant>/<id>`. The secret
    before the last rotation is taken until `old_secret_until`; a token issued before `tokens_from` is not."""

    id: str
    tenant: str
    label: str
    scopes: frozenset[str]
    types: frozenset[str]
    secret_hash: str | None = None
    jwks: dict[str, Any] | None = None
    broker_user: str | None = None
    disabled: bool = False
    speaks_for: frozenset[str] = frozenset()
    old_secret_hash: str | None = None
    old_secret_until: float | None = None
    tokens_from: float = 0.0

    @property
    def origin(self) -> Origin:
        return Origin(
            f"{self.tenant}.{self.id}", self.tenant, self.types, (f"/{self.tenant}/{self.id}",), system=self.id,
            others=self.speaks_for,
        )  # fmt: skip

    def has_secret(self, secret: str, now: float) -> bool:
        """Whether this is a secret of the client; takes the same time either way."""
        given = hash_secret(secret)
        nobodys = hash_secret(secrets.token_hex(8))
        is_new = hmac.compare_digest(given, self.secret_hash or nobodys)
        is_old = hmac.compare_digest(given, self.old_secret_hash or nobodys)
        return is_new or (is_old and now < (self.old_secret_until or 0.0))

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id, "tenant": self.tenant, "label": self.label, "scopes": sorted(self.scopes),
            "types": sorted(self.types), "speaks_for": [self.id, *sorted(self.speaks_for)],
            "broker_user": self.broker_user, "disabled": self.disabled,
            "authentication": "private_key_jwt" if self.jwks else "client_secret",
        }  # fmt: skip


def hash_secret(secret: str) -> str:
    """Secrets are 256 random bits of our own making: a plain digest is enough, a slow one would only cost time."""
    return hashlib.sha256(secret.encode()).hexdigest()


def add(
    ledger: Ledger, *, client_id: str, tenant: str, label: str, scopes: Sequence[str], types: Sequence[str] = (),
    jwks: dict[str, Any] | None = None, broker_user: str | None = None, speaks_for: Sequence[str] = (),
) -> str | None:  # fmt: skip
    """Add a client; its new secret, shown this once, or None when it signs with its own key. `speaks_for`: systems
    beside its own (its id) whose identifiers it may bind.

    ConfigError when a scope is unknown, or the name is taken or not one that a source can be made of."""
    if not _NAME.fullmatch(client_id) or client_id == "hub" or client_id.startswith("webhook-"):
        raise ConfigError("lower-case letters, digits and hyphens, 41 at most; neither hub nor webhook-…", key="id")
    _check_rights(scopes, speaks_for)
    secret = None if jwks else secrets.token_urlsafe(32)
    row = {
        "id": client_id, "tenant": tenant, "label": label, "secret_hash": hash_secret(secret) if secret else None,
        "jwks": orjson.dumps(jwks).decode() if jwks else None, "scopes": " ".join(scopes), "types": " ".join(types),
        "speaks_for": " ".join(sorted(speaks_for)),
        "broker_user": broker_user, "created_at": ledger.now(), "disabled": 0,
    }  # fmt: skip
    with ledger.transaction() as tx:
        taken = select(clients.c.id).where(clients.c.broker_user == broker_user)
        if find_client(tx, client_id) is not None or (broker_user and tx.sql.execute(taken).first() is not None):
            raise ConfigError("a client of this name or broker user is already there", key="id")
        tx.sql.execute(insert(clients), [row])
    return secret


def disable(
    ledger: Ledger, client_id: str,
    given_up: Callable[[Transaction, Sequence[tuple[str, int]]], None] = lambda tx, pairs: None,
) -> bool:  # fmt: skip
    """Take all its rights from a client, and its webhooks. False when there is none of that name. `given_up` is told,
    in the same commit, of the deliveries (connection, number) that its webhooks will not get."""
    with ledger.transaction() as tx:
        values = {"disabled": 1, "tokens_from": tx.now}
        found = tx.sql.execute(update(clients).where(clients.c.id == client_id).values(values)).rowcount == 1
        if found:
            given_up(tx, webhooks.abandon_webhooks(tx, client_id))
        return found


def enable(tx: Transaction, client_id: str) -> None:
    """Give a disabled client its rights back, and its webhooks what is accepted from now on. Tokens that it had before
    stay refused."""
    tx.sql.execute(update(clients).where(clients.c.id == client_id).values(disabled=0))
    webhooks.enter_in_directory(tx, by=f"client:{client_id}")


def rotate(
    tx: Transaction, client: Client, *, keep_seconds: float = 0.0, jwks: dict[str, Any] | None = None
) -> str | None:
    """A new secret, shown this once, or None when new keys (`jwks`) were given to a client that signs with its own. The
    old secret is taken for `keep_seconds` more; with none, it and the tokens that it brought end now: what leaked is
    worth nothing.

    ConfigError when the client has no secret and no keys are given, or the other way round."""
    if (jwks is None) == (client.jwks is not None):
        need = "give its new keys by --jwks" if client.jwks else "it has no keys to replace"
        raise ConfigError(
            f"{client.id} {'signs with its own keys' if client.jwks else 'has a secret'}: {need}", key="jwks"
        )
    secret = None if jwks else secrets.token_urlsafe(32)
    values: dict[str, Any] = {
        "secret_hash": hash_secret(secret) if secret else None, "jwks": orjson.dumps(jwks).decode() if jwks else None,
        "old_secret_hash": client.secret_hash if keep_seconds else None,
        "old_secret_until": tx.now + keep_seconds if keep_seconds and client.secret_hash else None,
    }  # fmt: skip
    if not keep_seconds:
        values["tokens_from"] = tx.now
    tx.sql.execute(update(clients).where(clients.c.id == client.id).values(values))
    return secret


Change = tuple[Sequence[str], Sequence[str]]
"""What is given, and what is taken."""


def grant(
    tx: Transaction, client: Client, *, scopes: Change = ((), ()), types: Change = ((), ()),
    speaks_for: Change = ((), ()),
) -> dict[str, list[str]]:  # fmt: skip
    """Change what a client may do; what truly changed, as `+scopes`, `-types` and so on: empty when nothing did.

    ConfigError when a scope is unknown, or a system has no name of one."""
    _check_rights(scopes[0], speaks_for[0])
    before = {"scopes": client.scopes, "types": client.types, "speaks_for": client.speaks_for}
    wanted = {"scopes": scopes, "types": types, "speaks_for": speaks_for}
    after = {name: (before[name] | set(given)) - set(taken) for name, (given, taken) in wanted.items()}
    changed = {}
    for name in before:
        for sign, names in (("+", after[name] - before[name]), ("-", before[name] - after[name])):
            if names:
                changed[sign + name] = sorted(names)
    if changed:
        values = {name: " ".join(sorted(names)) for name, names in after.items()}
        tx.sql.execute(update(clients).where(clients.c.id == client.id).values(values))
        webhooks.enter_in_directory(tx, by=f"client:{client.id}")  # what its webhooks may hear hangs on its scopes
    return changed


def find_client(tx: Transaction, client_id: str) -> Client | None:
    return _client(tx.sql.execute(select(clients).where(clients.c.id == client_id)).first())


def by_broker_user(tx: Transaction, user: str) -> Client | None:
    """The enabled client of a broker user."""
    row = tx.sql.execute(select(clients).where(clients.c.broker_user == user, clients.c.disabled == 0)).first()
    return _client(row)


def broker_users(tx: Transaction) -> list[str]:
    query = select(clients.c.broker_user).where(clients.c.broker_user.is_not(None), clients.c.disabled == 0)
    return [row.broker_user for row in tx.sql.execute(query)]


def list_clients(tx: Transaction) -> list[Client]:
    found = (_client(row) for row in tx.sql.execute(select(clients).order_by(clients.c.id)))
    return [client for client in found if client is not None]


def _client(row: Any) -> Client | None:
    if row is None:
        return None
    return Client(
        id=row.id, tenant=row.tenant, label=row.label, scopes=frozenset(row.scopes.split()),
        types=frozenset(row.types.split()), secret_hash=row.secret_hash,
        jwks=orjson.loads(row.jwks) if row.jwks else None, broker_user=row.broker_user, disabled=bool(row.disabled),
        speaks_for=frozenset((row.speaks_for or "").split()), old_secret_hash=row.old_secret_hash,
        old_secret_until=row.old_secret_until, tokens_from=row.tokens_from or 0.0,
    )  # fmt: skip


def _check_rights(scopes: Sequence[str], speaks_for: Sequence[str]) -> None:
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise ConfigError(f"unknown scope: {', '.join(unknown)} (known: {', '.join(SCOPES)})", key="scopes")
    if bad := sorted(one for one in speaks_for if not _SYSTEM.fullmatch(one)):
        raise ConfigError(f"no name of a system: {bad[0]}", key="speaks_for")
