"""A network in virtual time: datagrams may be lost, arrive twice, or arrive after a later one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from random import Random

TRAVEL_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Quality:
    """Probabilities of loss and of doubling, and by how many seconds at most a datagram is late."""

    loss: float = 0.0
    doubling: float = 0.0
    jitter: float = 0.0


PERFECT = Quality()
QUALITIES = (
    PERFECT,
    PERFECT,
    Quality(jitter=0.04),
    Quality(loss=0.05, doubling=0.05, jitter=0.02),
    Quality(loss=0.2, doubling=0.1, jitter=0.6),
)


class Link:
    """Everything that is still going to happen, in order of time."""

    def __init__(self, chance: Random, quality: Quality) -> None:
        self.now = 0.0
        self._chance = chance
        self._quality = quality
        self._order = count()
        self._future: list[tuple[float, int, Callable[[], None]]] = []

    def carry(self, deliver: Callable[[], None]) -> None:
        """Let a datagram travel."""
        quality = self._quality
        if quality is PERFECT:
            self.later(TRAVEL_SECONDS, deliver)
            return
        for _ in range(1 + (self._chance.random() < quality.doubling)):
            if self._chance.random() >= quality.loss:
                self.later(TRAVEL_SECONDS + self._chance.random() * quality.jitter, deliver)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen after so many seconds."""
        heappush(self._future, (self.now + seconds, next(self._order), act))

    def next(self) -> float | None:
        """When something happens next."""
        return self._future[0][0] if self._future else None

    def step(self) -> None:
        """Let the next thing happen."""
        self.now, _, act = heappop(self._future)
        act()
