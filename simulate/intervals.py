"""Times from … to, in seconds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

Interval = tuple[float, float]


def common(these: Iterable[Interval], those: Iterable[Interval]) -> list[Interval]:
    """The time that both cover."""
    those = list(those)
    both = ((max(a, c), min(b, d)) for a, b in these for c, d in those)
    return [(start, stop) for start, stop in both if start < stop]


def without(these: Iterable[Interval], those: Iterable[Interval]) -> list[Interval]:
    """The time that the first cover and the second do not."""
    left = [it for it in these if it[0] < it[1]]
    for start, stop in those:
        left = [it for a, b in left for it in ((a, min(b, start)), (max(a, stop), b)) if it[0] < it[1]]
    return left


def without_last(these: Iterable[Interval], seconds: float) -> list[Interval]:
    """All but so much of them at the end."""
    left = sorted(these)
    while left and seconds > 0:
        start, stop = left.pop()
        if stop - start > seconds:
            left.append((start, stop - seconds))
        seconds -= stop - start
    return left


def length(intervals: Iterable[Interval]) -> float:
    """How long they are together."""
    return sum(stop - start for start, stop in intervals)


def is_doubled(intervals: Iterable[Interval]) -> bool:
    """Whether any time is in two of them."""
    return any(before[1] > after[0] for before, after in pairwise(sorted(intervals)))
