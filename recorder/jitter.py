"""Interarrival jitter (RFC 3550 §6.4.1, §A.8)."""

from __future__ import annotations

from collections.abc import Iterable

from storage.records import CLOCK_RATE

_GAIN = 1 / 16
_JUMP = CLOCK_RATE // 4
"""Ticks. By more than this a timestamp has jumped; that is no jitter."""


class Jitter:
    """Of one source, in ticks; or of all sources of a leg, once they are over (`add`)."""

    def __init__(self) -> None:
        self.most = 0.0
        self._now = self._sum = 0.0
        self._count = 0
        self._last: int | None = None

    @property
    def mean(self) -> float:
        """Over all packets."""
        return self._sum / self._count if self._count else 0.0

    def note(self, transits: Iterable[int]) -> None:
        """Arrivals less timestamps, in order of arrival."""
        last, now, most, total, count = self._last, self._now, self.most, self._sum, self._count
        for transit in transits:
            difference = abs(transit - last) if last is not None else 0
            last = transit
            if difference <= _JUMP:
                now += (difference - now) * _GAIN
                most = now if now > most else most
            total += now
            count += 1
        self._last, self._now, self.most, self._sum, self._count = last, now, most, total, count

    def add(self, other: Jitter) -> None:
        """Count another source's in."""
        self._sum += other._sum
        self._count += other._count
        self.most = max(self.most, other.most)
