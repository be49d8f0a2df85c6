"""What a telephone of a test says, octets drawn by lot that nobody else says; and the search for them."""

from __future__ import annotations

from dataclasses import dataclass, field

SAMPLES = 160
"""Of one packet: 20 ms of G.711."""
_ENOUGH = 48
"""So many octets of a packet nobody says by chance, however the packets were cut anew under way."""


@dataclass(frozen=True, slots=True)
class Speech:
    """One piece, as A-law. `words`: what goes into each packet."""

    alaw: bytes = field(repr=False)

    @property
    def words(self) -> list[bytes]:
        return [self.alaw[start : start + SAMPLES] for start in range(0, len(self.alaw), SAMPLES)]

    def found(self, audio: bytes) -> int:
        """How many of its words are in these octets."""
        return sum(word[:_ENOUGH] in audio for word in self.words)

    def is_heard(self, audio: bytes) -> bool:
        """Whether most of it is in them."""
        return 2 * self.found(audio) > len(self.words)


def octets(seconds: float) -> int:
    """Of a piece that lasts so long."""
    return int(seconds * 50) * SAMPLES
