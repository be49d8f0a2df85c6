"""Which media ports a call may use: even/odd pairs, drawn at random, at rest before they are used again.

A port that is used again at once would let the last packets of one call into the next one's recording.
So a port rests after its call. RTP takes the even port, RTCP the odd one above it (RFC 3550 §11).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class PoolExhausted(Exception):
    """No pair of ports is free: every one is in use or at rest. Widen the range, or wait."""


class PortPool:
    """Pairs within `low`..`high` (both included). Instants are seconds on any clock that never goes back.

    `draw(n)` returns an integer in [0, n); the caller provides chance.
    """

    def __init__(self, low: int, high: int, rest_seconds: float, draw: Callable[[int], int]) -> None:
        if not 1024 <= low < high <= 65535:
            raise ValueError(f"media ports {low}-{high}: give a range within 1024-65535")
        first = low + low % 2
        self._free = list(range(first, high, 2))
        if not self._free:
            raise ValueError(f"media ports {low}-{high}: the range holds no even/odd pair")
        self._taken: set[int] = set()
        self._resting: deque[tuple[float, int]] = deque()
        self._rest_seconds = rest_seconds
        self._draw = draw

    def take(self, now: float) -> int:
        """Return a free even port; its odd neighbour belongs to it. Raises PoolExhausted."""
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.popleft()[1])
        if not self._free:
            raise PoolExhausted("all media ports are in use or at rest; widen ports in [media]")
        index = self._draw(len(self._free))
        port = self._free[index]
        self._free[index] = self._free[-1]
        self._free.pop()
        self._taken.add(port)
        return port

    def counts(self, now: float) -> dict[str, int]:
        """How many pairs are in use, at rest and free."""
        resting = sum(until > now for until, _ in self._resting)
        free = len(self._free) + len(self._resting) - resting
        return {"in_use": len(self._taken), "resting": resting, "free": free}

    def give_back(self, port: int, now: float) -> None:
        """Put a taken port to rest from `now` on. Raises ValueError for a port that is not taken."""
        if port not in self._taken:
            raise ValueError(f"port {port} is not in use")
        self._taken.remove(port)
        self._resting.append((now + self._rest_seconds, port))
