"""Time stamps of a third party (RFC 3161), by HTTP. Only the hash of a seal leaves the house."""

from __future__ import annotations

import http.client
import secrets
import urllib.request

from schemas.errors import TryLater

_SECONDS = 10.0
_MOST = 64 * 1024  # bytes of an answer
_VERSION = bytes.fromhex("020101")
_SHA256 = bytes.fromhex("300d06096086480165030402010500")
_CERTIFICATE_TOO = bytes.fromhex("0101ff")


class Authority:
    """A time stamping authority. Its signature is checked with its certificate by whoever needs the proof:
    `openssl ts -verify -digest HASH -in TOKEN -token_in -CAfile CA`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def stamp(self, digest: bytes) -> bytes:
        """The token (DER) for this SHA-256. Raises TryLater when there is none, or it is of something else."""
        nonce = secrets.token_bytes(8)
        nonce = bytes([nonce[0] & 0x7F | 0x40]) + nonce[1:]  # a positive number without a leading zero
        asked = _VERSION + _der(0x30, _SHA256 + _der(0x04, digest)) + _der(0x02, nonce) + _CERTIFICATE_TOO
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        request = urllib.request.Request(self._url, _der(0x30, asked), headers)  # noqa: S310 (http or https: a setting)
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                body = answer.read(_MOST)
        except (OSError, http.client.HTTPException) as error:
            raise TryLater(f"the time stamping authority is away ({type(error).__name__})") from None
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
