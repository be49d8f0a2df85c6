"""How far a sender's clock has run away from ours.

A sender's timestamps place its packets, by a clock of its own; in an hour it may run a third of a second
away from ours (100 ppm), and the two legs of a call apart by twice that. What is the same for both legs is
the clock of arrivals, but a packet comes late by what the network does to it. The promptest of many comes
late by hardly more than the least that is possible: how late that one is, compared with its place, is what
the clocks differ by.

Places move by little at a time. Where a clock was slow, that is a gap; where it was fast, a packet begins a
little before the one before it ends. RTCP's sender reports do not help: they tell of each sender's own clock.
"""

from __future__ import annotations

from storage.records import CLOCK_RATE

WINDOW = 10 * CLOCK_RATE
"""Over so many ticks the promptest packet is looked for, among at least so many packets: """
FEW = 50

LEAST = CLOCK_RATE // 200
"""5 ms: what differs by less stays where it is."""


class Drift:
    """Of one source. Tell it of what was placed; ask it now and then by how much places have to move."""

    def __init__(self) -> None:
        self._began: int | None = None
        self._latest = self._count = self._least = 0
        self._owed = 0

    def note(self, arrival: int, lateness: int, count: int) -> None:
        """So many packets were placed, the last of which arrived at this tick; the promptest of them arrived
        so many ticks after its place.
        """
        if self._owed:
            return
        if self._began is None:
            self._began, self._count, self._least = arrival, 0, lateness
        self._latest = arrival
        self._count += count
        self._least = min(self._least, lateness)

    def step(self, most: int) -> int:
        """By how many ticks places move from now on; back by no more than `most`, the rest later."""
        if not self._owed and self._has_seen_enough():
            self._owed = self._least if abs(self._least) >= LEAST else 0
            self._began = None
        step = max(self._owed, -most)
        self._owed -= step
        return step

    @property
    def is_due(self) -> bool:
        """Whether places may move with the next step."""
        return bool(self._owed) or self._has_seen_enough()

    def _has_seen_enough(self) -> bool:
        return self._began is not None and self._latest - self._began >= WINDOW and self._count >= FEW
