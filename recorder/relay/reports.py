"""What the parties of a call report of each other's media (RTCP, RFC 3550 §6.4), read as it passes.

Reception at the far end and the way there and back are seen nowhere else. What is encrypted (SRTCP) is told
by its length and left alone.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator

SENDER, RECEIVER = 200, 201
REPORTED = ("reported_loss", "round_trip_ns")
_HEAD = {SENDER: 28, RECEIVER: 8}
_BLOCK_BYTES = 24
_REMEMBERED = 8
"""Reports of a sender; one comes every five seconds, and is answered by the next one of the other."""
_LONGEST_NS = 60_000_000_000


class Reports:
    """Of one call. `loss`: of the last interval, 0 to 1, as the party of side a and that of side b have it;
    `round_trip` in ns, from us to the party and back. None: not reported yet.
    """

    def __init__(self) -> None:
        self.loss: list[float | None] = [None, None]
        self.round_trip: list[int | None] = [None, None]
        self._passed: tuple[deque[tuple[int, int]], ...] = (
            deque(maxlen=_REMEMBERED),
            deque(maxlen=_REMEMBERED),
        )

    def take(self, _session: int, side: int, now: int, packet: memoryview) -> bool:
        """Read what came from one side; False: it is no RTCP that can be read."""
        parts = list(_parts(packet))
        if not parts:
            return False
        for kind, part in parts:
            if kind == SENDER:
                self._passed[side].append((int.from_bytes(part[10:14]), now))
            for at in range(_HEAD[kind], _HEAD[kind] + (part[0] & 31) * _BLOCK_BYTES, _BLOCK_BYTES):
                self._heed(side, now, part[at : at + _BLOCK_BYTES])
        return True

    def _heed(self, side: int, now: int, block: memoryview) -> None:
        loss, last, since = block[4], *struct.unpack("!II", block[16:24])
        self.loss[side] = loss / 256
        passed = next((at for stamp, at in self._passed[1 - side] if stamp == last), None)
        if passed is None:
            return
        taken = now - passed - since * 1_000_000_000 // 65536
        if 0 <= taken < _LONGEST_NS:
            self.round_trip[side] = taken


def worst(calls: Iterable[Reports]) -> dict[str, float]:
    """Of all: the highest loss that a party reports now, and the longest way there and back, in ns."""
    found = list(calls)
    losses = [it for reports in found for it in reports.loss if it is not None]
    ways = [it for reports in found for it in reports.round_trip if it is not None]
    return dict(zip(REPORTED, (max(losses, default=0), max(ways, default=0)), strict=True))


def _parts(packet: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The reports in a compound packet; nothing of one whose lengths do not add up."""
    found: list[tuple[int, memoryview]] = []
    at = 0
    while at + 4 <= len(packet):
        end = at + 4 * (1 + int.from_bytes(packet[at + 2 : at + 4]))
        kind, blocks = packet[at + 1], packet[at] & 31
        if kind in _HEAD:
            if end - at < _HEAD[kind] + blocks * _BLOCK_BYTES:
                return
            found.append((kind, packet[at:end]))
        at = end
    if at == len(packet):
        yield from found
