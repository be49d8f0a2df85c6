"""Media that would go round between our own ports for ever.

A call that crosses us twice goes from one pair of ours to the other. But nothing counts a packet's hops: two
phones that name our ports as theirs would have a worker do nothing else.
"""

from __future__ import annotations

import socket
from collections.abc import Container, Iterable, Mapping

from recorder.channel import Message
from recorder.relay.protocol import Side, remotes_of

_ANY = {"0.0.0.0": socket.AF_INET, "::": socket.AF_INET6}

Way = tuple[int, Side]
"""A session, and the side on which its packets leave."""


class OurAddresses:
    """Those that we are told of. Among them "any" stands for all that this machine has."""

    def __init__(self, told: Iterable[str]) -> None:
        self._told = set(told)

    def update(self, told: Iterable[str]) -> None:
        """Sockets are bound to these as well."""
        self._told.update(told)

    def __contains__(self, address: object) -> bool:
        family = socket.AF_INET6 if ":" in str(address) else socket.AF_INET
        is_any = any(_ANY.get(it) == family for it in self._told)
        return address in self._told or (is_any and _is_local(str(address), family))


def _is_local(address: str, family: int) -> bool:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def ports_of_ours(order: Message | None, addresses: Container[str]) -> set[int]:
    """The RTP ports at our `addresses` that a `remote` order sends to; one of RTCP is named by its RTP port.

    Raises OrderError.
    """
    last = remotes_of(order).ends[-1:] if order is not None else ()
    ours = [it for it in last if it.address in addresses]
    return {port - port % 2 for it in ours for port in (it.rtp_port, it.rtcp_port)}


def goes_round(
    start: Way, ways: Mapping[int, Way], orders: Mapping[Way, Message], addresses: Container[str]
) -> bool:
    """Whether what leaves by `start` comes back to leave there again. `ways`: by which one leaves what comes
    to a port of ours; `orders`: where what leaves by a way is sent.
    """
    seen, ahead = set[Way](), {start}
    while ahead:
        seen |= ahead
        ports = (port for way in ahead for port in ports_of_ours(orders.get(way), addresses))
        ahead = {ways[port] for port in ports if port in ways}
        if start in ahead:
            return True
        ahead -= seen
    return False
