"""RTP headers, singly and by the batch, and counters that wrap."""

from __future__ import annotations

import pytest

from recorder.rtp import Header, RtpError, Unwrapper, parse
from tests.fakes.rtp import packet


def with_options(first: int, extra: bytes) -> bytes:
    plain = packet(1, 2, b"", ssrc=3)
    return bytes([first]) + plain[1:] + extra


def test_the_payload_is_found_behind_every_kind_of_header() -> None:
    def check(data: bytes, expected: bytes) -> None:
        header = parse(data)
        assert data[header.start : header.end] == expected

    check(packet(1, 2, b"audio"), b"audio")
    check(packet(1, 2, b""), b"")
    check(with_options(0x82, b"srcAsrcBaudio"), b"audio")
    check(with_options(0x90, b"\xbe\xde\x00\x01extnaudio"), b"audio")
    check(with_options(0x90, b"\xbe\xde\x00\x00audio"), b"audio")
    check(with_options(0xA0, b"audio\x00\x00\x03"), b"audio")
    check(with_options(0xB1, b"srcA\xbe\xde\x00\x01extnaudio\x01"), b"audio")


def test_what_does_not_fit_its_length_is_refused() -> None:
    def check(data: bytes) -> None:
        with pytest.raises(RtpError):
            parse(data)

    check(b"")
    check(packet(1, 2, b"")[:11])
    check(b"\x40" + packet(1, 2, b"")[1:])
    check(with_options(0x81, b"src"))
    check(with_options(0x90, b"\xbe\xde\x00"))
    check(with_options(0x90, b"\xbe\xde\x00\x02extn"))
    check(with_options(0xA0, b"audio\x00"))
    check(with_options(0xA0, b"audio\xff"))


def test_fields_are_read_as_they_were_sent() -> None:
    data = packet(65535, 2**32 - 1, b"xy", ssrc=2**32 - 2, payload_type=127, marker=True)
    assert parse(data) == Header(127, 65535, 2**32 - 1, 2**32 - 2, 12, 14)


def test_a_counter_that_wraps_goes_on() -> None:
    def check(values: list[int], expected: list[int]) -> None:
        unwrapper = Unwrapper(16, values[0])
        assert [unwrapper.extend(value) for value in values] == expected

    check([65534, 65535, 0, 1], [65534, 65535, 65536, 65537])
    check([65535, 1, 0, 2], [65535, 65537, 65536, 65538])
    check([0, 65535, 1], [0, -1, 1])
    check([5, 5], [5, 5])
