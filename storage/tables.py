"""The tables of the catalogue.

Column names equal the field names of `storage.model`, so that a row becomes its noun
without a mapping in between. The schema is made by the migrations; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Date,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

from storage.lifecycle import State
from storage.model import ApprovalKind, Became, CertificateState, Ending, Outcome, Withheld

SCHEMA_REVISION = "0003"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware datetime in, an aware UTC datetime out; text of fixed width, so that it sorts by time."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant without a time zone cannot be stored")
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


class Word(TypeDecorator[StrEnum]):
    """A StrEnum by its value; an unknown word raises ValueError when it is read."""

    impl = String(16)
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: StrEnum | str | None, dialect: Dialect) -> str | None:
        return None if value is None else self.words(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.words(value)


class Words(TypeDecorator[tuple[str, ...]]):
    """A tuple of strings as a JSON array."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> list[str] | None:
        return None if value is None else list(value)

    def process_result_value(self, value: list[str] | None, dialect: Dialect) -> tuple[str, ...] | None:
        return None if value is None else tuple(value)


class BecameOfEach(TypeDecorator[Mapping[str, Became]]):
    """What became of each purpose, as a JSON object of objects."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> Any:
        return None if value is None else dict(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Mapping[str, Became] | None:
        if value is None:
            return None
        return {name: Became(Outcome(it["outcome"]), tuple(it["reasons"])) for name, it in value.items()}


def _id(name: str, *rest: Any, **options: Any) -> Column[str]:
    return Column(name, String(32), *rest, **options)


recording = Table(
    "recording",
    metadata,
    _id("id", primary_key=True),
    _id("call", nullable=False, index=True),
    Column("purpose", String, nullable=False),
    Column("line", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("scheme_hash", String(128), nullable=False),
    Column("started_at", Instant, nullable=False, index=True),
)

clip = Table(
    "clip",
    metadata,
    _id("id", primary_key=True),
    _id("recording", ForeignKey("recording.id"), nullable=False),
    Column("part", Integer, nullable=False),
    _id("previous"),
    Column("state", Word(State), nullable=False),
    Column("deadline_day", Date, nullable=False),
    Column("day_key_id", String, nullable=False),
    Column("header_hash", LargeBinary, nullable=False),
    Column("wrap", LargeBinary),
    Column("opened_at", Instant, nullable=False),
    Column("sealed_at", Instant),
    Column("ending", Word(Ending)),
    Column("size", Integer),
    Column("chunks", Integer),
    Column("sha256", String(64)),
    Column("seconds", Float),
    Column("close_record", LargeBinary),
    Index(None, "state", "deadline_day"),
    Index(None, "recording", "part", unique=True),
)

grants = Table(
    "grants",
    metadata,
    _id("id", primary_key=True),
    Column("person", String, nullable=False, index=True),
    Column("purpose", String, nullable=False),
    Column("lines", Words, nullable=False),
    Column("until_at", Instant, nullable=False),
    Column("granted_by", String, nullable=False),
    Column("granted_at", Instant, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("revoked_at", Instant),
    Column("revoked_by", String),
)

approval = Table(
    "approval",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("kind", Word(ApprovalKind), nullable=False),
    Column("scheme_hash", String(128), nullable=False),
    Column("scheme", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
)

call_outcome = Table(
    "call_outcome",
    metadata,
    _id("call", primary_key=True),
    Column("started_at", Instant, nullable=False, index=True),
    Column("line", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("outcome", Word(Outcome), nullable=False),
    Column("reasons", Words, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("purposes", Words, nullable=False),
    Column("became", BecameOfEach, nullable=False, server_default="{}"),
)

withheld_count = Table(
    "withheld_count",
    metadata,
    Column("day", Date, primary_key=True),
    Column("kind", Word(Withheld), primary_key=True),
    Column("count", Integer, nullable=False),
)

withdrawn = Table(
    "withdrawn",
    metadata,
    _id("call", primary_key=True),
    Column("day", Date, nullable=False),
)

destroyed_day = Table(
    "destroyed_day",
    metadata,
    Column("purpose", String, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("provider", String, nullable=False),
    Column("answer", String, nullable=False),
    Column("statement", Text, nullable=False),
)

tombstone = Table(
    "tombstone",
    metadata,
    _id("clip", ForeignKey("clip.id"), primary_key=True),
    _id("recording", nullable=False),
    Column("purpose", String, nullable=False),
    Column("deadline_day", Date, nullable=False),
    Column("reason", String, nullable=False),
    Column("at", Instant, nullable=False),
)

certificate = Table(
    "certificate",
    metadata,
    _id("clip", ForeignKey("tombstone.clip"), primary_key=True),
    Column("state", Word(CertificateState), nullable=False),
    Column("document", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

clock_witness = Table(
    "clock_witness",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("wall", Instant, nullable=False),
    Column("boottime", Float, nullable=False),
    Column("boot_id", String, nullable=False),
    Column("highest_at", Instant, nullable=False),
    Column("ground", String, nullable=False),
)

clock_confirmation = Table(
    "clock_confirmation",
    metadata,
    Column("actor", String, primary_key=True),
    Column("wall", Instant, nullable=False),
    Column("boottime", Float, nullable=False),
    Column("boot_id", String, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("object", String, nullable=False, index=True),
    Column("reason", String, nullable=False),
    Column("commitment", String(64), nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

audit_body = Table(
    "audit_body",
    metadata,
    Column("seq", Integer, ForeignKey("audit.seq"), primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
    Column("body", Text, nullable=False),
    Column("until", Date),
)
