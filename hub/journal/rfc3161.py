"""Time stamps of a third party (RFC 3161), by HTTP. Only the hash of a seal leaves the house."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from schemas.errors import HubError, TryLater

_VERSION = bytes.fromhex("020101")
_SHA256 = bytes.fromhex("300d06096086480165030402010500")
_CERTIFICATE_TOO = bytes.fromhex("0101ff")


class Authority:
    """A time stamping authority. Its signature is checked with its certificate by whoever needs the proof:
    `openssl ts -verify -digest HASH -in TOKEN -token_in -CAfile CA`."""

    def __init__(self, post: Callable[[bytes, Mapping[str, str]], bytes]) -> None:
        """`post` hands a body with its headers to the authority and gives the answer's; it raises HubError when there
        is none within a deadline."""
        self._post = post

    def stamp(self, digest: bytes) -> bytes:
        """The token (DER) for this SHA-256. Raises TryLater when there is none, or it is of something else."""
        nonce = secrets.token_bytes(8)
        nonce = bytes([nonce[0] & 0x7F | 0x40]) + nonce[1:]  # a positive number without a leading zero
        asked = _VERSION + _der(0x30, _SHA256 + _der(0x04, digest)) + _der(0x02, nonce) + _CERTIFICATE_TOO
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        try:
            body = self._post(_der(0x30, asked), headers)
        except HubError as error:
            raise TryLater(f"the time stamping authority is away ({error.code})", detail=error.detail) from None
        return _token(body, digest, nonce)


def _token(body: bytes, digest: bytes, nonce: bytes) -> bytes:
    """What follows a status of `granted`, when it speaks of our hash and our question."""
    try:
        _, inside, _ = _read(body)
        _, status, token = _read(inside)
        _, granted, _ = _read(status)
    except (IndexError, ValueError):
        raise TryLater("the time stamping authority gave no readable answer") from None
    if granted not in (b"\0", b"\1") or digest not in token or nonce not in token:
        raise TryLater("the time stamping authority gave no stamp of what was asked")
    return token


def _der(tag: int, content: bytes) -> bytes:
    """One value; all that we write is shorter than 128 bytes."""
    return bytes([tag, len(content)]) + content


def _read(raw: bytes) -> tuple[int, bytes, bytes]:
    """The tag and content of the first value, and what follows it."""
    tag, length, start = raw[0], raw[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(raw[2:start], "big")
    if len(raw) < start + length:
        raise ValueError
    return tag, raw[start : start + length], raw[start + length :]
