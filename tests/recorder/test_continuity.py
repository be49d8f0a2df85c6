"""What a change of speaker inside a PBX leaves in RTP is noticed, and ordinary jitter is not taken for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recorder.continuity import Continuity
from recorder.rtp import Header

PTIME = 160


def packet(index: int, **changes: int) -> Header:
    return replace(Header(8, index % 0x10000, index * PTIME % 2**32, 7, 12, 172), **changes)


def breaks(*packets: tuple[int, Header]) -> list[bool]:
    """Packets and the ticks at which they arrive."""
    side = Continuity()
    return [side.is_broken_by(arrival, it, 8000) for arrival, it in packets]


def regular(first: int, last: int, shift: int = 0) -> list[tuple[int, Header]]:
    return [(index * PTIME + shift, packet(index)) for index in range(first, last)]


@pytest.mark.parametrize("first", [0, 65_530, 26_843_540])
def test_one_speaker_goes_on_over_every_wrap(first: int) -> None:
    assert not any(breaks(*regular(first, first + 20)))


@pytest.mark.parametrize(
    "other",
    [
        packet(5, ssrc=8),
        packet(5, payload_type=0),
        packet(5, timestamp=5 * PTIME + 40_000),
        packet(5, timestamp=5 * PTIME - 40_000 + 2**32),
        packet(5, sequence=9_000),
        packet(5, sequence=60_000),
    ],
)
def test_another_source_codec_or_clock_is_noticed(other: Header) -> None:
    assert breaks(*regular(0, 5), (5 * PTIME, other))[-1]


def test_a_silence_of_the_speaker_is_none() -> None:
    later = packet(5, timestamp=5 * PTIME + 80_000)
    assert not any(breaks(*regular(0, 5), (5 * PTIME + 80_000, later)))


def test_packets_that_come_late_twice_or_in_another_order_are_none() -> None:
    late = [(800, packet(6)), (810, packet(5)), (820, packet(6)), (960, packet(7))]
    assert not any(breaks(*regular(0, 5), *late))


def test_after_a_break_the_other_source_is_the_one_that_goes_on() -> None:
    others = [(index * PTIME, packet(index, ssrc=8)) for index in range(5, 9)]
    assert breaks(*regular(0, 5), *others)[5:] == [True, False, False, False]
