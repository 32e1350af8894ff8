"""A key for each person: what is sealed under it can be read for as long as the key exists, and never again after.

Erasing somebody where rows must stay (the journal, a backup) is to destroy their key. The keys stand in `person_keys`,
each wrapped under one key that is derived from the root key.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bus.ledger import Transaction
from bus.sql import Insert, Statement
from hub.storage.cipher import decrypt_bytes, encrypt_bytes
from hub.storage.tables import person_keys
from schemas.errors import ConfigError, HubError

PURPOSE = "unefois person keys"  # of the key that wraps them
_NONCE = 12
_WRAPPED = b"person-key:"  # with the citizen's id: a wrapped key that is moved to another row does not open

_READ = Statement("SELECT citizen_id, wrapped FROM person_keys WHERE citizen_id {ids:text}")
# DO NOTHING waits for whoever makes the same key at this moment; reading again then finds theirs.
_MAKE = Insert(person_keys, conflict="DO NOTHING")
_DESTROY = Insert(person_keys, conflict="(citizen_id) DO UPDATE SET wrapped = excluded.wrapped, at = excluded.at")

Item = tuple[str, bytes, bytes]
"""A citizen's id, the bytes, and their context."""


class KeyDestroyed(HubError):
    """This person was erased: nothing is sealed for them any more."""

    code = "key_destroyed"

    def __init__(self) -> None:
        super().__init__("the key of this person was destroyed: nothing more may be kept about them under this id")


class PersonKey:
    """The key of one person, unwrapped."""

    def __init__(self, aead: AESGCM) -> None:
        self._aead = aead

    def seal(self, plain: bytes, context: bytes) -> bytes:
        return encrypt_bytes(self._aead, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Raises ConfigError when it is not what was sealed there."""
        try:
            return decrypt_bytes(self._aead, sealed, context)
        except InvalidTag:
            raise ConfigError("what was sealed for a person does not open here", key="encryption_key") from None


class PersonKeys:
    """Seals and opens for one person (AES-256-GCM). `master`: 32 bytes that wrap every key.

    `context` is authenticated: what is sealed for one place does not open at another. No key is kept in memory, so that
    a destroyed one is gone for every process at once."""

    def __init__(self, master: bytes) -> None:
        self._master = AESGCM(master)

    def seal(self, tx: Transaction, citizen_id: str, plain: bytes, context: bytes) -> bytes:
        """Encrypt under the person's key, which is made at first use. Raises KeyDestroyed for who was erased."""
        return self.seal_many(tx, [(citizen_id, plain, context)])[0]

    def open(self, tx: Transaction, citizen_id: str, sealed: bytes, context: bytes) -> bytes | None:
        """What was sealed; None once the person's key was destroyed. Raises ConfigError when it is not what was sealed
        there, or `encryption_key` is another one."""
        return self.open_many(tx, [(citizen_id, sealed, context)])[0]

    def seal_many(self, tx: Transaction, items: Sequence[Item]) -> list[bytes]:
        """As `seal`, in the order of the items, for one statement in all (two where somebody gets their first key)."""
        if not items:
            return []
        keys = self._keys(tx, {citizen_id for citizen_id, _, _ in items})
        return [keys[citizen_id].seal(plain, context) for citizen_id, plain, context in items]

    def open_many(self, tx: Transaction, items: Sequence[Item]) -> list[bytes | None]:
        """As `open`, in the order of the items, for one statement in all."""
        if not items:
            return []
        wrapped = _read(tx, {citizen_id for citizen_id, _, _ in items})
        keys = {citizen_id: self.key_of(citizen_id, key) for citizen_id, key in wrapped.items() if key is not None}
        return [
            keys[citizen_id].open(sealed, context) if citizen_id in keys else None
            for citizen_id, sealed, context in items
        ]

    def key_of(self, citizen_id: str, wrapped: bytes) -> PersonKey:
        """For a caller who read `person_keys.wrapped` of the person together with what was sealed. Not to be kept: the
        person may be erased. Raises ConfigError as `open` does."""
        return PersonKey(AESGCM(self._plain(citizen_id, wrapped)))

    def wrapped(self, tx: Transaction, ids: Collection[str]) -> Mapping[str, bytes | None]:
        """The wrapped key of each of these people, for `key_of`, made at first use; None for who was erased."""
        return self._wrapped(tx, ids)

    def check(self, citizen_id: str, wrapped: bytes) -> None:
        """Raises ConfigError when this key of a person does not open."""
        self.key_of(citizen_id, wrapped)

    def destroy(self, tx: Transaction, citizen_id: str) -> bool:
        """Make all that was sealed for this person unreadable for ever, and refuse to seal more. False when it was so
        already."""
        known = _read(tx, {citizen_id})
        _DESTROY.run(tx.sql, [{"citizen_id": citizen_id, "wrapped": None, "at": tx.now}])
        return known.get(citizen_id, b"") is not None

    def _keys(self, tx: Transaction, ids: Collection[str]) -> dict[str, PersonKey]:
        keys = {}
        for citizen_id, key in self._wrapped(tx, ids).items():
            if key is None:
                raise KeyDestroyed
            keys[citizen_id] = self.key_of(citizen_id, key)
        return keys

    def _wrapped(self, tx: Transaction, ids: Collection[str]) -> Mapping[str, bytes | None]:
        """The wrapped key of each, made where there is none."""
        wrapped = dict(_read(tx, ids))
        if missing := sorted(set(ids) - set(wrapped)):  # sorted: two who make the same keys do not wait in a circle
            made = {citizen_id: self._wrap(citizen_id) for citizen_id in missing}
            rows = [{"citizen_id": citizen_id, "wrapped": key, "at": tx.now} for citizen_id, key in made.items()]
            _MAKE.run(tx.sql, rows)
            wrapped |= _read(tx, missing)
        return wrapped

    def _wrap(self, citizen_id: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._master.encrypt(nonce, AESGCM.generate_key(256), _WRAPPED + citizen_id.encode())

    def _plain(self, citizen_id: str, wrapped: bytes) -> bytes:
        try:
            return self._master.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _WRAPPED + citizen_id.encode())
        except InvalidTag:
            raise ConfigError("the key of a person does not open with this key", key="encryption_key") from None


def _read(tx: Transaction, ids: Collection[str]) -> Mapping[str, bytes | None]:
    """The wrapped keys of those who have one; None stands for one that was destroyed."""
    rows = _READ.run(tx.sql, ids=sorted(ids))
    return {row.citizen_id: None if row.wrapped is None else bytes(row.wrapped) for row in rows}
