"""People who sign in before they look at a preview: who they must be, and what their browser holds meanwhile.

A browser goes away with one secret and comes back with it: that sign-in ends once, in that browser. It then gets
another, the key to that one preview for ten minutes. Digests of both are in the database, for all gateways.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, delete, func, insert, select, update

from bus.ledger import Ledger, Transaction
from hub.citizens.identities import People
from hub.citizens.lookup import find_citizen
from hub.clients.repository import find_client
from hub.exchanges.franceconnect import FranceConnect, SignedIn, SignIn, SignInFailed, is_whole
from hub.exchanges.previews import Preview, Previews, digest
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import preview_sign_ins
from schemas.equal_values import canonical
from schemas.errors import InvalidMessage
from schemas.identities import given_names
from schemas.secret import Secret

SECONDS = 600.0
AFTERWARDS = 60.0  # seconds for which who decided may see that they did
_AT_ONCE = 8  # people for whom FranceConnect is being asked
_MOST = 20  # sign-ins under way for one preview
_TABLE = preview_sign_ins.c


class OtherPerson(Exception):
    """Who signed in is not the person of the preview. `sign_out`: where to end their session, None if nowhere."""

    def __init__(self, sign_out: str | None) -> None:
        super().__init__()
        self.sign_out = sign_out


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is at the page of a preview that is there. `preview`: None until they have signed in. `level`: None where
    nobody has to. `id_token`: what ends their session at FranceConnect."""

    preview: Preview | None
    level: str | None = None
    id_token: Secret | None = None


class SignIns:
    """`providers`: by tenant; the people of a client of another tenant do not sign in. Safe for several threads."""

    def __init__(
        self, ledger: Ledger, previews: Previews, people: People, keys: PersonKeys,
        providers: Mapping[str, FranceConnect],
    ) -> None:  # fmt: skip
        self._ledger, self._previews, self._people, self._keys = ledger, previews, people, keys
        self._providers = providers
        self._turns = threading.BoundedSemaphore(_AT_ONCE)

    def visitor(self, tx: Transaction, token: str, secret: str | None) -> Visitor | None:
        """Who is at this address with this secret. None when there is nothing there any more."""
        preview, provider = self._found(tx, token)
        if preview is None or provider is None:
            return Visitor(preview) if preview is not None else None
        row = tx.sql.execute(select(preview_sign_ins).where(*_key_to(tx, preview, secret or ""))).first()
        if row is None:
            return Visitor(None)
        id_token = self._keys.open(tx, preview.citizen_id, bytes(row.sealed), row.id.encode())
        return Visitor(preview, row.level, Secret(id_token.decode()) if id_token else None)

    def begin(self, token: str) -> tuple[str, str] | None:
        """Where to send the browser at this address, and the secret that it takes along. None when nobody signs in
        there. Raises SignInFailed."""
        with self._ledger.reading() as tx:
            preview, provider = self._found(tx, token)
        if preview is None or provider is None:
            return None
        sign_in = SignIn(secrets.token_urlsafe(32), self._ledger.now())
        with self._turn():
            address = provider.sign_in_address(sign_in)
        with self._ledger.transaction() as tx:
            tx.sql.execute(delete(preview_sign_ins).where(_TABLE.until < tx.now))
            under_way = (_TABLE.preview_id == preview.id, _TABLE.level.is_(None))
            if tx.sql.execute(select(func.count()).where(*under_way)).scalar_one() >= _MOST:
                raise SignInFailed("too_many")
            row = {"id": digest(sign_in.secret), "preview_id": preview.id, "until": tx.now + SECONDS}
            tx.sql.execute(insert(preview_sign_ins), [row])
        return address, sign_in.secret

    def end(self, token: str, secret: str, *, state: str, code: str | None, issuer: str | None = None) -> str:
        """Whoever comes back with this state, in the browser that has this secret, signs in at the preview of this
        address; the secret that opens it. Raises SignInFailed, or OtherPerson."""
        preview, provider, sign_in = self._taken(token, secret, state)
        if code is None:
            raise SignInFailed("no_code")
        with self._turn():
            person = provider.identify(code, sign_in, self._ledger.now(), issuer=issuer)
        with self._ledger.transaction() as tx:
            if self._is_person(tx, preview, person):
                return self._open(tx, preview, person)
        raise OtherPerson(self._sign_out_address(provider, person.id_token))

    def sign_out_address(self, visitor: Visitor) -> str | None:
        """Where this visitor's session at FranceConnect is ended; None when there is none, or it is away."""
        if visitor.preview is None or visitor.id_token is None:
            return None
        with self._ledger.reading() as tx:
            client = find_client(tx, visitor.preview.client_id)
        provider = self._providers.get(client.tenant) if client is not None else None
        return self._sign_out_address(provider, visitor.id_token) if provider is not None else None

    def close(self, tx: Transaction, preview: Preview, secret: str) -> None:
        """The person decided: soon they are not signed in any more."""
        until = tx.now + AFTERWARDS
        mine = (*_key_to(tx, preview, secret), _TABLE.until > until)
        tx.sql.execute(update(preview_sign_ins).where(*mine).values(until=until))

    def _found(self, tx: Transaction, token: str) -> tuple[Preview | None, FranceConnect | None]:
        """The preview at this address, and where its person signs in."""
        preview = self._previews.find_by_token(tx, token)
        client = find_client(tx, preview.client_id) if preview is not None else None
        return (preview, self._providers.get(client.tenant)) if client is not None else (None, None)

    def _taken(self, token: str, secret: str, state: str) -> tuple[Preview, FranceConnect, SignIn]:
        """A sign-in of this browser, for this address. It is taken away: it can be ended once."""
        with self._ledger.transaction() as tx:
            mine = (_TABLE.id == digest(secret), _TABLE.level.is_(None), _TABLE.until > tx.now)
            row = tx.sql.execute(select(preview_sign_ins).where(*mine)).first()
            # Whoever deletes the row has it: of two calls at once one goes on.
            taken = tx.sql.execute(delete(preview_sign_ins).where(*mine)).rowcount if row is not None else 0
            preview, provider = self._found(tx, token)
        if row is None or not taken or preview is None or provider is None or row.preview_id != preview.id:
            raise SignInFailed("unknown_state")
        sign_in = SignIn(secret, row.until - SECONDS)
        if not hmac.compare_digest(sign_in.state.encode(), state.encode()):
            raise SignInFailed("unknown_state")
        return preview, provider, sign_in

    def _is_person(self, tx: Transaction, preview: Preview, person: SignedIn) -> bool:
        """Whether the hub would take this identity by itself for the person of the preview, and for nobody else; one
        that lacks a name, a sex or a place is theirs only where it is word for word the one that the hub knows."""
        meant = self._people.followed(tx, preview.citizen_id)
        if meant is None:
            return False
        if not is_whole(person.identity):
            kept = self._people.identities(tx, self._people.members(tx, meant)).values()
            return _said(person.identity) in (_said(one) for one in kept if one.get("birthdate"))
        try:
            found = find_citizen(
                tx, self._people, str(preview.exchange["tenant"]), identity=person.identity, references=(),
                reference=None, client_id=preview.client_id,
            )  # fmt: skip
        except InvalidMessage:
            return False
        return found.citizen_id == meant

    def _open(self, tx: Transaction, preview: Preview, person: SignedIn) -> str:
        secret = secrets.token_urlsafe(32)
        name = digest(secret)
        proof = self._keys.seal(tx, preview.citizen_id, person.id_token.reveal().encode(), name.encode())
        tx.sql.execute(insert(preview_sign_ins), [{
            "id": name, "preview_id": preview.id, "level": person.level, "sealed": proof, "until": tx.now + SECONDS,
        }])  # fmt: skip
        return secret

    def _sign_out_address(self, provider: FranceConnect, id_token: Secret) -> str | None:
        try:
            with self._turn():
                return provider.sign_out_address(id_token)
        except SignInFailed:
            return None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One of few at once: people who wait for FranceConnect keep no others waiting."""
        if not self._turns.acquire(blocking=False):
            raise SignInFailed("too_many")
        try:
            yield
        finally:
            self._turns.release()


def _said(identity: Mapping[str, Any]) -> str:
    """A digest of what an identity says, but for the name in use, which is no part of it."""
    pivot = {name: part for name, part in identity.items() if name != "preferred_name"}
    return value_digest(pivot | {"given_names": given_names(identity["given_names"])})


def value_digest(value: Any) -> str:
    """A digest of what a value says: of its one form (`schemas.equal_values`)."""
    return hashlib.sha256(orjson.dumps(canonical("", value), option=orjson.OPT_SORT_KEYS)).hexdigest()


def _key_to(tx: Transaction, preview: Preview, secret: str) -> tuple[ColumnElement[bool], ...]:
    """Where a row says that this secret opens this preview."""
    mine = (_TABLE.id == digest(secret), _TABLE.preview_id == preview.id)
    return (*mine, _TABLE.level.is_not(None), _TABLE.until > tx.now)
