"""Audio packets on their way from the ring into a clip: one by one, or many of one source as columns.

To look at each packet of a call that goes as calls go would cost more than all else that is done with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from storage.records import CLOCK_RATE

Column = NDArray[np.int64]
Octets = NDArray[np.uint8]


@dataclass(slots=True)
class Packet:
    """One audio packet. `arrival`, and `span`, how long its payload lasts, in ticks of the clip's clock;
    `timestamp` in those of an RTP clock of `rate` Hz.

    A packet without payload is one that must not be kept: it counts as received and leaves a gap.
    """

    arrival: int
    ssrc: int
    sequence: int
    timestamp: int
    payload_type: int
    payload: bytearray = field(repr=False)
    span: int
    rate: int = CLOCK_RATE

    def wipe(self) -> None:
        """Overwrite the audio."""
        self.payload[:] = bytes(len(self.payload))


class Silence(NamedTuple):
    """What must not be kept of one source: its packets from one RTP timestamp up to another."""

    ssrc: int
    begin: int
    end: int

    def holds(self, ssrc: int, timestamp: int) -> bool:
        """Whether a packet lies in it."""
        length = (self.end - self.begin) % 0x100000000
        return ssrc == self.ssrc and (timestamp - self.begin) % 0x100000000 <= length


class Kind(NamedTuple):
    """What all packets of a block have in common; fields as in Packet. `octets`: of each payload."""

    ssrc: int
    payload_type: int
    span: int
    rate: int
    octets: int


class Block(NamedTuple):
    """Packets in the order in which they came, shape (n,); payloads (n, octets). `advance`: where it is not
    0, each packet has the number after that of the one before, and a timestamp that is so much higher, and
    neither wraps.
    """

    kind: Kind
    arrivals: Column
    sequences: Column
    timestamps: Column
    payloads: Octets
    advance: int = 0

    def __repr__(self) -> str:
        return f"Block({self.kind}, {len(self.arrivals)} packets)"

    @property
    def size(self) -> int:
        """How many they are."""
        return len(self.arrivals)

    def packets(self) -> Iterator[Packet]:
        """The same one by one; what the block itself holds of the audio is overwritten."""
        ssrc, payload_type, span, rate, _ = self.kind
        columns = (self.arrivals.tolist(), self.sequences.tolist(), self.timestamps.tolist(), self.payloads)
        for arrival, sequence, timestamp, payload in zip(*columns, strict=True):
            audio = bytearray(payload.tobytes())
            payload[:] = 0
            yield Packet(arrival, ssrc, sequence, timestamp, payload_type, audio, span, rate)

    def split(self, at: int) -> tuple[Block, Block]:
        """What comes before the packet with this index, and the rest. Both look into the same audio."""
        return self._part(slice(None, at)), self._part(slice(at, None))

    def _part(self, part: slice) -> Block:
        return Block(
            self.kind,
            self.arrivals[part],
            self.sequences[part],
            self.timestamps[part],
            self.payloads[part],
            self.advance,
        )

    def wipe(self) -> None:
        """Overwrite the audio."""
        self.payloads[:] = 0


def joined(blocks: Sequence[Block]) -> Block:
    """Blocks of one kind as one. What they held of the audio is overwritten if it was copied."""
    if len(blocks) == 1:
        return blocks[0]
    whole = Block(
        blocks[0].kind,
        np.concatenate([it.arrivals for it in blocks]),
        np.concatenate([it.sequences for it in blocks]),
        np.concatenate([it.timestamps for it in blocks]),
        np.concatenate([it.payloads for it in blocks]),
    )
    for it in blocks:
        it.wipe()
    return whole
