"""Keys as tones in what one side of a call says: which they are, since when, and what is silent for it.

Packets are taken as they arrive. A few that are lost do not part a key; one that comes late is not heard any
more, but is silent if it belongs to a key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import structlog

from portal.decoding import Decode, decoder, sample_rate
from recorder.rtp import Header
from recorder.timeline import Silence
from recorder.tones import Tones
from storage import codecs
from storage.errors import StorageError

log = structlog.get_logger()

Formats = Mapping[int, tuple[str, int]]
"""Name in a clip and RTP clock, by payload type."""

_REMEMBERED_KEYS, _REMEMBERED_PACKETS = 8, 64
_BRIDGED, _LATE = 10, 1
"""What is lost may last a tenth of a second; what is late, at most a second."""


class Tone(NamedTuple):
    """A key, and when the packet arrived in which it begins, on the clock of arrivals."""

    key: str
    arrival_ns: int


class Hearing:
    """Of one side. `silence`: what the last packet says is a key's, and nothing for a clip."""

    def __init__(self, formats: Formats) -> None:
        self.formats = formats
        self.silence: Silence | None = None
        self._decoders = {number: it for number in formats if (it := _decoder(*formats[number])) is not None}
        self._source: tuple[int, int] | None = None  # SSRC and payload type
        self._tones = Tones(8000)
        self._expected = 0
        self._packets: deque[tuple[int, int, int]] = deque(maxlen=_REMEMBERED_PACKETS)
        self._silences: deque[Silence] = deque(maxlen=_REMEMBERED_KEYS)

    def take(self, header: Header, payload: bytes, arrival_ns: int) -> list[Tone]:
        """The keys that are certain with this packet."""
        self.silence = None
        decode = self._decoders.get(header.payload_type)
        ticks = codecs.ticks(*self.formats[header.payload_type], payload) if decode else 0
        if decode is None or not ticks:
            return []
        rate = self.formats[header.payload_type][1]
        if not self._follows(header, rate):
            self.silence = next(
                (it for it in self._silences if it.holds(header.ssrc, header.timestamp)), None
            )
            return []
        self._expected = header.timestamp + ticks * rate // 8000 & 0xFFFFFFFF
        self._packets.append((self._tones.position, header.timestamp, arrival_ns))
        was_heard = bool(self._tones.key)
        found = [self._begun(header, *it) for it in self._tones.take(decode(payload))]
        if self._silences and (was_heard or found):
            self.silence = self._silences[-1] = self._silences[-1]._replace(end=header.timestamp)
        return found

    def _follows(self, header: Header, rate: int) -> bool:
        """False: it is late. What follows nothing begins anew."""
        source = header.ssrc, header.payload_type
        ahead = (header.timestamp - self._expected + 0x80000000) % 0x100000000 - 0x80000000
        if source == self._source and -rate * _LATE < ahead < 0:
            return False
        own = sample_rate(*self.formats[header.payload_type])
        if source != self._source or not 0 <= ahead <= rate // _BRIDGED:
            self._source, self._tones = source, Tones(own)
            self._packets.clear()
        elif ahead:
            self._tones.skip(ahead * own // rate)
        return True

    def _begun(self, header: Header, key: str, since: int) -> Tone:
        """A key begins in the packet in which its first sample is."""
        before = [it for it in self._packets if it[0] <= since]
        _, timestamp, arrival_ns = before[-1] if before else self._packets[0]
        self._silences.append(Silence(header.ssrc, timestamp, header.timestamp))
        return Tone(key, arrival_ns)


def _decoder(name: str, rate: int) -> Decode | None:
    try:
        return decoder(name, rate)
    except StorageError as error:
        log.warning("keys are not heard in a codec", codec=name, why=str(error))
        return None
