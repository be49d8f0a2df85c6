"""What was read of a value is remembered: one dialog says the same From, To, Via and Route again and again.

A reading is a pure function of bytes and gives a value that nobody can change, so that remembering it changes
nothing but the time it takes. What cannot be read is read again each time. Each function remembers its latest
`MOST` readings. They hold numbers, so :func:`forget` is called when no call is left.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MOST = 256


_READINGS: list[Any] = []  # functions under an lru_cache


def remembered(read: Callable[P, T]) -> Callable[P, T]:
    """Make a reading that remembers what it has read."""
    remembering: Any = lru_cache(MOST)(read)
    _READINGS.append(remembering)
    reading: Callable[P, T] = remembering
    return reading


def held() -> int:
    """How many readings are remembered."""
    return sum(reading.cache_info().currsize for reading in _READINGS)


def forget() -> None:
    """Forget everything that was read."""
    for reading in _READINGS:
        reading.cache_clear()
