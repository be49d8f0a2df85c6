"""What a party may send: as much as any codec needs, and no more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recorder.relay.sockets import bind
from recorder.relay.stream import BURST, PACKETS_PER_SECOND, Stream, forward
from recorder.ring import RingWriter
from tests.fakes.relay import Tap
from tests.fakes.rtp import Phone, packet


class Flooded:
    """Two calls in this process, by a clock of our own; both are tapped into a ring of so many slots."""

    def __init__(self, slots: int) -> None:
        self.tap = Tap(slots)
        self.ring = RingWriter(self.tap.fd)
        self.phones = [Phone() for _ in range(2)]
        self.streams = [
            Stream(bind("127.0.0.1", 0, 1 << 16), session, 0, is_rtp=True) for session in range(2)
        ]
        for each, phone in zip(self.streams, self.phones, strict=True):
            each.aim((phone.rtp.getsockname(),), True, None)
            each.tap(self.ring)
            each.settle(0)
        self.routes = [it.route() for it in self.streams]
        self.sent = [0, 0]

    def send(self, call: int, now: float) -> None:
        """One packet of a call comes at this second."""
        self.sent[call] += 1
        said = packet(self.sent[call], 0, b"x")
        self.phones[call].rtp.sendto(said, self.streams[call].socket.getsockname())
        forward([(call, 0)], self.routes, int(now * 1e9))

    def close(self) -> None:
        for phone, each in zip(self.phones, self.streams, strict=True):
            phone.__exit__(None, None, None)
            each.socket.close()
        self.ring.close()
        self.tap.close()


@pytest.fixture
def flooded() -> Iterator[Flooded]:
    flooded = Flooded(slots=1024)
    yield flooded
    flooded.close()


def test_a_party_that_floods_takes_no_room_from_other_calls(flooded: Flooded) -> None:
    for index in range(50):
        for _ in range(40):
            flooded.send(0, 100 + index * 0.02)
        flooded.send(1, 100 + index * 0.02)
    first, second = flooded.streams
    assert (flooded.ring.dropped, second.packets, second.excess) == (0, 50, 0)
    assert first.packets <= 2 * BURST + PACKETS_PER_SECOND
    assert first.packets + first.excess == 2000
    assert flooded.tap.read() == first.packets + 50
    before = first.packets
    for index in range(1000):  # it goes on for two seconds
        flooded.send(0, 101 + index * 0.002)
    assert 0.9 * 2 * PACKETS_PER_SECOND <= first.packets - before <= 1.1 * 2 * PACKETS_PER_SECOND


def test_no_packet_of_5_ms_is_one_too_many_nor_a_second_of_speech_that_comes_at_once(
    flooded: Flooded,
) -> None:
    for index in range(1500):
        flooded.send(0, 100 + index * 0.005)
        flooded.tap.read()
    for index in range(10):
        for _ in range(50):
            flooded.send(1, 100 + index)
    assert [it.excess for it in flooded.streams] == [0, 0]
