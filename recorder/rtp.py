"""RTP packets (RFC 3550 §5.1): headers, one by one or a batch at once, and counters that wrap."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIXED_BYTES = 12
_FIXED = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
_PLAIN = 0x80  # version 2, no padding, no extension, no contributing sources


class RtpError(ValueError):
    """These bytes are no RTP packet of version 2."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a packet says of itself; its payload is packet[start:end]."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    start: int
    end: int


def parse(packet: bytes | bytearray | memoryview) -> Header:
    """Read one packet's header. Raises RtpError when version, extension or padding do not fit its length."""
    start = body_at(packet)
    first, second, sequence, timestamp, ssrc = _FIXED.unpack_from(packet)
    end = len(packet) - (packet[-1] if first & 0x20 else 0)
    if start > end or (first & 0x20 and packet[-1] == 0):
        raise RtpError("header or padding longer than the packet")
    return Header(second & 0x7F, sequence, timestamp, ssrc, start, end)


def body_at(packet: bytes | bytearray | memoryview) -> int:
    """Where the payload begins, or what is sealed of it. Raises RtpError."""
    if len(packet) < FIXED_BYTES:
        raise RtpError("shorter than an RTP header")
    first = packet[0]
    if first >> 6 != 2:
        raise RtpError("not version 2")
    start = FIXED_BYTES + 4 * (first & 0x0F)
    return _after_extension(packet, start) if first & 0x10 else start


def _after_extension(packet: bytes | bytearray | memoryview, start: int) -> int:
    if start + _EXTENSION.size > len(packet):
        raise RtpError("extension longer than the packet")
    return int(start + _EXTENSION.size + 4 * _EXTENSION.unpack_from(packet, start)[1])


def parse_batch(packets: NDArray[np.uint8], lengths: NDArray[Any]) -> list[Header | None]:
    """Headers of packets, shape (n, width), of the given lengths; None for those that `parse` refuses.

    What is the same for all is read by columns; only packets with options are read one by one.
    """
    if not len(packets):
        return []
    fixed = np.ascontiguousarray(packets[:, :FIXED_BYTES])
    words = fixed.view(">u4")
    columns = zip(
        fixed[:, 0].tolist(),
        (fixed[:, 1] & 0x7F).tolist(),
        (words[:, 0] & 0xFFFF).tolist(),
        words[:, 1].tolist(),
        words[:, 2].tolist(),
        lengths.tolist(),
        strict=True,
    )
    return [
        Header(kind, sequence, timestamp, ssrc, FIXED_BYTES, length)
        if first == _PLAIN and length >= FIXED_BYTES
        else _parse_or_none(memoryview(packets[index][:length]))
        for index, (first, kind, sequence, timestamp, ssrc, length) in enumerate(columns)
    ]


def _parse_or_none(packet: memoryview) -> Header | None:
    try:
        return parse(packet)
    except RtpError:
        return None


class Unwrapper:
    """Extends a counter of `bits` bits: each value becomes the nearest to the highest one seen (RFC 3550
    §A.1).
    """

    __slots__ = ("_half", "_modulus", "highest")

    def __init__(self, bits: int, first: int) -> None:
        self._modulus = 1 << bits
        self._half = 1 << bits - 1
        self.highest = first

    def extend(self, value: int) -> int:
        """The value on a scale that does not wrap; it may be below the first one."""
        extended = self.nearest(value)
        if extended > self.highest:
            self.highest = extended
        return extended

    def nearest(self, value: int) -> int:
        """The same, and nothing is taken as seen."""
        delta = (value - self.highest) % self._modulus
        return self.highest + delta - (self._modulus if delta >= self._half else 0)
