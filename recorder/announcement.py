"""What the outside party is told before it is recorded (KSF 6.6), as finished packets.

They are of a source of their own, whose SSRC is drawn anew each time like its first sequence number and
timestamp (RFC 3550 §5.1): a source that has sent nothing yet under any key. Under SRTP they are sealed with
the key of the party in whose place they are sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from recorder.srtp import MasterKey, sealed

_VERSION, _MARKER = 0x80, 0x80
_HALF = 1 << 15
"""A first sequence number below this, so that it does not begin anew within an announcement (RFC 3711)."""


@dataclass(frozen=True, slots=True)
class Hearer:
    """One party that is to hear it: on which side, where, in which codecs (payload type, name in a clip, RTP
    clock; the most liked first), and under which key the other party sends to it.
    """

    side: Literal["a", "b"]
    place: tuple[str, int] = field(repr=False)
    codecs: tuple[tuple[int, str, int], ...]
    key: MasterKey | None = None


def packets(
    payloads: Sequence[bytes],
    payload_type: int,
    ticks: int,
    draw: Callable[[int], int],
    key: MasterKey | None = None,
) -> list[bytes]:
    """RTP packets of payloads that each last so many ticks of the RTP clock. `draw(n)`: a number below n."""
    ssrc, first, stamp = draw(1 << 32), draw(_HALF), draw(1 << 32)
    plain = [
        bytes((_VERSION, payload_type | (0 if index else _MARKER)))
        + (first + index).to_bytes(2)
        + (stamp + index * ticks & 0xFFFFFFFF).to_bytes(4)
        + ssrc.to_bytes(4)
        + payload
        for index, payload in enumerate(payloads)
    ]
    return plain if key is None else sealed(key, plain)
