"""How long audio waits in RAM: the commit horizon, on a clock that stands still while a recording is paused.

A pause means that it is not certain who speaks. What was said just before it waits until that is settled: it
is committed when the recording has gone on for as long as it lacked, and dropped should the doubt end in a
taint. Otherwise a long hold would let into the clip what a taint must still be able to take back.
"""

from __future__ import annotations

from collections import deque


class Horizon:
    """`length` and all instants in ticks. Pauses do not overlap."""

    def __init__(self, length: int) -> None:
        self.length = length
        self._pauses: deque[tuple[int, int]] = deque()  # those that may still matter, the latest first
        self._since: int | None = None

    def pause(self, tick: int) -> None:
        """The recording is paused."""
        self._since = tick

    def resume(self, tick: int) -> None:
        """It goes on."""
        if self._since is not None:
            self._pauses.appendleft((self._since, tick))
            self._since = None

    def reached(self, now: int) -> int:
        """Up to where audio has waited long enough."""
        left, end = self.length, now if self._since is None else self._since
        for index, (since, until) in enumerate(self._pauses):
            if end - until >= left:
                while len(self._pauses) > index:
                    self._pauses.pop()
                break
            left -= end - until
            end = since
        return end - left
