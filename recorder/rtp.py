"""RTP packets (RFC 3550 §5.1): headers, packets that are alike, and counters that wrap."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FIXED_BYTES = 12
_FIXED = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
PLAIN = 0x80  # version 2, no padding, no extension, no contributing sources


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


class Many(NamedTuple):
    """Packets of one source, type and length with nothing but a fixed header, in the order in which they
    came; payloads (n, octets).
    """

    payload_type: int
    ssrc: int
    sequences: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    payloads: NDArray[np.uint8]
    advance: int = 0
    """Where it is not 0: numbers rise by 1, timestamps by this, and neither wraps."""

    def each(self, arrivals: NDArray[np.int64]) -> Iterator[tuple[int, Header, bytearray]]:
        """One by one: arrival, header, and payload, which is overwritten here."""
        end = FIXED_BYTES + self.payloads.shape[1]
        columns = (arrivals.tolist(), self.sequences.tolist(), self.timestamps.tolist(), self.payloads)
        for arrival, sequence, timestamp, payload in zip(*columns, strict=True):
            audio = bytearray(payload.tobytes())
            payload[:] = 0
            header = Header(self.payload_type, sequence, timestamp, self.ssrc, FIXED_BYTES, end)
            yield arrival, header, audio


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
