"""Whose call a reverse proxy hands on: the address of the client behind it.

The header is believed only from an address that the settings name, and only what proxies added themselves: a client
writes what it likes on the left of it (adam-p.ca/blog/2022/03/x-forwarded-for).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Headers = Iterable[tuple[bytes, bytes]]

_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"]*))', re.IGNORECASE)  # RFC 7239 §4
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_V4_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+")
_V6_IN_BRACKETS = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?")


class Proxies:
    """The proxies that are believed, by address or network. `header`: `x-forwarded-for` or `forwarded`; the other one
    is the client's own word wherever a proxy passes on what it does not know."""

    def __init__(self, trusted: Sequence[str] = (), header: str = "x-forwarded-for") -> None:
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(map(ip_network, trusted))
        self._header = header.encode()
        self.trusts = lru_cache(1024)(self._trusts)

    def client_of(self, headers: Headers, proxy: str) -> str:
        """The rightmost address that is no proxy of ours; of ours alone, the leftmost. What is no address ends the
        search: the one who wrote it is then the client."""
        client = proxy
        for given in reversed(self._named(headers)):
            address = plain_address(given)
            if address is None:
                break
            client = address
            if not self.trusts(address):
                break
        return client

    def _trusts(self, address: str) -> bool:
        plain = plain_address(address)
        return plain is not None and any(ip_address(plain) in network for network in self._networks)

    def _named(self, headers: Headers) -> list[str]:
        lines = [value.decode("latin-1") for name, value in headers if name == self._header]
        whole = ",".join(lines)
        if self._header != b"forwarded":
            return [part.strip() for part in whole.split(",")] if lines else []
        found = [_FOR.search(element) for element in _ELEMENT.findall(whole)]
        return [(match[1] or match[2] or "").strip() if match else "" for match in found]


def plain_address(text: str) -> str | None:
    """An address without its port, IPv4 inside IPv6 as IPv4; None when it is none (`unknown`, `_hidden`)."""
    found = _V4_WITH_PORT.fullmatch(text) or _V6_IN_BRACKETS.fullmatch(text)
    try:
        address = ip_address(found[1] if found else text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


@lru_cache(4096)
def household(address: str) -> str:
    """What one caller has of addresses: an IPv4 address, or the /64 from which an IPv6 host takes them freely."""
    plain = plain_address(address)
    if plain is None or ":" not in plain:
        return plain or address
    return str(ip_network((plain, 64), strict=False))
