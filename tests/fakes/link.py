"""A link that loses, delays, reorders and doubles packets, and senders whose clocks are not ours."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Link:
    """Shares of packets, and `jitter` in seconds, the most by which one is delayed. Those that are reordered
    are delayed by three more packets' length.
    """

    loss: float = 0.05
    reorder: float = 0.02
    duplicate: float = 0.01
    jitter: float = 0.04

    def carry(
        self, seconds: float, ppm: float, seed: int, length: float = 0.02
    ) -> Iterator[tuple[float, int]]:
        """When which packet arrives, in order of arrival; none for those that are lost. The sender sends one
        every `length` seconds by its own clock, which is fast by `ppm` millionths.
        """
        chance, waiting = random.Random(seed), list[tuple[float, int]]()
        for number in range(int(seconds / length)):
            sent = sent_at(number, ppm, length)
            waiting.sort()
            while waiting and waiting[0][0] <= sent:
                yield waiting.pop(0)
            for _ in range(2 if chance.random() < self.duplicate else 1):
                late = 3 * length if chance.random() < self.reorder else 0.0
                if chance.random() >= self.loss:
                    waiting.append((sent + chance.uniform(0, self.jitter) + late, number))
        yield from sorted(waiting)


def sent_at(number: int, ppm: float, length: float = 0.02) -> float:
    """When a sender sends its packet of this number, in seconds of our clock."""
    return number * length / (1 + ppm * 1e-6)
