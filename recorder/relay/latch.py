"""Learning where a telephone behind a NAT sends from (an option; off unless a listener says so).

Its description names an address that nobody reaches. What is learned is the port that its NAT gave it, at
the address where its SIP comes from; or that it does send from where it said. Four packets one after the
other, of one source of sound, over 22 ms or more, make the place certain. It stays so until another
description comes. Until then nothing of it passes, and nothing is sent there.
"""

from __future__ import annotations

from dataclasses import dataclass

from recorder.relay.protocol import Address

PACKETS = 4
LEAST_NS = 22_000_000
_MOST = 8
"""So many places are watched at once."""


@dataclass(slots=True)
class _Seen:
    ssrc: bytes
    number: int
    since: int
    count: int = 1


class Latch:
    """Of one socket. `address`: where its party's SIP comes from; `ends`: where it said that it is.

    `place`: what was learned, None for nothing yet.
    """

    def __init__(self, address: str, ends: frozenset[Address]) -> None:
        self.place: Address | None = None
        self._address = address
        self._ends = ends
        self._seen: dict[Address, _Seen] = {}

    def admits(self, source: Address, packet: memoryview, now: int) -> bool:
        """Look at an RTP packet in one of the payload types that were agreed on: whether it has made the
        place certain, and may pass.
        """
        if source[0] == self._address or source in self._ends:
            self._watch(source, packet, now)
        return source == self.place

    def _watch(self, source: Address, packet: memoryview, now: int) -> None:
        ssrc, number = bytes(packet[8:12]), packet[2] << 8 | packet[3]
        seen = self._seen.get(source)
        if seen is None or seen.ssrc != ssrc or number != (seen.number + 1) % 65536:
            if seen is None and len(self._seen) == _MOST:
                del self._seen[next(iter(self._seen))]
            self._seen[source] = _Seen(ssrc, number, now)
            return
        seen.number, seen.count = number, seen.count + 1
        if seen.count >= PACKETS and now - seen.since >= LEAST_NS:
            self.place, self._seen = source, {}
