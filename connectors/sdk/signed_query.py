"""Publik's signed query string: HMAC-SHA256 over the query, a timestamp and a nonce."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlencode

from connectors.sdk.first_use import FirstUse
from schemas.errors import AccessDenied
from schemas.secret import Secret

TOLERANCE = timedelta(seconds=30)  # both ways
MOST_NONCE = 128  # characters
PARAMETERS = ("orig", "algo", "timestamp", "nonce", "signature")
"""What a signed query has more than an unsigned one."""
_STAMP = "%Y-%m-%dT%H:%M:%SZ"
_MARK = "&signature="


def sign(params: Mapping[str, str], *, orig: str, key: Secret, now: datetime, nonce: str) -> str:
    """The query string for `params`, signed."""
    stamp = now.astimezone(UTC).strftime(_STAMP)
    query = urlencode({**params, "orig": orig, "algo": "sha256", "timestamp": stamp, "nonce": nonce})
    return query + _MARK + quote(base64.b64encode(_digest(query, key)), safe="")


class SignatureCheck:
    """Checks signed query strings of one caller. A nonce is good once, as long as its timestamp is: `first_use`
    remembers it, once the signature is proved. The path and the body are not signed: TLS is what keeps them."""

    def __init__(self, orig: str, key: Secret, first_use: FirstUse) -> None:
        self._orig, self._key, self._first_use = orig, key, first_use

    def check(self, query_string: str, now: datetime, *, use: bool = True) -> None:
        """Raises AccessDenied, without a word on which part of a secret was wrong; what `first_use` raises, too. `use`
        False: the nonce stays good, for the check that follows."""
        signed, mark, _ = query_string.partition(_MARK)
        pairs = parse_qsl(query_string, keep_blank_values=True)
        values = dict(pairs)
        if not mark or len(values) != len(pairs):
            raise AccessDenied("appel non signé, ou paramètre répété", fault="denied.login")
        proved = dict(parse_qsl(signed, keep_blank_values=True))  # what follows the signature, anybody may have added
        if proved.get("algo") != "sha256":
            raise AccessDenied("algorithme de signature inconnu : sha256 est attendu", fault="denied.login")
        if not self._is_ours(signed, proved.get("orig", ""), values["signature"]):
            raise AccessDenied("signature invalide", fault="denied.login")
        stamp = _stamp(proved)
        if abs(now - stamp) > TOLERANCE:
            raise AccessDenied("horodatage hors tolérance : vérifier l'horloge des serveurs", fault="denied.login")
        self._use(proved.get("nonce", ""), stamp + TOLERANCE, keep=use)

    def _is_ours(self, signed: str, orig: str, signature: str) -> bool:
        try:
            given = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            return False
        same_caller = hmac.compare_digest(orig.encode(), self._orig.encode())
        return hmac.compare_digest(given, _digest(signed, self._key)) and same_caller

    def _use(self, nonce: str, until: datetime, *, keep: bool) -> None:
        if not 0 < len(nonce) <= MOST_NONCE:
            raise AccessDenied(
                f"appel signé sans nonce, ou d'un nonce de plus de {MOST_NONCE} caractères", fault="denied.login"
            )
        # Not by connection: no path is signed, and what was sent to one is not taken at another that has the same key.
        if keep and not self._first_use(_digest(f"nonce\0{self._orig}\0{nonce}", self._key), until):
            raise AccessDenied("appel déjà reçu (nonce rejoué)", fault="denied.login")


def _digest(text: str, key: Secret) -> bytes:
    return hmac.digest(key.reveal().encode(), text.encode(), hashlib.sha256)


def _stamp(values: Mapping[str, str]) -> datetime:
    try:
        return datetime.strptime(values.get("timestamp", ""), _STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise AccessDenied("horodatage illisible", fault="denied.login") from None
