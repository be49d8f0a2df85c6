"""The persisted nouns, as the catalogue hands them out. Frozen, plain, pure.

Identifiers are 16 random bytes in lower-case hex. Instants are aware UTC datetimes, days are UTC days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from storage.lifecycle import State


@dataclass(frozen=True, slots=True)
class By:
    """Who does something, when and why: what the audit row of an act needs beside the act itself.

    `reason` is a code and stays; `text` is free, is kept apart and is deleted after `text_until`.
    """

    actor: str
    at: datetime
    reason: str = ""
    text: str = ""
    text_until: date | None = None


class Ending(StrEnum):
    """How a sealed clip ended, as its signed close record says."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True)
class NewClip:
    """A clip about to be written. `header_hash` is H, 64 bytes; `wrap` is Seal(K1d, Seal(K1p, K2))."""

    id: str
    recording: str
    call: str
    purpose: str
    line: str
    agent: str
    scheme_hash: str
    started_at: datetime
    part: int
    previous: str | None
    deadline_day: date
    day_key_id: str
    header_hash: bytes
    wrap: bytes


@dataclass(frozen=True, slots=True)
class Sealing:
    """What is known of a clip once its last byte is on the disk. `size` in bytes, `seconds` by the
    clip's own clock, None where it is not known."""

    ending: Ending
    size: int
    chunks: int
    sha256: str
    seconds: float | None
    close_record: bytes


@dataclass(frozen=True, slots=True)
class Clip:
    """One sealed run of audio: a row of `clip` joined with its `recording`. Sealing fields are None until
    SEALED; `wrap` and `close_record` are None once ERASED.
    """

    id: str
    recording: str
    call: str
    purpose: str
    line: str
    agent: str
    scheme_hash: str
    started_at: datetime
    part: int
    previous: str | None
    state: State
    deadline_day: date
    day_key_id: str
    header_hash: bytes
    wrap: bytes | None
    opened_at: datetime
    sealed_at: datetime | None
    ending: Ending | None
    size: int | None
    chunks: int | None
    sha256: str | None
    seconds: float | None
    close_record: bytes | None


@dataclass(frozen=True, slots=True)
class ClipFilter:
    """All that is given must hold. `due_before`: deadline day earlier than this day. `begins`: the first
    characters of the clip's identifier.
    """

    begins: str | None = None
    purpose: str | None = None
    line: str | None = None
    agent: str | None = None
    recording: str | None = None
    call: str | None = None
    states: frozenset[State] | None = None
    since: datetime | None = None
    until: datetime | None = None
    due_before: date | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """Management lets a person listen. `document` is the canonical JSON that `signature` (Ed25519) covers;
    the opener believes the document, not the columns. Empty `lines` means every line of the purpose.
    """

    id: str
    person: str
    purpose: str
    lines: tuple[str, ...]
    until_at: datetime
    granted_by: str
    granted_at: datetime
    document: bytes
    signature: bytes
    revoked_at: datetime | None = None
    revoked_by: str | None = None


class ApprovalKind(StrEnum):
    APPROVE = "approve"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Approval:
    """The works council's word about a scheme. `scheme` is the canonical JSON whose hash is `scheme_hash`;
    `signature` is checked by the reader (recorder.gate), never by the catalogue."""

    kind: ApprovalKind
    scheme_hash: str
    scheme: str
    signature: bytes
    at: datetime


class Outcome(StrEnum):
    RECORDED = "recorded"
    SUPPRESSED = "suppressed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Became:
    """What became of one purpose of a call, and why."""

    outcome: Outcome
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """One call on a flagged line, whatever became of it. `call` is the random call id, never the Call-ID
    header. `purposes` have a recording. `became` tells of each purpose of the line; it is empty in rows from
    before this was kept.
    """

    call: str
    started_at: datetime
    line: str
    agent: str
    outcome: Outcome
    reasons: tuple[str, ...]
    seconds: float
    purposes: tuple[str, ...]
    became: Mapping[str, Became] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CutOff:
    """A recorded call of which nobody has noted the end. `started_at`: of its first recording."""

    call: str
    line: str
    agent: str
    started_at: datetime


class Withheld(StrEnum):
    """Calls of which nothing remains but that there was one on this day."""

    PRIVATE = "private"
    PRIVILEGED = "privileged"


@dataclass(frozen=True, slots=True)
class WithheldCount:
    day: date
    kind: Withheld
    count: int


@dataclass(frozen=True, slots=True)
class DestroyedDay:
    """The key service's evidence that one day key is gone.

    `fingerprint`: hex SHA-256 of the day key's public half ("" if there never was one). `epoch`: number of
    the first keystore epoch without it. `provider`: what holds K0, e.g. "file". `answer`: the provider's
    own word about the old K0 after its destruction; "not found" is the only proof. `statement`: the
    provider's limits, in words.
    """

    purpose: str
    day: date
    fingerprint: str
    epoch: int
    provider: str
    answer: str
    statement: str


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is left of a clip: that it was, for what purpose, and when it was destroyed."""

    clip: str
    recording: str
    purpose: str
    deadline_day: date
    reason: str
    at: datetime


class CertificateState(StrEnum):
    PENDING = "pending"
    PROVISIONAL = "provisional"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Certificate:
    """`document` is canonical JSON (clips-and-keys, "Certificate")."""

    clip: str
    state: CertificateState
    document: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What the clocks said at one moment. `boottime` in seconds."""

    wall: datetime
    boottime: float
    boot_id: str
    is_synchronised: bool


@dataclass(frozen=True, slots=True)
class ClockWitness:
    """A reading that was believed, and the highest wall time believed since, on the same boot."""

    wall: datetime
    boottime: float
    boot_id: str
    highest_at: datetime
    ground: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A leaf of the log. `text` is None when there was none or when it has expired."""

    seq: int
    at: datetime
    actor: str
    action: str
    object: str
    reason: str
    commitment: str
    prev_hash: str
    hash: str
    text: str | None


@dataclass(frozen=True, slots=True)
class AuditReport:
    """`broken_at` is the first sequence number that does not follow, None if all do."""

    rows: int
    head: str
    broken_at: int | None
