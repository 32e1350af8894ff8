"""The root key, from which all other keys are derived. It stands in `root_keys`, wrapped under `encryption_key`: that
one can be changed, and nothing that was derived changes.

A new database gets a random root key. In one from before there was any, it is the `encryption_key` of then.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from typing import Any

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Row, select, update

from bus.ledger import Ledger, Transaction
from bus.sql import Insert
from bus.tables import events
from hub.storage.cipher import BodyCipher, decrypt_bytes, derive_key, encrypt_bytes
from hub.storage.person_keys import PURPOSE, PersonKeys
from hub.storage.tables import person_keys, root_keys, webhooks
from schemas.errors import ConfigError
from schemas.secret import Secret

_KEY = "encryption_key"
_CONTEXT = b"root-key:1"
_ONLY = 1
# DO NOTHING waits for whoever makes the first root key at this moment; reading again then finds theirs.
_MAKE = Insert(root_keys, conflict="DO NOTHING")
_log = structlog.get_logger()


class WrongKey(ConfigError):
    """Neither `encryption_key` nor `next_encryption_key` opens the root key."""

    def __init__(self, wanted: str, given: Sequence[Secret]) -> None:
        names = ", ".join(map(key_name, given))
        super().__init__(
            f"the root key of this database is wrapped under another key (named {wanted}, given {names}): after "
            "`unefois key rotate` the new key opens it, in a backup the key of its day", key=_KEY,
        )  # fmt: skip


def key_name(key: Secret) -> str:
    """Tells one `encryption_key` from another, and nothing else of it."""
    return derive_key(key, "unefois name of a key")[:4].hex()


def open_root_key(ledger: Ledger, key: Secret | None, following: Secret | None = None) -> Secret | None:
    """The root key, in base64 as `key` is. Made or taken over at the first call for a database; of several at once, one
    makes it. None without a `key`, as in development.

    Raises WrongKey, and ConfigError when the key is missing, or is another one than what is there was sealed with; then
    nothing was written."""
    with ledger.reading() as tx:
        row = _read(tx)
    if key is None:
        if row is not None and row.wrapped is not None:
            raise ConfigError(f"missing: it wraps the root key of this database (named {row.wrapped_by})", key=_KEY)
        return None
    if row is None or row.wrapped is None:
        with ledger.transaction() as tx:
            row = _first_wrapping(tx, key)
    given = [one for one in (key, following) if one is not None]
    for one in given:
        if (root := _unwrap(row, one)) is not None:
            if one is not key:
                _log.warning("root key opened by next_encryption_key: put it in the place of encryption_key")
            return root
    raise WrongKey(row.wrapped_by, given)


def rewrap(tx: Transaction, key: Secret, following: Secret) -> bool:
    """Wrap the root key under `following` from the commit on. False when it is so already. Raises WrongKey unless one
    of them opens it."""
    row = _read(tx, lock=True)
    if row is None or row.wrapped is None:
        row = _first_wrapping(tx, key)
    if _unwrap(row, following) is not None:
        return False
    root = _unwrap(row, key)
    if root is None:
        raise WrongKey(row.wrapped_by, [key, following])
    tx.sql.execute(update(root_keys).values(_wrap(root, following, tx.now)))
    return True


def wrapping(ledger: Ledger) -> tuple[str, float] | None:
    """The name of the key under which the root key is wrapped, and since when. None where it is not wrapped yet."""
    with ledger.reading() as tx:
        row = _read(tx)
    return None if row is None or row.wrapped is None else (row.wrapped_by, row.at)


def _read(tx: Transaction, *, lock: bool = False) -> Row[Any] | None:
    query = select(root_keys).where(root_keys.c.id == _ONLY)
    return tx.sql.execute(query.with_for_update() if lock else query).first()


def _first_wrapping(tx: Transaction, key: Secret) -> Row[Any]:
    row = _read(tx, lock=True)
    if row is None:
        root = Secret(base64.b64encode(secrets.token_bytes(32)).decode())
        _check_opens(tx, root, "this database was filled without this root key: take `root_keys` from its backup too")
        _MAKE.run(tx.sql, [{"id": _ONLY, **_wrap(root, key, tx.now)}])
    elif row.wrapped is None:
        _check_opens(tx, key, "what this database holds was not sealed with this key: give the one that it had")
        tx.sql.execute(update(root_keys).values(_wrap(key, key, tx.now)))
    found = _read(tx)
    assert found is not None
    return found


def _check_opens(tx: Transaction, root: Secret, otherwise: str) -> None:
    """Try the newest of each kind: a database that a wrong key took over would be lost to the right one."""
    person = tx.sql.execute(
        select(person_keys).where(person_keys.c.wrapped.is_not(None)).order_by(person_keys.c.at.desc()).limit(1)
    ).first()
    event = tx.sql.execute(select(events.c.seq, events.c.data).order_by(events.c.seq.desc()).limit(1)).first()
    hook = tx.sql.execute(select(webhooks).order_by(webhooks.c.created_at.desc()).limit(1)).first()
    bodies = BodyCipher(root)
    try:
        if person is not None:
            PersonKeys(derive_key(root, PURPOSE)).check(person.citizen_id, bytes(person.wrapped))
        if event is not None:
            bodies.decrypt(bytes(event.data), f"event:{event.seq}".encode())
        if hook is not None:
            bodies.decrypt(bytes(hook.keys), f"webhook:{hook.id}".encode())
    except ConfigError:
        raise ConfigError(otherwise, key=_KEY) from None


def _wrap(root: Secret, key: Secret, now: float) -> dict[str, Any]:
    sealed = encrypt_bytes(_wrapper(key), base64.b64decode(root.reveal()), _CONTEXT)
    return {"wrapped": sealed, "wrapped_by": key_name(key), "at": now}


def _unwrap(row: Row[Any], key: Secret) -> Secret | None:
    try:
        return Secret(base64.b64encode(decrypt_bytes(_wrapper(key), bytes(row.wrapped), _CONTEXT)).decode())
    except InvalidTag:
        return None


def _wrapper(key: Secret) -> AESGCM:
    return AESGCM(derive_key(key, "unefois root key"))
