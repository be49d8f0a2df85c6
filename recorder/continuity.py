"""Whether one side of a call goes on sending as it did: what a change of speaker inside a PBX may leave in
RTP.

Another SSRC, another codec, a sequence that begins anew (RFC 3550 §A.1), or a timestamp that does not go with
the time of arrival. A stall of the network looks like the last one; it is not told from it, for a wrong
suspicion costs seconds and a missed one somebody's confidence.
"""

from __future__ import annotations

from recorder.rtp import Header
from storage.records import CLOCK_RATE

TOLERANCE = CLOCK_RATE // 4
"""250 ms in ticks of a clip."""
_MISORDER = 100
_DROPOUT = 3_000


class Continuity:
    """Looks at the audio packets of one side, one by one."""

    def __init__(self) -> None:
        self._last: tuple[int, Header] | None = None

    def is_broken_by(self, arrival: int, header: Header, rate: int) -> bool:
        """Whether this packet, which arrived at tick `arrival`, does not go on from the last one. `rate`: of
        its RTP clock, in Hz.
        """
        if self._last is None:
            self._last = arrival, header
            return False
        before, last = self._last
        ahead = (header.sequence - last.sequence) % 0x10000
        is_same = (header.ssrc, header.payload_type) == (last.ssrc, last.payload_type)
        if is_same and (ahead == 0 or ahead > 0x10000 - _MISORDER):
            return False  # late, or twice
        self._last = arrival, header
        advance = (header.timestamp - last.timestamp + 2**31) % 2**32 - 2**31
        return (
            not is_same
            or ahead > _DROPOUT
            or abs(advance * CLOCK_RATE // rate - (arrival - before)) > TOLERANCE
        )
