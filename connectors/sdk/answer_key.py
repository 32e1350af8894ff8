"""Keys by which a connector without a memory of its own knows an answer to what it gave the package."""

from __future__ import annotations

import hmac
from datetime import date
from functools import reduce

from connectors.sdk.connector import Context
from schemas.errors import ConfigError, InvalidMessage

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: without I, L, O and U
_SYMBOLS, _GROUP = 14, 5  # 70 bits and one check symbol, in three groups
_AS_MEANT = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None})
_HYPHENS = str.maketrans(dict.fromkeys("‐‑‒–—", "-"))
_LONGEST = 300
_SHORTEST_SECRET = 16


class AnswerKeys:
    """The answer keys of one connection: `<subject><separator>XXXXX-XXXXX-XXXXX`.

    The code is an HMAC-SHA256 under a secret that only this hub has, over tenant, connection and subject (what was
    given: a request, a delivery), cut to 70 bits, and a check symbol. So nobody makes a key out of facts that are
    known, and a key is good for one subject of one connection. People copy it as they like: `read` overlooks spaces,
    hyphens and case, and takes O for 0, I and L for 1.
    """

    def __init__(self, context: Context, separator: str) -> None:
        if len(context.answer_secret) < _SHORTEST_SECRET:
            raise ConfigError("the hub gave no secret for answer keys", key=f"connections.{context.connection}")
        self._context = context
        self._old_until = _old_keys_until(context)
        self._whose = f"{context.tenant}\0{context.connection}"
        self._separator = separator

    def write(self, subject: str) -> str:
        """The key for `subject`: always the same. 18 characters longer than it."""
        code = self._code(subject)
        groups = (code[at : at + _GROUP] for at in range(0, len(code), _GROUP))
        return f"{subject}{self._separator}{'-'.join(groups)}"

    def read(self, typed: str) -> str:
        """The subject of a key that `write` made. Raises InvalidMessage, in French: `key_mistyped` for a code whose
        check symbol is wrong, `key_unknown` for any other text that is no key of this connection."""
        subject, code = self._parts(typed)
        if len(code) != _SYMBOLS + 1 or not set(code) <= set(_ALPHABET):
            raise InvalidMessage("ce n'est pas une clé du hub", code="key_unknown")
        if _check_symbol(code[:-1]) != code[-1]:
            raise InvalidMessage("la clé est mal recopiée, ou n'est pas du hub", code="key_mistyped")
        # A subject in capitals comes from a package that writes all its columns so.
        for meant in (subject, subject.lower()):
            if hmac.compare_digest(code.encode(), self._code(meant).encode()):
                return meant
        raise InvalidMessage("cette clé n'est celle d'aucun envoi", code="key_unknown")

    def tag(self, text: str) -> str:
        """Ten small letters and digits (50 bits) that tell `text` from any other, for names that cannot hold it whole.
        Nobody without the secret finds two texts of one tag."""
        return _symbols(self._digest("tag", text), 10).lower()

    def takes_old_form(self) -> bool:
        """Whether keys of the form used before, a short digest of facts that anybody knows, are still taken.

        Such a key proves nothing, and nothing here remembers when what it names was given to the package. So the town
        says until which day (`old_keys_until` of the connection, last day included, UTC) answers to its last
        deliveries of that form may come. Absent: none is taken.
        """
        return self._old_until is not None and self._context.now().date() <= self._old_until

    def _code(self, subject: str) -> str:
        symbols = _symbols(self._digest("answer", subject), _SYMBOLS)
        return symbols + _check_symbol(symbols)

    def _digest(self, purpose: str, text: str) -> bytes:
        return hmac.digest(self._context.answer_secret, f"{purpose}\0{self._whose}\0{text}".encode(), "sha256")

    def _parts(self, typed: str) -> tuple[str, str]:
        """Subject and code: the code is the last fifteen characters, hyphens and spaces not counted."""
        if len(typed) > _LONGEST:
            return "", ""
        flat = "".join(typed.split()).translate(_HYPHENS)
        start, seen = len(flat), 0
        while start and seen <= _SYMBOLS:
            start -= 1
            seen += flat[start] != "-"
        return flat[:start].removesuffix(self._separator), flat[start:].upper().translate(_AS_MEANT)


def _old_keys_until(context: Context) -> date | None:
    text = context.settings.get("old_keys_until")
    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError:
        raise ConfigError("must be a day, AAAA-MM-JJ", key=f"connections.{context.connection}.old_keys_until") from None


def _symbols(digest: bytes, count: int) -> str:
    bits = int.from_bytes(digest, "big") >> (len(digest) * 8 - count * 5)
    return "".join(_ALPHABET[bits >> 5 * place & 31] for place in reversed(range(count)))


def _check_symbol(symbols: str) -> str:
    """The value of the symbols as a polynomial over GF(32) (x⁵+x²+1), at its generator: a wrong symbol always changes
    it, and so does the exchange of two."""
    return _ALPHABET[reduce(lambda value, symbol: _doubled(value ^ _ALPHABET.index(symbol)), symbols, 0)]


def _doubled(value: int) -> int:
    return value << 1 ^ 0b100101 if value & 16 else value << 1
