"""Both legs of a call stay where they were said, over a link that loses, reorders, doubles and delays, and
though no two clocks agree: nothing is invented, and what is missing is marked.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import pairwise
from time import monotonic, sleep

from demo.phone import free_port
from recorder import ring
from recorder.relay.protocol import LABELS
from recorder.relay.sockets import bind
from recorder.rtp import parse
from recorder.timeline import Packet, Timeline
from storage.records import CLOCK_RATE, Audio, Gap, Quality
from tests.fakes.link import Link, sent_at
from tests.fakes.relay import Tap, WorkerProcess
from tests.fakes.rtp import Phone, packet
from tests.fakes.timeline import committed

ALIGNED = CLOCK_RATE // 50
"""20 ms in ticks."""
HORIZON = 2 * CLOCK_RATE
ROUGH = Link()
SMOOTH = Link(loss=0, reorder=0, duplicate=0, jitter=0.001)

Records = list[Audio | Gap | Quality]


def said(number: int, channel: int) -> bytes:
    return number.to_bytes(4) + bytes([channel])


def number_of(record: Audio) -> int:
    assert record.payload == said(int.from_bytes(record.payload[:4]), record.channel)
    return int.from_bytes(record.payload[:4])


def leg(
    link: Link, seconds: float, ppm: float, length: float, channel: int
) -> Iterator[tuple[int, int, int]]:
    """(tick, channel, number), in order of arrival."""
    for at, number in link.carry(seconds, ppm, channel, length):
        yield int(at * CLOCK_RATE), channel, number


def record(link: Link, seconds: float, ppm: tuple[float, float], length: float) -> Records:
    """The clip of a call: what a timeline makes of it that is asked every five packets."""
    timeline, span, records = Timeline(), int(length * CLOCK_RATE), Records()
    due = step = 5 * span
    legs = (leg(link, seconds, it, length, channel) for channel, it in enumerate(ppm))
    for tick, channel, number in heapq.merge(*legs):
        while tick > due:
            records += committed(timeline, due - HORIZON)
            due += step
        timestamp, payload = (number * span + 77) % 2**32, bytearray(said(number, channel))
        timeline.hold(channel, Packet(tick, channel, number % 65536, timestamp, 8, payload, span))
    return [*records, *committed(timeline, due), *timeline.close(due)]


def errors(records: Records, channel: int, ppm: float, length: float) -> dict[int, float]:
    """By how many ticks each packet stands behind where it was said, by its number."""
    return {
        number: it.position - sent_at(number, ppm, length) * CLOCK_RATE
        for it in records
        if isinstance(it, Audio) and it.channel == channel
        for number in [number_of(it)]
    }


def test_both_legs_stay_within_20_ms_for_an_hour() -> None:
    ppm, length = (100, -100), 0.12  # a sixth of the usual packets: the same hour in a sixth of the time
    records = record(ROUGH, 3600, ppm, length)
    first, second = (errors(records, channel, it, length) for channel, it in enumerate(ppm))
    assert min(len(first), len(second)) > 0.93 * 3600 / length
    both = first.keys() & second.keys()
    assert max(abs(first[it] - second[it]) for it in both) < ALIGNED
    for channel, said_by in enumerate((first, second)):
        audio = [it for it in records if isinstance(it, Audio) and it.channel == channel]
        assert len(audio) == len(said_by), "no packet is there twice"
        assert list(said_by) == sorted(said_by), "nor out of order"


def test_what_was_lost_is_marked_where_it_is_missing_and_counted() -> None:
    records = record(ROUGH, 60, (100, -100), 0.02)
    for channel in range(2):
        found = [it for it in records if isinstance(it, Audio | Gap) and it.channel == channel]
        end = 0
        for it in found:
            assert it.position <= end, "a hole without a mark"
            end = max(end, it.position + (it.length if isinstance(it, Gap) else 160))
        numbers = [number_of(it) for it in found if isinstance(it, Audio)]
        missing = sum(after - before - 1 for before, after in pairwise(numbers))
        (quality,) = (it for it in records if isinstance(it, Quality) and it.channel == channel)
        assert 0.02 * 3000 < missing <= 0.08 * 3000
        assert (quality.lost, quality.late) == (missing, 0)
        silent = sum(it.length for it in found if isinstance(it, Gap) and it.position < found[-1].position)
        assert abs(silent - missing * 160) < ALIGNED + 2 * CLOCK_RATE  # the last two seconds are cut


def test_a_call_whose_clocks_agree_is_not_moved() -> None:
    records = record(SMOOTH, 120, (0, 0), 0.02)
    for channel in range(2):
        audio = [it.position for it in records if isinstance(it, Audio) and it.channel == channel]
        assert {after - before for before, after in pairwise(audio)} == {160}


def test_so_does_it_with_real_packets_through_a_relay() -> None:
    """Both parties say the same at the same instants, each over its own bad link."""
    seconds, length = 1.5, 0.02
    tap = Tap()
    worker = WorkerProcess(tap.fd)
    with Phone() as caller, Phone() as callee:
        sockets = [bind("127.0.0.1", free_port(), 1 << 18) for _ in LABELS]
        worker.order({"op": "open", "session": 1, "labels": list(LABELS)}, sockets)
        for side, phone in (("a", caller), ("b", callee)):
            worker.order(
                {"op": "remote", "session": 1, "side": side, "remotes": [phone.remote], "final": True}
            )
        worker.order({"op": "tap", "session": 1, "level": "all"})
        legs = heapq.merge(*(leg(ROUGH, seconds, 0, length, channel) for channel in range(2)))
        began = monotonic()
        for tick, channel, number in legs:
            sleep(max(0.0, began + tick / CLOCK_RATE - monotonic()))
            data = packet(number, number * 160, said(number, channel) + bytes(155), ssrc=channel)
            phone, port = (caller, 0) if channel == 0 else (callee, 2)
            phone.rtp.sendto(data, sockets[port].getsockname())
    timeline, arrived = Timeline(), list[tuple[int, int, bytes]]()

    def keep(records: ring.Records) -> None:
        rows = zip(records["arrival_ns"], records["side"], records["packet"], records["length"], strict=True)
        arrived.extend((int(at), int(side), data[:size].tobytes()) for at, side, data, size in rows)

    worker.stop()
    tap.reader.drain(keep)
    for at, channel, data in arrived:
        tick, header = int((at / 1e9 - began) * CLOCK_RATE), parse(data)
        kept = bytearray(data[header.start : header.start + 5])
        timeline.hold(channel, Packet(tick, header.ssrc, header.sequence, header.timestamp, 8, kept, 160))
    found: Records = [*committed(timeline, 10 * CLOCK_RATE)]
    first, second = (errors(found, channel, 0, length) for channel in range(2))
    assert max(abs(first[it] - second[it]) for it in first.keys() & second.keys()) < ALIGNED
    assert {(side, int.from_bytes(data[12:16])) for _, side, data in arrived} == {
        (channel, number) for channel, those in enumerate((first, second)) for number in those
    }
    for each in sockets:
        each.close()
    tap.close()
