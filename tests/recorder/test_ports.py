"""Ports of one call stay away from the next."""

from __future__ import annotations

import random

import pytest

from recorder.ports import PoolExhausted, PortPool


def test_pairs_are_even_and_lie_within_the_range() -> None:
    def check(bounds: tuple[int, int], expected: set[int]) -> None:
        pool = PortPool(*bounds, rest_seconds=10, draw=random.Random(1).randrange)
        taken = {pool.take(0) for _ in expected}
        assert taken == expected
        with pytest.raises(PoolExhausted):
            pool.take(0)

    check((20000, 20005), {20000, 20002, 20004})
    check((20001, 20005), {20002, 20004})
    check((20000, 20004), {20000, 20002})


def test_a_range_without_a_pair_is_refused() -> None:
    def check(low: int, high: int) -> None:
        with pytest.raises(ValueError, match="media ports"):
            PortPool(low, high, 1, draw=lambda _: 0)

    check(20001, 20002)
    check(20002, 20002)
    check(80, 90)
    check(65530, 65536)


def test_a_port_rests_before_it_is_used_again() -> None:
    pool = PortPool(20000, 20001, rest_seconds=30, draw=lambda _: 0)
    port = pool.take(100.0)
    pool.give_back(port, 200.0)
    with pytest.raises(PoolExhausted):
        pool.take(229.9)
    assert pool.take(230.0) == port


def test_a_port_is_given_back_once() -> None:
    pool = PortPool(20000, 20003, rest_seconds=0, draw=lambda _: 0)
    port = pool.take(0)
    pool.give_back(port, 0)
    with pytest.raises(ValueError, match="not in use"):
        pool.give_back(port, 0)


def test_the_draw_chooses_the_port() -> None:
    drawn: list[int] = []

    def draw(count: int) -> int:
        drawn.append(count)
        return count - 1

    pool = PortPool(20000, 20007, rest_seconds=0, draw=draw)
    assert [pool.take(0) for _ in range(4)] == [20006, 20004, 20002, 20000]
    assert drawn == [4, 3, 2, 1]
