"""Publik's signed query string: HMAC-SHA256 over the query, a timestamp and a nonce. Pure, but for the nonces kept."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode

from connectors.sdk import Secret
from schemas.errors import AccessDenied

TOLERANCE = 30.0  # seconds, both ways
_STAMP = "%Y-%m-%dT%H:%M:%SZ"
_MARK = "&signature="


def sign(params: Mapping[str, str], *, orig: str, key: Secret, now: datetime, nonce: str) -> str:
    """The query string for `params`, signed."""
    stamp = now.astimezone(UTC).strftime(_STAMP)
    query = urlencode({**params, "orig": orig, "algo": "sha256", "timestamp": stamp, "nonce": nonce})
    return query + _MARK + quote(base64.b64encode(_digest(query, key)), safe="")


class SignatureCheck:
    """Checks signed query strings of one caller. A nonce is good once, as long as its timestamp is.

    The nonces are remembered by this object alone. The path and the body are not signed: TLS is what keeps them.
    """

    def __init__(self, orig: str, key: Secret) -> None:
        self._orig = orig
        self._key = key
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def check(self, query_string: str, now: datetime) -> None:
        """Raises AccessDenied, without a word on which part of a secret was wrong."""
        signed, mark, _ = query_string.partition(_MARK)
        pairs = parse_qsl(query_string, keep_blank_values=True)
        values = dict(pairs)
        if not mark or len(values) != len(pairs):
            raise AccessDenied("appel non signé, ou paramètre répété")
        if values.get("algo") != "sha256":
            raise AccessDenied("algorithme de signature inconnu : sha256 est attendu")
        if not self._is_ours(signed, values):
            raise AccessDenied("signature invalide")
        if abs(now.timestamp() - _stamp(values)) > TOLERANCE:
            raise AccessDenied("horodatage hors tolérance : vérifier l'horloge des serveurs")
        self._use(values.get("nonce", ""), now.timestamp())

    def _is_ours(self, signed: str, values: Mapping[str, str]) -> bool:
        try:
            given = base64.b64decode(values["signature"], validate=True)
        except (binascii.Error, ValueError):
            return False
        same_caller = hmac.compare_digest(values.get("orig", "").encode(), self._orig.encode())
        return hmac.compare_digest(given, _digest(signed, self._key)) and same_caller

    def _use(self, nonce: str, now: float) -> None:
        if not nonce:
            raise AccessDenied("appel signé sans nonce")
        with self._lock:
            # a stamp may lie one tolerance ahead, so its nonce matters for two
            self._seen = {known: at for known, at in self._seen.items() if now - at <= 2 * TOLERANCE}
            if nonce in self._seen:
                raise AccessDenied("appel déjà reçu (nonce rejoué)")
            self._seen[nonce] = now


def _digest(text: str, key: Secret) -> bytes:
    return hmac.digest(key.reveal().encode(), text.encode(), hashlib.sha256)


def _stamp(values: Mapping[str, str]) -> float:
    try:
        return datetime.strptime(values.get("timestamp", ""), _STAMP).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise AccessDenied("horodatage illisible") from None
