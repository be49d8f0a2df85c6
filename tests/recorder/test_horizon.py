"""The commit horizon: audio waits for so long while the recording goes on."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from recorder.capture.horizon import Horizon


def waited(tick: int, now: int, pauses: list[tuple[int, int]]) -> int:
    """For how long the recording has gone on since then."""
    paused = sum(max(0, min(until, now) - max(since, tick)) for since, until in pauses)
    return now - tick - paused


@pytest.mark.parametrize("seed", range(20))
def test_what_is_reached_has_waited_for_just_the_horizon(seed: int) -> None:
    chance = Random(seed)
    horizon, now, pauses = Horizon(100), 0, list[tuple[int, int]]()
    for _ in range(60):
        now += chance.choice((3, 40, 180))
        since = now
        horizon.pause(now)
        for _ in range(chance.randrange(3)):
            now += chance.choice((1, 60, 400))
            assert waited(horizon.reached(now), now, [*pauses, (since, now)]) == 100
        horizon.resume(now)
        pauses.append((since, now))
        for _ in range(chance.randrange(3)):
            now += chance.choice((1, 30, 150))
            assert waited(horizon.reached(now), now, pauses) == 100


def test_what_is_reached_never_goes_back() -> None:
    horizon, chance = Horizon(100), Random(1)
    reached = []
    for now in range(0, 4000, 7):
        act = chance.choice((horizon.pause, horizon.resume, None, None))
        if act is not None and (act == horizon.resume or horizon._since is None):
            act(now)
        reached.append(horizon.reached(now))
    assert all(before <= after for before, after in pairwise(reached))


def test_pauses_that_matter_no_more_are_forgotten() -> None:
    horizon = Horizon(100)
    for now in range(0, 100_000, 200):
        horizon.pause(now)
        horizon.resume(now + 10)
        horizon.reached(now + 150)
    assert len(horizon._pauses) <= 1
