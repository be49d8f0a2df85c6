"""Where a telephone behind a NAT sends from is learned from four packets, and nothing else is believed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.phone import free_port
from recorder.relay.latch import Latch
from recorder.relay.protocol import Address
from recorder.relay.sockets import bind
from recorder.relay.stream import Stream, forward
from tests.fakes.rtp import PCMA, PCMU, Phone, packet, sender_report, silent

MS = 1_000_000
OFFICE, STRANGER = ("198.51.100.7", 31_000), ("203.0.113.66", 31_000)
NEIGHBOUR = ("198.51.100.7", 31_002)  # behind the same NAT
TOLD = ("192.168.1.20", 4000)


@pytest.fixture
def latch() -> Latch:
    return Latch(OFFICE[0], frozenset({TOLD}))


def send(latch: Latch, source: Address, number: int, ms: int, ssrc: int = 1) -> bool:
    return latch.admits(source, memoryview(packet(number, 0, b"x", ssrc=ssrc)), ms * MS)


@pytest.mark.parametrize("source", [OFFICE, TOLD])
def test_the_fourth_of_four_packets_makes_it_certain(latch: Latch, source: Address) -> None:
    heard = [send(latch, source, 65_534 + index, 20 * index) for index in range(4)]
    assert heard == [False, False, False, True]
    assert latch.place == source


def test_nobody_is_believed_at_another_address(latch: Latch) -> None:
    assert not any(send(latch, STRANGER, index, 20 * index) for index in range(100))
    assert latch.place is None


@pytest.mark.parametrize(
    ("numbers", "step_ms", "ssrcs"),
    [
        ((1, 2, 3, 4), 7, (1, 1, 1, 1)),  # in 21 ms
        ((1, 2, 2, 3), 20, (1, 1, 1, 1)),
        ((1, 2, 4, 5), 20, (1, 1, 1, 1)),
        ((4, 3, 2, 1), 20, (1, 1, 1, 1)),
        ((1, 2, 3, 4), 20, (1, 1, 2, 2)),
    ],
)
def test_four_that_do_not_follow_one_another_say_nothing(
    latch: Latch, numbers: tuple[int, ...], step_ms: int, ssrcs: tuple[int, ...]
) -> None:
    for index, (number, ssrc) in enumerate(zip(numbers, ssrcs, strict=True)):
        assert not send(latch, OFFICE, number, step_ms * index, ssrc)
    assert latch.place is None


def test_packets_of_5_ms_take_more_than_four(latch: Latch) -> None:
    heard = [send(latch, OFFICE, index, 5 * index) for index in range(6)]
    assert heard == [False] * 5 + [True]


def test_others_behind_the_same_nat_do_not_hinder_it(latch: Latch) -> None:
    for index in range(3):
        assert not send(latch, OFFICE, index, 20 * index)
        for port in range(6):
            assert not send(latch, (OFFICE[0], 40_000 + port), 7 * index, 20 * index)
    assert send(latch, OFFICE, 3, 60)


class Learning:
    """Two sockets of a call in this process, by a clock of our own; the telephone on the first is hidden."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ms = 1000
        self.number = 0
        monkeypatch.setattr("recorder.relay.stream.monotonic_ns", lambda: self.ms * MS)
        self.hidden, self.moved, self.other = Phone(), Phone(), Phone()
        self.streams = [
            Stream(bind("127.0.0.1", free_port(), 1 << 16), 1, it, is_rtp=True) for it in range(2)
        ]
        first, second = self.streams
        first.opposite, second.opposite = second, first
        second.aim((self.other.rtp.getsockname(),), True, None)
        self.learn(4000)

    def learn(self, port: int, types: frozenset[int] | None = None) -> None:
        """A description names this port, at an address that nobody reaches."""
        self.streams[0].aim((("192.0.2.77", port),), True, types, "127.0.0.1")

    def send(self, phone: Phone, side: int, data: bytes | None = None) -> None:
        """20 ms later one packet comes."""
        self.ms, self.number = self.ms + 20, self.number + 1
        said = packet(self.number, 0, b"x") if data is None else data
        phone.rtp.sendto(said, self.streams[side].socket.getsockname())
        forward([(side, 0)], [it.route() for it in self.streams], self.ms * MS)

    def close(self) -> None:
        for phone in (self.hidden, self.moved, self.other):
            phone.__exit__(None, None, None)
        for stream in self.streams:
            stream.socket.close()


@pytest.fixture
def learning(monkeypatch: pytest.MonkeyPatch) -> Iterator[Learning]:
    learning = Learning(monkeypatch)
    yield learning
    learning.close()


def test_nothing_passes_either_way_before_the_place_is_learned(learning: Learning) -> None:
    for _ in range(3):
        learning.send(learning.hidden, 0)
    learning.send(learning.other, 1)
    assert silent(learning.other.rtp)
    assert silent(learning.hidden.rtp)
    learning.number -= 1  # the other party's
    learning.send(learning.hidden, 0)
    learning.send(learning.other, 1)
    assert learning.other.rtp.recv(100)
    assert learning.hidden.rtp.recv(100)


def test_what_is_no_sound_that_was_agreed_on_teaches_nothing(learning: Learning) -> None:
    learning.learn(4002, frozenset({PCMA}))
    for data in (b"", b"x" * 11, sender_report(), packet(5, 0, b"x", payload_type=PCMU)):
        for _ in range(5):
            learning.send(learning.hidden, 0, data)
    for number in range(1, 5):
        learning.send(learning.hidden, 0, packet(number, 0, b"x", payload_type=PCMU))
    assert learning.streams[0].foreign == 24
    assert silent(learning.other.rtp)


def test_what_was_learned_stays_until_the_party_says_something_else(learning: Learning) -> None:
    for _ in range(4):
        learning.send(learning.hidden, 0)
    for _ in range(10):
        learning.send(learning.moved, 0)  # behind the same NAT
    learning.learn(4000, frozenset({PCMA}))  # the same again, in other codecs
    for _ in range(10):
        learning.send(learning.moved, 0)
    learning.send(learning.hidden, 0)
    assert (learning.streams[0].packets, learning.streams[1].packets) == (2, 0)
    learning.learn(4004)
    for _ in range(4):
        learning.send(learning.moved, 0)
    learning.send(learning.other, 1)
    assert learning.moved.rtp.recv(100)
    assert silent(learning.hidden.rtp)
