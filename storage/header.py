"""The front of a clip file: magic, length and header (docs/clip-format.md, sections 1 and 2)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, date, datetime

from storage.errors import Forgery
from storage.records import CHANNELS, CLOCK_RATE, Codec, canonical_json, encode, parse_canonical

MAGIC = b"doelband-clip/1\n"
VERSION = 1
SUITE = "cobblestone-256"
MAX_HEADER = 4096
FRONT_BYTES = len(MAGIC) + 4  # what lies before the header

_LENGTH = struct.Struct(">I")
_INSTANT = "%Y-%m-%dT%H:%M:%S.%fZ"


class HeaderFailure(Forgery):
    """The prologue is not one that this recorder wrote."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is bound to every byte of the clip. Ids in hex; `previous` is None for part 1 and only then."""

    clip: str
    recording: str
    part: int
    previous: str | None
    tenant: str
    purpose: str
    scheme_hash: str
    deadline_day: date
    day_key_id: str
    started_at: datetime
    codecs: tuple[Codec, ...]
    recorder: str

    def encode(self) -> bytes:
        """Canonical JSON. Raises ValueError when it does not fit in 4 KiB or a value is out of range."""
        data = canonical_json(
            {
                "version": VERSION,
                "suite": SUITE,
                "clip": self.clip,
                "recording": self.recording,
                "part": self.part,
                "previous": self.previous,
                "tenant": self.tenant,
                "purpose": self.purpose,
                "scheme": self.scheme_hash,
                "deadline": self.deadline_day.isoformat(),
                "day_key": self.day_key_id,
                "started_at": self.started_at.astimezone(UTC).strftime(_INSTANT),
                "rate": CLOCK_RATE,
                "channels": CHANNELS,
                "codecs": [[c.channel, c.payload_type, c.name, c.rate] for c in self.codecs],
                "recorder": self.recorder,
            }
        )
        if len(data) > MAX_HEADER:
            raise ValueError(f"a header of {len(data)} bytes; {MAX_HEADER} is the most")
        return data


def parse_header(data: bytes) -> Header:
    """Raises HeaderFailure unless `data` is exactly what `Header.encode` would write."""
    try:
        value = parse_canonical(data)
        header = Header(
            clip=_hex(value["clip"], 32),
            recording=_hex(value["recording"], 32),
            part=value["part"],
            previous=None if value["previous"] is None else _hex(value["previous"], 32),
            tenant=_text(value["tenant"]),
            purpose=_text(value["purpose"]),
            scheme_hash=_hex(value["scheme"], 64),
            deadline_day=date.fromisoformat(value["deadline"]),
            day_key_id=_hex(value["day_key"], 32),
            started_at=datetime.strptime(value["started_at"], _INSTANT).replace(tzinfo=UTC),
            codecs=tuple(Codec(*codec) for codec in value["codecs"]),
            recorder=_hex(value["recorder"], 32),
        )
        for codec in header.codecs:
            encode(codec)
        is_exact = header.encode() == data
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HeaderFailure("read a clip's header", "it is not of version 1; restore the file") from error
    if not is_exact or not _is_chained(header):
        raise HeaderFailure("read a clip's header", "its members are not those of version 1")
    return header


def header_hash(header: Header) -> bytes:
    """H = SHA-512(magic ‖ length ‖ header), 64 bytes; known before the first byte is written."""
    return hashlib.sha512(front(header)).digest()


def front(header: Header) -> bytes:
    """magic ‖ length ‖ header."""
    data = header.encode()
    return MAGIC + _LENGTH.pack(len(data)) + data


def header_length(start: bytes) -> int:
    """From the first 20 bytes of a file. Raises HeaderFailure."""
    if len(start) < FRONT_BYTES or not start.startswith(MAGIC):
        raise HeaderFailure("read a clip", "it does not begin as a clip of version 1 does")
    (length,) = _LENGTH.unpack_from(start, len(MAGIC))
    if not 1 <= length <= MAX_HEADER:
        raise HeaderFailure("read a clip", "its header has an impossible length")
    return int(length)


def _hex(text: str, length: int) -> str:
    if len(text) != length or bytes.fromhex(text).hex() != text:
        raise ValueError("an id that is not lower-case hexadecimal")
    return text


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a name that is no text")
    return value


def _is_chained(header: Header) -> bool:
    return type(header.part) is int and header.part >= 1 and (header.part == 1) == (header.previous is None)
