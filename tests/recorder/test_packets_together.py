"""Packets that are held together leave the same in a clip as packets that are held one by one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recorder.packets import Block, Kind, Packet
from recorder.timeline import Timeline
from storage.frames import Frames
from storage.records import Audio, Gap, Quality, encode

FRAME = 160
Told = tuple[int, Packet]
"""A channel's packet."""


def copy(packet: Packet) -> Packet:
    return replace(packet, payload=bytearray(packet.payload))


def kind_of(packet: Packet) -> Kind:
    return Kind(packet.ssrc, packet.payload_type, packet.span, packet.rate, len(packet.payload))


def block(packets: Sequence[Packet]) -> Block:
    def column(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array(values, np.int64)

    steps = {
        (after.sequence - before.sequence, after.timestamp - before.timestamp)
        for before, after in pairwise(packets)
    }
    is_even = len(steps) == 1 and min(steps)[0] == 1
    return Block(
        kind_of(packets[0]),
        column(*(it.arrival for it in packets)),
        column(*(it.sequence for it in packets)),
        column(*(it.timestamp for it in packets)),
        np.array([list(it.payload) for it in packets], np.uint8),
        max(0, min(steps)[1]) if is_even else 0,
    )


def hold_together(timeline: Timeline, told: Sequence[Told]) -> None:
    """As capture does: blocks of what is alike and has a payload, side by side."""
    for channel in (0, 1):
        own = [packet for it, packet in told if it == channel]
        for kind, alike in groupby(own, kind_of):
            packets = [copy(it) for it in alike]
            if kind.octets:
                timeline.hold_block(channel, block(packets))
            else:
                for packet in packets:
                    timeline.hold(channel, packet)


def hold_apart(timeline: Timeline, told: Sequence[Told]) -> None:
    for channel, packet in sorted(told, key=lambda it: it[0]):
        timeline.hold(channel, copy(packet))


def written(records: Sequence[Audio | Gap | Frames | Quality]) -> bytes:
    return b"".join(it.encoded() if isinstance(it, Frames) else encode(it) for it in records)


@dataclass
class Sender:
    """One party; what happens to its packets, and what it does."""

    channel: int
    chance: random.Random
    told: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sequence, self.timestamp = self.chance.randrange(65536), self.chance.randrange(2**32)
        self.at, self.ssrc = self.chance.randrange(800), self.channel + 1
        self.kind, self.octets = 8, FRAME
        self.rate = self.chance.choice((8000, 8000, 16000))

    def send(self, late: int = 0, kind: int | None = None, octets: int | None = None) -> None:
        arrival = self.at + self.chance.randrange(300) + late
        size = self.octets if octets is None else octets
        where = (self.channel, arrival, self.ssrc, self.sequence, self.timestamp)
        self.told.append(_told(*where, self.kind if kind is None else kind, size, self.rate))

    def go_on(self) -> None:
        self.sequence += 1
        self.timestamp += self.octets * self.rate // 8000
        self.at += self.octets

    def meet_trouble(self) -> None:
        """From the network."""
        match self.chance.randrange(5):
            case 0:  # a packet is lost
                self.go_on()
            case 1:
                self.send(late=self.chance.choice((1000, 2500, 6000)))
                self.go_on()
            case 2:  # sent twice
                self.send(late=90)
            case 3:  # nothing arrives for a while
                self.at += self.chance.choice((4000, 30_000))
            case _:  # digits, comfort noise
                self.send(kind=101, octets=0)
                self.go_on()

    def change(self) -> None:
        """By itself."""
        match self.chance.randrange(6):
            case 0:  # is silent, and sends nothing
                self.timestamp, self.at = self.timestamp + 800, self.at + 800
            case 1:
                self.timestamp += self.chance.choice((-50_000, 3000, 900_000, -160))
            case 2:
                self.ssrc = self.chance.randrange(1, 4)
            case 3:
                self.sequence += self.chance.choice((-1000, 3000, 3001, 20_000))
            case 4:
                self.kind, self.rate = self.chance.choice((0, 8, 9)), self.chance.choice((8000, 8000, 16000))
            case _:
                self.octets = self.chance.choice((80, 160, 240))


def stream(chance: random.Random, trouble: float) -> list[Told]:
    """Of both parties, in order of arrival; `trouble`: how often something happens."""
    senders = [Sender(channel, chance) for channel in (0, 1)]
    for sender in senders:
        for _ in range(chance.randrange(120)):
            if chance.random() < trouble:
                chance.choice((sender.meet_trouble, sender.change))()
            sender.send()
            sender.go_on()
    return sorted((it for sender in senders for it in sender.told), key=lambda it: it[1].arrival)


def _told(
    channel: int, arrival: int, ssrc: int, number: int, stamp: int, kind: int, octets: int, rate: int
) -> Told:
    payload = bytearray(bytes([number % 251 + 1]) * octets)
    return channel, Packet(arrival, ssrc, number % 65536, stamp % 2**32, kind, payload, octets, rate)


@given(seed=st.integers(0, 2**32), trouble=st.sampled_from((0.0, 0.0, 0.01, 0.05, 0.3)))
def test_the_outcome_is_the_same(seed: int, trouble: float) -> None:
    chance = random.Random(seed)
    one, other = Timeline(), Timeline()
    told = stream(chance, trouble)
    now, horizon = 0, chance.choice((0, 2000, 16000))
    while told:
        now += chance.choice((160, 800, 8000))
        count = sum(packet.arrival <= now for _, packet in told)
        arrived, told = told[:count], told[count:]
        hold_apart(one, arrived)
        hold_together(other, arrived)
        match chance.choices(("commit", "drop", "anew", "wait"), (10, 1, 1, 3))[0]:
            case "commit":
                assert written(one.commit(now - horizon)) == written(other.commit(now - horizon))
                assert (one.end, one.kept, one.held()) == (other.end, other.kept, other.held())
            case "drop":
                assert one.drop_after(now - 1000) == other.drop_after(now - 1000)
            case "anew":
                one.begin_anew()
                other.begin_anew()
    assert written(one.commit(now)) == written(other.commit(now))
    assert written(one.close(now)) == written(other.close(now))
    assert one.figures() == other.figures()


def even(count: int) -> list[Packet]:
    """As calls send them."""
    return [_told(0, index * FRAME, 1, index, index * FRAME, 8, FRAME, 8000)[1] for index in range(count)]


def test_packets_as_calls_send_them_are_never_looked_at_one_by_one() -> None:
    """Else what this is for would be lost without anybody seeing it."""
    timeline = Timeline()
    packets = even(200)
    for second in range(4):
        timeline.hold_block(0, block(packets[50 * second : 50 * second + 50]))
        records = timeline.commit(50 * FRAME * second)
        assert all(isinstance(it, Frames) for it in records)
    assert timeline.kept == 151


def test_what_is_held_together_is_overwritten_when_it_is_dropped_and_when_it_is_written() -> None:
    for step in ("drop", "drop_after", "commit"):
        timeline, kept = (
            Timeline(),
            block([_told(0, n * FRAME, 1, n, n * FRAME, 8, FRAME, 8000)[1] for n in range(9)]),
        )
        timeline.hold_block(0, kept)
        match step:
            case "drop":
                assert timeline.drop() == 9
            case "drop_after":
                assert timeline.drop_after(0) == 9
            case _:
                timeline.commit(10 * FRAME)
        assert not kept.payloads.any()
