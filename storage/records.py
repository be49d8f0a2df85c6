"""What is inside a clip: records, as bytes and back (docs/clip-format.md, section 5).

Positions and lengths are ticks of the clip's clock, 8000 a second, counted from the clip's `started_at`.
Channel 0 is the agent, channel 1 the outside party.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

CLOCK_RATE = 8000
CHANNELS = 2
LEGS = ("agent", "outside")
"""What the channels are."""
MAX_BODY = 0xFFFF
MAX_PAYLOAD_TYPE = 127
MAX_CODEC_NAME = 32
HEAD = struct.Struct(">BH")  # type, length
AUDIO = 3


class RecordError(ValueError):
    """These bytes are no record of version 1."""


@dataclass(frozen=True, slots=True)
class Parties:
    """Who spoke. The only place where the outside party's number is kept; never in a repr."""

    agent: str = field(repr=False)
    outside: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Codec:
    """From here on `payload_type` on `channel` means this codec. `name` as in SDP, upper case."""

    channel: int
    payload_type: int
    name: str
    rate: int


@dataclass(frozen=True, slots=True)
class Audio:
    """One RTP payload, as it came. `timestamp` is the RTP timestamp, 32 bits."""

    channel: int
    position: int
    timestamp: int
    payload_type: int
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing was received; plays as silence."""

    channel: int
    position: int
    length: int


@dataclass(frozen=True, slots=True)
class Pause:
    position: int


@dataclass(frozen=True, slots=True)
class Resume:
    position: int


@dataclass(frozen=True, slots=True)
class Announcement:
    """Played to the outside party, whole. `sha256` of its file, 32 bytes. Below 0: before the clip began."""

    start: int
    end: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Masked:
    """Dialled digits were left out here."""

    channel: int
    position: int
    length: int


@dataclass(frozen=True, slots=True)
class Pad:
    """`length` zero bytes, so that a chunk becomes full."""

    length: int


@dataclass(frozen=True, slots=True)
class Quality:
    """Packets of a channel."""

    channel: int
    received: int
    lost: int
    late: int
    duplicated: int


@dataclass(frozen=True, slots=True)
class End:
    """The last record of a complete clip. `reason` is a code."""

    reason: str
    counts: Mapping[str, int] = field(default_factory=dict)


Record = Parties | Codec | Audio | Gap | Pause | Resume | Announcement | Masked | Pad | Quality | End

_CODEC = struct.Struct(">BBI")
_AUDIO = struct.Struct(">BBQI")
_SPAN = struct.Struct(">BQQ")
_INSTANT = struct.Struct(">Q")
_ANNOUNCEMENT = struct.Struct(">qq32s")
_QUALITY = struct.Struct(">BIIII")


def canonical_json(value: object) -> bytes:
    """Canonical JSON: sorted keys, no white space, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse_canonical(data: bytes) -> Any:
    """The reverse; raises ValueError when `data` is not what `canonical_json` writes."""
    try:
        value = json.loads(data.decode(), parse_float=_no_number, parse_constant=_no_number)
        if canonical_json(value) == data:
            return value
    except RecursionError:
        pass
    raise ValueError("JSON that is not canonical")


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no integer")


def encode(record: Record) -> bytes:
    """A record as bytes, its head included. Raises ValueError when a value does not fit."""
    kind, to_body = _BY_CLASS[type(record)]
    try:
        body = to_body(_checked(record))
    except struct.error as error:
        raise ValueError(f"a value of {type(record).__name__} is out of range") from error
    if len(body) > MAX_BODY:
        raise ValueError(f"a record of {len(body)} bytes; {MAX_BODY} is the most")
    return HEAD.pack(kind, len(body)) + body


class RecordDecoder:
    """Bytes in, whole records out, with the order that a clip must have."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._previous: Record | None = None

    @property
    def pending(self) -> int:
        """Bytes of a record that is not whole yet."""
        return len(self._buffer)

    @property
    def has_ended(self) -> bool:
        return isinstance(self._previous, End)

    def feed(self, data: bytes) -> list[Record]:
        """Raises RecordError."""
        self._buffer += data
        records: list[Record] = []
        offset = 0
        while len(self._buffer) >= offset + HEAD.size:
            kind, length = HEAD.unpack_from(self._buffer, offset)
            end = offset + HEAD.size + length
            if len(self._buffer) < end:
                break
            records.append(self._in_order(_from_body(kind, bytes(self._buffer[offset + HEAD.size : end]))))
            offset = end
        del self._buffer[:offset]
        return records

    def _in_order(self, record: Record) -> Record:
        if (self._previous is None) != isinstance(record, Parties):
            raise RecordError("a clip begins with one record of its parties")
        if self.has_ended:
            raise RecordError("a record after the end")
        self._previous = record
        return record


def _from_body(kind: int, body: bytes) -> Record:
    if kind not in _BY_TYPE:
        raise RecordError(f"record type {kind} is not of version 1")
    try:
        return _checked(_BY_TYPE[kind](body))
    except RecordError:
        raise
    except (struct.error, ValueError, TypeError, AttributeError) as error:
        raise RecordError(f"a record of type {kind} cannot be read") from error


def _checked(record: Record) -> Record:
    """What the widths of the fields do not say by themselves."""
    if getattr(record, "channel", 0) >= CHANNELS or getattr(record, "payload_type", 0) > MAX_PAYLOAD_TYPE:
        raise RecordError("a channel or payload type that does not exist")
    if isinstance(record, Codec) and not 1 <= len(record.name) <= MAX_CODEC_NAME:
        raise RecordError(f"a codec's name has 1 to {MAX_CODEC_NAME} characters")
    if isinstance(record, Announcement) and len(record.sha256) != 32:
        raise RecordError("a SHA-256 has 32 bytes")
    return record


def _parties(body: bytes) -> Parties:
    value = parse_canonical(body)
    if set(value) != {"agent", "outside"} or not all(isinstance(text, str) for text in value.values()):
        raise RecordError("parties are two texts")
    return Parties(value["agent"], value["outside"])


def _codec(body: bytes) -> Codec:
    channel, payload_type, rate = _CODEC.unpack_from(body)
    return Codec(channel, payload_type, body[_CODEC.size :].decode("ascii"), rate)


def _audio(body: bytes) -> Audio:
    channel, payload_type, position, timestamp = _AUDIO.unpack_from(body)
    return Audio(channel, position, timestamp, payload_type, body[_AUDIO.size :])


def _pad(body: bytes) -> Pad:
    if any(body):
        raise RecordError("padding that is not zero")
    return Pad(len(body))


def _end(body: bytes) -> End:
    value = parse_canonical(body)
    if set(value) != {"reason", "counts"} or not isinstance(value["reason"], str):
        raise RecordError("an end has a reason and counts")
    if not all(type(count) is int for count in value["counts"].values()):
        raise RecordError("counts are integers")
    return End(value["reason"], value["counts"])


_ToBody = Callable[[Any], bytes]
_FromBody = Callable[[bytes], Record]

_TABLE: tuple[tuple[int, type[Any], _ToBody, _FromBody], ...] = (
    (1, Parties, lambda r: canonical_json({"agent": r.agent, "outside": r.outside}), _parties),
    (2, Codec, lambda r: _CODEC.pack(r.channel, r.payload_type, r.rate) + r.name.encode("ascii"), _codec),
    (
        AUDIO,
        Audio,
        lambda r: _AUDIO.pack(r.channel, r.payload_type, r.position, r.timestamp) + r.payload,
        _audio,
    ),
    (4, Gap, lambda r: _SPAN.pack(r.channel, r.position, r.length), lambda b: Gap(*_SPAN.unpack(b))),
    (5, Pause, lambda r: _INSTANT.pack(r.position), lambda b: Pause(*_INSTANT.unpack(b))),
    (6, Resume, lambda r: _INSTANT.pack(r.position), lambda b: Resume(*_INSTANT.unpack(b))),
    (
        7,
        Announcement,
        lambda r: _ANNOUNCEMENT.pack(r.start, r.end, r.sha256),
        lambda b: Announcement(*_ANNOUNCEMENT.unpack(b)),
    ),
    (8, Masked, lambda r: _SPAN.pack(r.channel, r.position, r.length), lambda b: Masked(*_SPAN.unpack(b))),
    (9, Pad, lambda r: bytes(r.length), _pad),
    (
        10,
        Quality,
        lambda r: _QUALITY.pack(r.channel, r.received, r.lost, r.late, r.duplicated),
        lambda b: Quality(*_QUALITY.unpack(b)),
    ),
    (11, End, lambda r: canonical_json({"reason": r.reason, "counts": dict(r.counts)}), _end),
)
_BY_CLASS = {row[1]: (row[0], row[2]) for row in _TABLE}
_BY_TYPE = {row[0]: row[3] for row in _TABLE}
