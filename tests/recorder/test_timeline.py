"""Packets of both legs find their place on one clock."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest

from recorder.timeline import MAX_BEHIND, MAX_SOURCES, Packet, Timeline
from storage.records import Audio, Gap, Quality
from tests.fakes.timeline import committed

FRAME = 160
FAR = 10**9


def packet(
    index: int, arrival: int | None = None, *, ssrc: int = 1, shift: int = 0, first: int = 0
) -> Packet:
    """Packet `index` of a stream of 160 ticks every 20 ms; it arrives on time if not told otherwise."""
    at = index * FRAME if arrival is None else arrival
    return Packet(
        at,
        ssrc,
        (first + index) % 65536,
        (1000 + shift + index * FRAME) % 2**32,
        8,
        bytearray([index % 256] * FRAME),
        FRAME,
    )


def fill(timeline: Timeline, packets: list[Packet], channel: int = 0) -> None:
    for each in packets:
        timeline.hold(channel, each)


def shape(records: list[Audio | Gap]) -> list[tuple[str, int, int]]:
    """(kind, position, first payload byte or length)."""
    return [
        ("audio", record.position, record.payload[0])
        if isinstance(record, Audio)
        else ("gap", record.position, record.length)
        for record in records
    ]


def audio(*pairs: tuple[int, int]) -> list[tuple[str, int, int]]:
    return [("audio", position, content) for position, content in pairs]


def test_packets_in_order_lie_side_by_side() -> None:
    timeline = Timeline()
    fill(timeline, [packet(index) for index in range(4)])
    assert shape(committed(timeline, FAR)) == audio((0, 0), (160, 1), (320, 2), (480, 3))


def test_disorder_and_duplicates_are_undone_also_where_the_counters_wrap() -> None:
    def sent(step: int) -> list[Packet]:
        return [packet(index, first=65530, shift=2**32 - 1500) for index in range(0, 20, step)]

    expected = audio(*((index * FRAME, index) for index in range(20)))
    for seed in range(10):
        timeline = Timeline()
        first, *rest = sent(1) + sent(3)
        random.Random(seed).shuffle(rest)
        fill(timeline, [first, *rest])
        assert shape(committed(timeline, FAR)) == expected
        assert timeline.close(0)[0] == Quality(0, received=20, lost=0, late=0, duplicated=7)


def test_a_lost_packet_becomes_a_gap_of_its_length() -> None:
    timeline = Timeline()
    fill(timeline, [packet(index) for index in (0, 1, 3)])
    assert shape(committed(timeline, FAR)) == [*audio((0, 0), (160, 1)), ("gap", 320, 160), *audio((480, 3))]
    assert timeline.close(0)[0] == Quality(0, received=3, lost=1, late=0, duplicated=0)


def test_both_legs_share_one_clock() -> None:
    timeline = Timeline()
    fill(timeline, [packet(index) for index in range(3)], channel=0)
    fill(timeline, [packet(index, index * FRAME + 240, ssrc=9, shift=77777) for index in range(2)], channel=1)
    records = committed(timeline, FAR)
    assert [(record.channel, record.position) for record in records] == [
        (0, 0),
        (1, 0),
        (0, 160),
        (1, 240),
        (0, 320),
        (1, 400),
    ]
    assert shape([record for record in records if record.channel == 1])[0] == ("gap", 0, 240)


def test_jitter_does_not_move_anything() -> None:
    late = random.Random(1)
    timeline = Timeline()
    fill(timeline, [packet(0, 100), *(packet(n, n * FRAME + late.randrange(0, 800)) for n in range(1, 50))])
    positions = [record.position for record in committed(timeline, FAR) if isinstance(record, Audio)]
    assert positions == [positions[0] + index * FRAME for index in range(50)]
    assert 0 <= positions[0] <= 100


def test_the_first_packet_s_own_delay_does_not_shift_the_leg() -> None:
    timeline = Timeline()
    fill(timeline, [packet(0, 900), *(packet(index, index * FRAME + 400) for index in range(1, 10))])
    assert shape(committed(timeline, FAR))[:2] == [("gap", 0, 400), ("audio", 400, 0)]


def test_only_what_is_older_than_the_horizon_is_committed() -> None:
    timeline = Timeline()
    fill(timeline, [packet(index) for index in range(10)])
    assert len(committed(timeline, 4 * FRAME)) == 5
    assert len(committed(timeline, 4 * FRAME)) == 0
    assert timeline.end == 5 * FRAME
    assert len(committed(timeline, 6 * FRAME)) == 2


def test_a_timestamp_that_jumps_ahead_is_placed_by_arrival() -> None:
    timeline = Timeline()
    fill(timeline, [packet(0), packet(1), packet(2, shift=500_000), packet(3, shift=500_000)])
    assert shape(committed(timeline, FAR)) == audio((0, 0), (160, 1), (320, 2), (480, 3))


def test_a_timestamp_that_stood_still_while_time_passed_is_placed_by_arrival() -> None:
    timeline = Timeline()
    fill(timeline, [packet(0), packet(1), *(packet(n, n * FRAME + 8000) for n in range(2, 6))])
    assert shape(committed(timeline, FAR))[2:4] == [("gap", 320, 8000), ("audio", 8320, 2)]


def test_a_difference_within_250_ms_moves_nothing() -> None:
    def check(delay: int, expected: int) -> None:
        timeline = Timeline()
        fill(timeline, [packet(0, 4000), packet(1, 4160), packet(2, 4320 + delay)])
        assert committed(timeline, FAR)[-1].position == expected

    check(2000, 4320)
    check(2001, 6321)
    check(-2000, 2320)  # the first packets came late by that much
    check(-2001, 4320)  # by arrival it would lie before what is written


def test_a_burst_after_a_stall_stays_where_its_timestamps_say() -> None:
    stalled = [packet(index, 8000) for index in range(2, 40)]
    timeline = Timeline()
    fill(
        timeline, [packet(0), packet(1), *stalled, *(packet(index, 8000 + index) for index in range(40, 60))]
    )
    assert shape(committed(timeline, FAR)) == audio(*((index * FRAME, index) for index in range(60)))


def test_a_new_ssrc_is_placed_by_arrival_and_behind_what_was_there() -> None:
    timeline = Timeline()
    fill(timeline, [packet(0), packet(1), packet(0, 300, ssrc=2, shift=99), packet(1, 460, ssrc=2, shift=99)])
    assert shape(committed(timeline, FAR)) == audio((0, 0), (160, 1), (320, 0), (480, 1))


def test_a_flood_of_sources_is_counted_and_forgotten() -> None:
    timeline = Timeline()
    for index in range(1000):
        timeline.hold(0, packet(index, ssrc=index))
        committed(timeline, index * FRAME)
    leg = timeline._legs[0]
    assert len(leg._runs) + len(leg._past) <= MAX_SOURCES
    assert timeline.close(0)[0] == Quality(0, received=1000, lost=0, late=0, duplicated=0)


def test_a_sender_that_begins_its_numbers_anew_goes_on() -> None:
    timeline = Timeline()
    fill(timeline, [packet(0), packet(1), *(packet(n, first=20000, shift=7) for n in (2, 3))])
    assert shape(committed(timeline, FAR)) == audio((0, 0), (160, 1), (320, 2), (480, 3))
    assert timeline.close(0)[0] == Quality(0, received=4, lost=0, late=0, duplicated=0)


def test_what_comes_after_its_place_was_committed_is_late() -> None:
    timeline = Timeline()
    fill(timeline, [packet(0), packet(2)])
    committed(timeline, FAR)
    late = packet(1, 500)
    timeline.hold(0, late)
    assert committed(timeline, FAR) == []
    assert not any(late.payload)
    assert timeline.close(0)[0] == Quality(0, received=3, lost=0, late=1, duplicated=0)


def test_a_packet_that_must_not_be_kept_leaves_a_gap_and_is_not_lost() -> None:
    timeline = Timeline()
    event = packet(1)
    event.payload = bytearray()
    fill(timeline, [packet(0), event, packet(2)])
    assert shape(committed(timeline, FAR)) == [*audio((0, 0)), ("gap", 160, 160), *audio((320, 2))]
    assert timeline.close(0)[0] == Quality(0, received=3, lost=0, late=0, duplicated=0)


def test_the_end_is_marked_on_both_legs() -> None:
    timeline = Timeline()
    fill(timeline, [packet(0)])
    committed(timeline, FAR)
    assert timeline.close(800)[:2] == [Gap(0, 160, 640), Gap(1, 0, 800)]
    assert timeline.end == 800


def test_a_later_part_begins_where_it_begins() -> None:
    timeline = Timeline(start=8000)
    fill(timeline, [packet(0, 8100)])
    assert shape(committed(timeline, FAR)) == [("gap", 8000, 100), *audio((8100, 0))]


def test_dropping_overwrites_what_was_held() -> None:
    timeline = Timeline()
    packets = [packet(index) for index in range(1, 6)]
    fill(timeline, packets)
    committed(timeline, 2 * FRAME)
    assert timeline.drop() == 3
    assert not any(any(each.payload) for each in packets)
    assert committed(timeline, FAR) == []


def test_a_flood_whose_timestamps_mean_nothing_costs_no_more_than_its_packets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at: list[int] = []

    def excess(_timestamp: int, _packet: Packet, later: Iterable[Any]) -> int:
        looked_at.append(len(list(later)))
        return 0

    monkeypatch.setattr("recorder.runs._excess", excess)
    timeline, chance = Timeline(), random.Random(1)
    fill(timeline, [packet(index, index, shift=chance.randrange(2**32)) for index in range(2000)])
    committed(timeline, FAR)
    assert max(looked_at) == MAX_BEHIND
