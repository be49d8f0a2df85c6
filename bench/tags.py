"""What the load writes into its packets (`c/generator.c`), and what of it has been kept."""

from __future__ import annotations

import struct

from bench.processes import BenchError

RTP_BYTES = 12
AUDIO_BYTES = 160
_TAG = struct.Struct("=QQII")  # magic, instant of sending, stream, number
_MAGIC = 0x444F454C42414E44


class Tags:
    """Counts different packets. The audio behind the tag is the same in all packets of a stream."""

    def __init__(self) -> None:
        self._found: set[tuple[int, int]] = set()
        self._audio: dict[int, bytes] = {}

    @property
    def count(self) -> int:
        return len(self._found)

    def add(self, packet: bytes) -> None:
        """One RTP packet."""
        self.add_audio(packet[RTP_BYTES:])

    def add_audio(self, audio: bytes) -> tuple[int, int]:
        """One payload; its stream and number. Raises BenchError when it is not as it was sent."""
        if len(audio) == AUDIO_BYTES:
            magic, _, stream, number = _TAG.unpack_from(audio)
            if magic == _MAGIC and self._audio.setdefault(stream, audio[_TAG.size :]) == audio[_TAG.size :]:
                self._found.add((stream, number))
                return stream, number
        raise BenchError("what was recorded is not what was sent")
