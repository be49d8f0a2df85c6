"""The first catalogue: recordings, grants, approvals, calls, traces of destruction, clock, audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "certificate",
    "tombstone",
    "clip",
    "recording",
    "grants",
    "approval",
    "call_outcome",
    "withheld_count",
    "destroyed_day",
    "clock_witness",
    "clock_confirmation",
    "audit_body",
    "audit",
)


def upgrade() -> None:
    _create_recordings()
    _create_people()
    _create_calls()
    _create_destruction()
    _create_clock()
    _create_audit()


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)


def _id(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(32), nullable=nullable)


def _instant(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(27), nullable=nullable)


def _text(name: str, length: int | None = None, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _create_recordings() -> None:
    op.create_table(
        "recording",
        _id("id"),
        _id("call"),
        _text("purpose"),
        _text("line"),
        _text("agent"),
        _text("scheme_hash", 128),
        _instant("started_at"),
        sa.PrimaryKeyConstraint("id", name="pk_recording"),
    )
    op.create_index("ix_recording_call", "recording", ["call"])
    op.create_index("ix_recording_started_at", "recording", ["started_at"])
    op.create_table(
        "clip",
        _id("id"),
        _id("recording"),
        sa.Column("part", sa.Integer, nullable=False),
        _id("previous", nullable=True),
        _text("state", 16),
        sa.Column("deadline_day", sa.Date, nullable=False),
        _text("day_key_id"),
        sa.Column("header_hash", sa.LargeBinary, nullable=False),
        sa.Column("wrap", sa.LargeBinary),
        _instant("opened_at"),
        _instant("sealed_at", nullable=True),
        _text("ending", 16, nullable=True),
        sa.Column("size", sa.Integer),
        sa.Column("chunks", sa.Integer),
        _text("sha256", 64, nullable=True),
        sa.Column("seconds", sa.Float),
        sa.Column("close_record", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_clip"),
        sa.ForeignKeyConstraint(["recording"], ["recording.id"], name="fk_clip_recording"),
    )
    op.create_index("ix_clip_state_deadline_day", "clip", ["state", "deadline_day"])
    op.create_index("ix_clip_recording_part", "clip", ["recording", "part"], unique=True)


def _create_people() -> None:
    op.create_table(
        "grants",
        _id("id"),
        _text("person"),
        _text("purpose"),
        sa.Column("lines", sa.JSON, nullable=False),
        _instant("until_at"),
        _text("granted_by"),
        _instant("granted_at"),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        _instant("revoked_at", nullable=True),
        _text("revoked_by", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_grants"),
    )
    op.create_index("ix_grants_person", "grants", ["person"])
    op.create_table(
        "approval",
        sa.Column("seq", sa.Integer, nullable=False),
        _text("kind", 16),
        _text("scheme_hash", 128),
        sa.Column("scheme", sa.Text, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        _instant("at"),
        sa.PrimaryKeyConstraint("seq", name="pk_approval"),
    )


def _create_calls() -> None:
    op.create_table(
        "call_outcome",
        _id("call"),
        _instant("started_at"),
        _text("line"),
        _text("agent"),
        _text("outcome", 16),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("purposes", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("call", name="pk_call_outcome"),
    )
    op.create_index("ix_call_outcome_started_at", "call_outcome", ["started_at"])
    op.create_table(
        "withheld_count",
        sa.Column("day", sa.Date, nullable=False),
        _text("kind", 16),
        sa.Column("count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("day", "kind", name="pk_withheld_count"),
    )


def _create_destruction() -> None:
    op.create_table(
        "destroyed_day",
        _text("purpose"),
        sa.Column("day", sa.Date, nullable=False),
        _text("fingerprint"),
        sa.Column("epoch", sa.Integer, nullable=False),
        _text("provider"),
        _text("answer"),
        sa.Column("statement", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("purpose", "day", name="pk_destroyed_day"),
    )
    op.create_table(
        "tombstone",
        _id("clip"),
        _id("recording"),
        _text("purpose"),
        sa.Column("deadline_day", sa.Date, nullable=False),
        _text("reason"),
        _instant("at"),
        sa.PrimaryKeyConstraint("clip", name="pk_tombstone"),
        sa.ForeignKeyConstraint(["clip"], ["clip.id"], name="fk_tombstone_clip"),
    )
    op.create_table(
        "certificate",
        _id("clip"),
        _text("state", 16),
        sa.Column("document", sa.Text, nullable=False),
        _instant("at"),
        sa.PrimaryKeyConstraint("clip", name="pk_certificate"),
        sa.ForeignKeyConstraint(["clip"], ["tombstone.clip"], name="fk_certificate_clip"),
    )


def _create_clock() -> None:
    op.create_table(
        "clock_witness",
        sa.Column("seq", sa.Integer, nullable=False),
        _instant("wall"),
        sa.Column("boottime", sa.Float, nullable=False),
        _text("boot_id"),
        _instant("highest_at"),
        _text("ground"),
        sa.PrimaryKeyConstraint("seq", name="pk_clock_witness"),
    )
    op.create_table(
        "clock_confirmation",
        _text("actor"),
        _instant("wall"),
        sa.Column("boottime", sa.Float, nullable=False),
        _text("boot_id"),
        sa.PrimaryKeyConstraint("actor", name="pk_clock_confirmation"),
    )


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, autoincrement=False, nullable=False),
        _instant("at"),
        _text("actor"),
        _text("action"),
        _text("object"),
        _text("reason"),
        _text("commitment", 64),
        _text("prev_hash", 64),
        _text("hash", 64),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    op.create_index("ix_audit_object", "audit", ["object"])
    op.create_table(
        "audit_body",
        sa.Column("seq", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("until", sa.Date),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_body"),
        sa.ForeignKeyConstraint(["seq"], ["audit.seq"], name="fk_audit_body_seq"),
    )
