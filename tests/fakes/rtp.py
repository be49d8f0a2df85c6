"""RTP streams as phones send them, and phones on loopback that send and hear them."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from types import TracebackType

PCMU, PCMA, TELEPHONE_EVENT = 0, 8, 101
SAMPLES = 160
"""Of one 20 ms packet at 8000 Hz."""


def packet(
    sequence: int,
    timestamp: int,
    payload: bytes,
    *,
    ssrc: int = 1,
    payload_type: int = PCMA,
    marker: bool = False,
) -> bytes:
    """One RTP packet (RFC 3550 §5.1); numbers wrap as they do on the wire."""
    second = payload_type | (128 if marker else 0)
    return struct.pack("!BBHII", 128, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def sender_report(ssrc: int = 1) -> bytes:
    """A minimal RTCP sender report (RFC 3550 §6.4.1)."""
    return struct.pack("!BBHIQIII", 128, 200, 6, ssrc, 0, 0, 0, 0)


def speech(seed: int, count: int) -> list[bytes]:
    """`count` payloads of a party's own pseudo-random sequence."""
    return [random.Random(f"{seed}/{index}").randbytes(SAMPLES) for index in range(count)]


def stream(
    payloads: list[bytes],
    *,
    ssrc: int = 1,
    first: int = 65530,
    timestamp: int = 2**32 - 400,
    payload_type: int = PCMA,
) -> Iterator[bytes]:
    """Consecutive packets; by default both counters wrap within the first few."""
    for index, payload in enumerate(payloads):
        yield packet(
            first + index,
            timestamp + index * SAMPLES,
            payload,
            ssrc=ssrc,
            payload_type=payload_type,
            marker=index == 0,
        )


class Phone:
    """Two UDP sockets on loopback, RTP and RTCP, like a phone's."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.rtp = _bound(address)
        self.rtcp = _bound(address)

    @property
    def remote(self) -> tuple[str, int, int]:
        """As signalling would announce it."""
        address, port = self.rtp.getsockname()[:2]
        return address, port, self.rtcp.getsockname()[1]

    def __enter__(self) -> Phone:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rtp.close()
        self.rtcp.close()


def _bound(address: str) -> socket.socket:
    endpoint = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.bind((address, 0))
    endpoint.settimeout(5)
    return endpoint


def silent(endpoint: socket.socket) -> bool:
    """Whether nothing has arrived at a socket by now."""
    endpoint.setblocking(False)
    try:
        endpoint.recv(4096)
    except BlockingIOError:
        return True
    finally:
        endpoint.settimeout(5)
    return False
