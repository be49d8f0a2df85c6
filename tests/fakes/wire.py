"""A network in virtual time that loses, doubles and reorders datagrams, the same way for the same seed."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from sip_hooks.settings import Address

Deliver = Callable[[bytes, Address], None]


class Wire:
    """Nodes by address, and everything that is still going to happen."""

    def __init__(
        self, seed: int, loss: float = 0.0, doubling: float = 0.0, jitter_seconds: float = 0.04
    ) -> None:
        self.now = 0.0
        self.nodes: dict[Address, Deliver] = {}
        self.random = random.Random(seed)
        self.sent = 0
        self._loss = loss
        self._doubling = doubling
        self._jitter_seconds = jitter_seconds
        self._transcript = hashlib.sha256()
        self._order = count()
        self._future: list[tuple[float, int, Callable[[], None]]] = []

    def send(self, data: bytes, source: Address, destination: Address) -> None:
        """Let a datagram travel: it may be lost, arrive twice, or arrive after a later one."""
        self.sent += 1
        self._transcript.update(
            b"%.6f %s %s " % (self.now, repr(source).encode(), repr(destination).encode()) + data
        )
        for _ in range(1 + (self.random.random() < self._doubling)):
            if self.random.random() >= self._loss:
                travel = 0.001 + self.random.random() * self._jitter_seconds
                self.later(travel, lambda: self.nodes[destination](data, source))

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen after so many seconds."""
        heappush(self._future, (self.now + seconds, next(self._order), act))

    def run(self) -> None:
        """Let everything happen, until nothing more is going to."""
        while self._future:
            self.now, _, act = heappop(self._future)
            act()

    @property
    def transcript(self) -> str:
        """A digest of every datagram with its time, source and destination."""
        return self._transcript.hexdigest()
