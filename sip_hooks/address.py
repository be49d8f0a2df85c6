"""IP addresses in the one form in which they can be compared (RFC 5952), and as SIP and SDP write them."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Literal, TypeAlias

Family: TypeAlias = Literal[4, 6]

UNSPECIFIED = ("0.0.0.0", "::")
"""In a description: the party is on hold (RFC 3264 §8.4)."""


def canonical(text: str) -> str:
    """Return an address as RFC 5952 writes it; an IPv4-mapped one (RFC 4291 §2.5.5.2) as the IPv4 address.

    Raises ValueError for what is no address, and for one that means something on one link only: a zone id
    does not travel in SIP, so nobody else could use it.
    """
    address = ip_address(text)
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if "%" in text or address.is_link_local:
        raise ValueError("a link-local address has no meaning to others")
    return str(address)


def family_of(address: str) -> Family:
    """Return which IP version a canonical address is of."""
    return 6 if ":" in address else 4


def host(address: str) -> str:
    """Return a canonical address as it stands in a URI or a Via: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def in_brackets(reference: str) -> str:
    """Return the canonical address of an IPv6 reference, ``[2001:db8::1]``. Raises ValueError.

    The grammar of RFC 3261 wrote three colons before an embedded IPv4 address; they are read as two
    (RFC 5118 §4.10).
    """
    if reference[:1] != "[" or reference[-1:] != "]":
        raise ValueError("this is no IPv6 reference")
    inside = reference[1:-1].replace(":::", "::")
    if ":" not in inside:
        raise ValueError("this is no IPv6 address")
    return canonical(inside)
