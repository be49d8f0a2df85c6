"""The ring never waits, never delivers half a record, and forgets what was read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder import ring
from recorder.ring import SIDE_A, SIDE_B, RingError, RingReader, RingWriter
from tests.fakes.relay import Tap

HEAD, TAIL = 8 * 8, 16 * 8


@pytest.fixture
def tap() -> Iterator[Tap]:
    tap = Tap(slots=4)
    yield tap
    tap.close()


def write(writer: RingWriter, *payloads: bytes) -> list[bool]:
    return [writer.write(7, SIDE_B, 123, memoryview(payload)) for payload in payloads]


def test_records_come_out_as_they_went_in_over_many_laps(tap: Tap) -> None:
    writer = RingWriter(tap.fd)
    expected = []
    for number in range(11):
        payload = bytes([number]) * (number * 50)
        assert writer.write(2**64 - 1 - number, number % 2, number, memoryview(payload))
        expected.append((2**64 - 1 - number, number % 2, payload))
        if number % 3 == 2:
            tap.read()
    tap.read()
    assert tap.packets == expected
    writer.close()


def test_what_was_read_is_zeroed(tap: Tap) -> None:
    writer = RingWriter(tap.fd)
    write(writer, b"secret" * 30, b"speech" * 30)
    assert not tap.is_blank()
    tap.read()
    assert tap.is_blank()
    writer.close()


def test_a_consumer_that_fails_leaves_nothing_behind(tap: Tap) -> None:
    writer = RingWriter(tap.fd)
    write(writer, b"secret")

    def consume(_: ring.Records) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        tap.reader.drain(consume)
    assert tap.is_blank()
    assert write(writer, b"next") == [True]
    assert tap.read() == 1
    writer.close()


def test_a_full_ring_drops_and_counts_and_goes_on(tap: Tap) -> None:
    writer = RingWriter(tap.fd)
    assert write(writer, *[b"x"] * 6) == [True] * 4 + [False] * 2
    assert writer.dropped == 2
    assert tap.read() == 4
    assert write(writer, b"y") == [True]
    assert tap.read() == 5
    writer.close()


def test_a_packet_too_large_for_a_slot_is_dropped(tap: Tap) -> None:
    writer = RingWriter(tap.fd)
    assert write(writer, bytes(ring.PACKET_BYTES + 1), bytes(ring.PACKET_BYTES)) == [False, True]
    assert (writer.dropped, tap.read()) == (1, 1)
    writer.close()


def test_a_record_that_is_not_whole_is_not_delivered_and_does_not_wedge() -> None:
    def check(offset: int, value: bytes) -> None:
        tap = Tap(slots=4)
        writer = RingWriter(tap.fd)
        write(writer, b"first", b"second", b"third")
        os.pwrite(tap.fd, value, 4096 + ring.SLOT_BYTES + offset)
        assert [packet for _, _, packet in (tap.read(), tap.packets)[1]] == [b"first", b"third"]
        assert tap.reader.torn == 1
        assert tap.is_blank()
        assert write(writer, b"fourth", b"fifth") == [True, True]
        assert tap.read() == 4
        writer.close()
        tap.close()

    check(0, b"\xff")  # session
    check(16, b"\xff\xff")  # a length beyond the slot
    check(24, b"S")  # packet
    check(ring.SLOT_BYTES - 8, b"\x02")  # a lap that is not this one
    check(ring.SLOT_BYTES - 8, bytes(8))  # trailer never written


def test_a_record_of_an_earlier_lap_is_no_record(tap: Tap) -> None:
    writer = RingWriter(tap.fd)
    write(writer, b"old")
    old = os.pread(tap.fd, ring.SLOT_BYTES, 4096)
    tap.read()
    write(writer, *[b"x"] * 4)
    os.pwrite(tap.fd, old, 4096)
    tap.read()
    assert [packet for _, _, packet in tap.packets] == [b"old", b"x", b"x", b"x"]
    writer.close()


def test_a_producer_killed_half_way_hands_over_a_clean_slot(tap: Tap) -> None:
    """The child publishes one record, writes most of a second and dies as by kill -9."""
    program = f"""
import os, signal
from recorder.ring import SLOT_BYTES, RingWriter
RingWriter({tap.fd}).write(7, 1, 123, memoryview(b"whole"))
os.pwrite({tap.fd}, b"half a record" * 40, 4096 + SLOT_BYTES)
os.kill(os.getpid(), signal.SIGKILL)
"""
    child = subprocess.run([sys.executable, "-c", program], pass_fds=(tap.fd,), check=False)
    assert child.returncode == -signal.SIGKILL
    successor = RingWriter(tap.fd)
    write(successor, b"next")
    tap.read()
    assert [packet for _, _, packet in tap.packets] == [b"whole", b"next"]
    assert tap.reader.torn == 0
    assert tap.is_blank()
    successor.close()


def test_control_words_that_contradict_each_other_reset_the_ring(tap: Tap) -> None:
    writer = RingWriter(tap.fd)
    write(writer, b"x")
    os.pwrite(tap.fd, (10**6).to_bytes(8, "little"), HEAD)
    assert tap.read() == 0
    assert tap.is_blank()
    assert os.pread(tap.fd, 8, HEAD) == os.pread(tap.fd, 8, TAIL)
    writer.close()


def test_a_restarted_consumer_goes_on_where_the_last_one_stood(tap: Tap) -> None:
    writer = RingWriter(tap.fd)
    write(writer, b"one", b"two")
    tap.read()
    write(writer, b"three")
    successor = RingReader(tap.fd)
    seen: list[int] = []
    assert successor.drain(lambda records: seen.extend(records["side"].tolist())) == 1
    assert seen == [SIDE_B]
    assert SIDE_A not in seen
    successor.close()
    writer.close()


def test_a_descriptor_that_is_no_ring_is_refused() -> None:
    def check(content: bytes) -> None:
        fd = os.memfd_create("other")
        os.write(fd, content)
        with pytest.raises(RingError):
            RingReader(fd)
        os.close(fd)

    check(b"")
    check(bytes(8192))


def test_a_ring_cannot_be_shrunk_under_its_holders(tap: Tap) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(tap.fd, 0)


def test_a_ring_stays_out_of_core_files(tap: Tap) -> None:
    text = Path("/proc/self/smaps").read_text()
    part = text[text.index("memfd:doelband-ring") :]
    flags = part[part.index("VmFlags:") :].splitlines()[0].split()
    assert "dd" in flags
    assert ("lo" in flags) == tap.reader.locked
