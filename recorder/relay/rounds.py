"""Media that would go round between our own ports for ever.

A call that crosses us twice goes from one pair of ours to the other. But nothing counts a packet's hops: two
phones that name our ports as theirs would have a worker do nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from recorder.channel import Message
from recorder.relay.protocol import Side, remotes_of

Way = tuple[int, Side]
"""A session, and the side on which its packets leave."""


def ports_of_ours(order: Message | None, addresses: Collection[str]) -> set[int]:
    """The RTP ports at our `addresses` that a `remote` order sends to; one of RTCP is named by its RTP port.

    Raises OrderError.
    """
    last = remotes_of(order).ends[-1:] if order is not None else ()
    ours = [it for it in last if it.address in addresses]
    return {port - port % 2 for it in ours for port in (it.rtp_port, it.rtcp_port)}


def goes_round(
    start: Way, ways: Mapping[int, Way], orders: Mapping[Way, Message], addresses: Collection[str]
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
