"""Which IP addresses a call to an outside party may reach: public ones alone (OWASP: server-side request forgery)."""

from __future__ import annotations

import ipaddress

from connectors.sdk.deadline import look_up
from schemas.errors import AccessDenied, TryLater

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address inside an IPv6 one
# Special-purpose ranges (IANA, RFC 6890) that `is_global` does not know in every version of Python that we run on.
_INSIDE = tuple(
    ipaddress.ip_network(text)
    for text in ("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "fec0::/10", "64:ff9b:1::/48", "::/96")
)


def resolve(host: str, port: int) -> list[str]:
    """Every IP address of a host name, as text. Raises TryLater when the name servers give none now."""
    try:
        return look_up(host, port)
    except (OSError, UnicodeError):
        detail = f"{host}: the name has no address"
        raise TryLater("le nom du serveur est introuvable", detail=detail, fault="away.name") from None


def public_address(host: str, port: int) -> str:
    """One IP address of `host`. Connect to it without resolving the name again: a second answer may be another (DNS
    rebinding). Raises AccessDenied when any of the addresses is not public, TryLater as `resolve`."""
    addresses = resolve(host, port)
    if not addresses or not all(is_public(text) for text in addresses):
        said = "le nom du serveur mène à une adresse qui n'est pas publique"
        detail = f"{host}: the name leads to an address that is not public"
        raise AccessDenied(said, detail=detail, fault="denied.not-public")
    return addresses[0]


def is_public(text: str) -> bool:
    """Whether an address is reachable on the Internet: not private, loopback, link-local (cloud metadata among them),
    multicast or reserved. An IPv4 address inside an IPv6 one (mapped, 6to4, Teredo, NAT64) is judged too."""
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return False  # a zone ("fe80::1%eth0") is inside by nature
    if isinstance(address, ipaddress.IPv6Address):
        if any(not is_public(str(hidden)) for hidden in _hidden(address)):
            return False
        if address.ipv4_mapped is not None or address in _NAT64:
            return True
    inside = any(address in network for network in _INSIDE if network.version == address.version)
    return address.is_global and not (inside or address.is_multicast or address.is_reserved)


def _hidden(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    hidden = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        hidden.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [item for item in hidden if item is not None]
