"""Jitter as RFC 3550 reckons it."""

from __future__ import annotations

import random

from pytest import approx

from recorder.jitter import Jitter


def of_rfc(transits: list[int]) -> list[float]:
    """RFC 3550 §A.8, packet after packet."""
    found, last, jitter = [], transits[0], 0.0
    for transit in transits:
        difference, last = abs(transit - last), transit
        jitter += (1.0 / 16.0) * (difference - jitter)
        found.append(jitter)
    return found


def test_it_is_that_of_the_rfc_however_the_packets_come_in() -> None:
    chance = random.Random(1)
    transits = [chance.randrange(800) for _ in range(500)]
    jitter = Jitter()
    for first in range(0, 500, 7):
        jitter.note(transits[first : first + 7])
    expected = of_rfc(transits)
    assert jitter.most == approx(max(expected))
    assert jitter.mean == approx(sum(expected) / 500)


def test_a_timestamp_that_jumps_is_no_jitter() -> None:
    jitter = Jitter()
    jitter.note([100, 100, 500_000, 500_000])
    assert jitter.most == 0


def test_sources_count_by_their_packets() -> None:
    whole, quiet, loud = Jitter(), Jitter(), Jitter()
    quiet.note([0] * 100)
    loud.note([0, 800] * 50)
    whole.add(quiet)
    whole.add(loud)
    assert whole.mean == approx(loud.mean / 2)
    assert whole.most == loud.most
    assert Jitter().mean == 0
