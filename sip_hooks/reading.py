"""What was read of a value is remembered: one dialog says the same From, To, Via and Route again and again.

A reading is a pure function of bytes and gives a value that nobody can change, so that remembering it changes
nothing but the time it takes. What cannot be read, or is longer than `LONGEST`, is read again each time. Each
function remembers its latest readings, `MOST` of them at most. They hold numbers, so :func:`forget` is called
when no call is left.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from inspect import signature
from itertools import islice
from typing import Any, ParamSpec, TypeVar
from weakref import ref

P = ParamSpec("P")
T = TypeVar("T")

MOST = 1024
LONGEST = 1024
"""Bytes or characters of what is read. Nobody needs more, and somebody might send it to fill our memory."""


class _Readings(dict[Any, Any]):
    """Of a function of one value. A reading that is there costs no call of a Python function."""

    def __init__(self, read: Callable[..., Any]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, value: Any) -> Any:
        found = self._read(value)
        if len(value) <= LONGEST:
            if len(self) >= MOST:
                for oldest in list(islice(self, MOST // 8)):  # one by one, each would be looked for
                    del self[oldest]
            self[value] = found
        return found


_READINGS: list[ref[_Readings]] = []
_CACHES: list[Any] = []  # functions of several values under an lru_cache


def remembered(read: Callable[P, T]) -> Callable[P, T]:
    """Make a reading that remembers what it has read. The first argument is what is read."""
    if len(signature(read).parameters) == 1:
        readings = _Readings(read)
        _READINGS[:] = [*filter(_is_there, _READINGS), ref(readings)]
        getting: Any = readings.__getitem__
        reading_one: Callable[P, T] = getting
        return reading_one
    remembering: Any = lru_cache(MOST)(read)
    _CACHES.append(remembering)

    def reading(*said: P.args, **how: P.kwargs) -> T:
        value: Any = said[0]
        found: T = (remembering if len(value) <= LONGEST else read)(*said, **how)
        return found

    return reading


def held() -> int:
    """How many readings are remembered."""
    return sum(len(it) for of in _READINGS if (it := of()) is not None) + sum(
        int(it.cache_info().currsize) for it in _CACHES
    )


def forget() -> None:
    """Forget everything that was read."""
    for of in _READINGS:
        if (readings := of()) is not None:
            readings.clear()
    for cache in _CACHES:
        cache.cache_clear()


def _is_there(readings: ref[_Readings]) -> bool:
    """Whether anybody still reads so: a scheme that is in force no more does not."""
    return readings() is not None
