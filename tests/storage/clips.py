"""A clip and all its keys, made for a test."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from storage import keys, signing
from storage.clipfile import Cut, SealedWriter, truncated_close_record
from storage.header import Header, header_hash
from storage.records import Audio, Codec, End, Gap, Parties, Record, encode

PCMA = Codec(0, 8, "PCMA", 8000), Codec(1, 8, "PCMA", 8000)
DEADLINE = date(2030, 5, 1)
PARTIES = Parties("201", "+31201234567")


def speech(packets: int, payload: bytes = b"\xd5" * 160) -> list[Record]:
    """Two legs of 20 ms packets."""
    return [Audio(leg, n * 160, n * 160, 8, payload) for n in range(packets) for leg in (0, 1)]


SMALL: list[Record] = [PARTIES, *speech(1, b"\xd5" * 8), Gap(0, 8, 8), End("hangup", {"a": 1})]


@dataclass
class Made:
    """One clip, its keys, and everything that lies beside it."""

    records: list[Record] = field(default_factory=lambda: list(SMALL))
    ks: Ed25519PrivateKey = field(default_factory=signing.generate)
    day_private: bytes = field(default_factory=keys.new_private)
    purpose_private: bytes = field(default_factory=keys.new_private)
    k2: bytes = field(default_factory=keys.new_clip_key)
    purpose: str = "coaching"
    close: bool = True

    def __post_init__(self) -> None:
        self.recorder_public = signing.public_bytes(self.ks)
        day, of_purpose = keys.public_of(self.day_private), keys.public_of(self.purpose_private)
        self.header = Header(
            clip="c1" * 16,
            recording="ab" * 16,
            part=1,
            previous=None,
            tenant="acme",
            purpose=self.purpose,
            scheme_hash="5c" * 32,
            deadline_day=DEADLINE,
            day_key_id=day.key_id,
            started_at=datetime(2030, 4, 1, 9, 30, tzinfo=UTC),
            codecs=PCMA,
            recorder=signing.key_id(self.recorder_public),
        )
        self.h = header_hash(self.header)
        self.wrap = keys.wrap(self.k2, of_purpose, day, self.h)
        writer = SealedWriter(self.header, self.k2, self.ks)
        self.file = writer.prologue() + b"".join(writer.append(encode(record)) for record in self.records)
        if self.close:
            self.file += writer.close()
            self.close_record = writer.close_record()
        else:
            cut = Cut(writer.chunks, writer.size, writer.sha256)
            self.close_record = truncated_close_record(self.header.clip, self.h, cut, self.ks)
        self.writer = writer


def other_header(header: Header, **changes: Any) -> Header:
    return replace(header, **changes)
