"""What is said in soak calls: A-law in which every packet names its call, its speaker and its number."""

from __future__ import annotations

import random
import struct

from tests.fakes.rtp import PCMA, SAMPLES

AGENT, OUTSIDE = 0, 1
"""Speakers, numbered as the channels of a clip."""

PACKET_SECONDS = 0.02
_TAG = struct.Struct("!IBxxI")
_HEADER = struct.Struct("!BBHII")
_BLOCK_BYTES = 1 << 16


class Voice:
    """The speech of one run. No two packets of it are alike, and each is known again."""

    def __init__(self, seed: int) -> None:
        self._block = random.Random(seed).randbytes(_BLOCK_BYTES + SAMPLES)

    def payload(self, call: int, speaker: int, index: int) -> bytes:
        """The 160 bytes of packet `index`."""
        start = (call * 40_503 + speaker * 30_011 + index * 151) % _BLOCK_BYTES
        return _TAG.pack(call, speaker, index) + self._block[start : start + SAMPLES - _TAG.size]

    def packet(self, call: int, speaker: int, index: int) -> bytes:
        """The RTP packet that carries it (RFC 3550 §5.1)."""
        header = _HEADER.pack(128, PCMA, index & 0xFFFF, index * SAMPLES, call << 1 | speaker)
        return header + self.payload(call, speaker, index)

    def known(self, payload: bytes) -> tuple[int, int, int] | None:
        """Call, speaker and index of a payload; None when it is not, or no longer, one of this voice."""
        if len(payload) != SAMPLES:
            return None
        call, speaker, index = _TAG.unpack_from(payload)
        return (call, speaker, index) if payload == self.payload(call, speaker, index) else None
