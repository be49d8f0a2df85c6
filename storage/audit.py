"""The audit log: a chain of leaves, each written in the transaction of the act it records.

    commitment = SHA-256(salt ‖ body), or SHA-256 of nothing where there is no free text
    hash       = SHA-256(canonical JSON of the leaf, the hash before it included)

Free text lies apart with its salt and a day until which it is kept. The leaf commits to it, so that it can
be deleted while the chain still holds. The log outlives the clips: it names no outside party and no number.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database
from storage.model import AuditReport, AuditRow, By
from storage.tables import audit, audit_body

START = "0" * 64  # the hash before the first leaf
NO_TEXT = hashlib.sha256(b"").hexdigest()
_SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """One act, before it has its place in the chain."""

    by: By
    action: str
    object: str


async def append(connection: AsyncConnection, entries: Sequence[Entry]) -> list[AuditRow]:
    """Write leaves into the write transaction that `connection` is in, so that act and leaf stand or fall
    together.
    """
    if not entries:
        return []
    last = (
        await connection.execute(select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1))
    ).first()
    seq, head = (last.seq, last.hash) if last else (0, START)
    rows, bodies = [], []
    for entry in entries:
        seq += 1
        salt = secrets.token_bytes(_SALT_BYTES) if entry.by.text else b""
        row = _leaf(seq, entry, head, _commitment(salt, entry.by.text))
        head = row.hash
        rows.append(row)
        if entry.by.text:
            bodies.append({"seq": seq, "salt": salt, "body": entry.by.text, "until": entry.by.text_until})
    await connection.execute(insert(audit), [_columns(row) for row in rows])
    if bodies:
        await connection.execute(insert(audit_body), bodies)
    return rows


class AuditLog:
    """The log as the catalogue offers it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, by: By, action: str, object: str) -> AuditRow:
        """One leaf for an act that changes nothing else, such as opening a clip. Durable on return."""
        async with self._database.write() as connection:
            return (await append(connection, [Entry(by, action, object)]))[0]

    async def rows(self, object: str | None = None, limit: int | None = None) -> list[AuditRow]:
        """The newest leaves first, of one object or of all."""
        query = (
            select(audit, audit_body.c.body.label("text"))
            .outerjoin(audit_body, audit.c.seq == audit_body.c.seq)
            .order_by(audit.c.seq.desc())
            .limit(limit)
        )
        if object is not None:
            query = query.where(audit.c.object == object)
        async with self._database.read() as connection:
            return [AuditRow(**row) for row in (await connection.execute(query)).mappings()]

    async def count(self) -> int:
        """How many leaves there are."""
        async with self._database.read() as connection:
            return await connection.scalar(select(func.max(audit.c.seq))) or 0

    async def forget_texts(self, before: date) -> int:
        """Delete the free texts whose last day lies before `before`; the leaves stay. Returns how many."""
        async with self._database.write() as connection:
            return (await connection.execute(delete(audit_body).where(audit_body.c.until < before))).rowcount

    async def verify(self) -> AuditReport:
        """Follow the chain from its start. Detects a changed, removed or inserted leaf and a changed text.

        A cut at the end is seen only by comparing `head` with what an outside witness has kept.
        """
        query = (
            select(audit, audit_body.c.body.label("text"), audit_body.c.salt)
            .outerjoin(audit_body, audit.c.seq == audit_body.c.seq)
            .order_by(audit.c.seq)
        )
        rows, head = 0, START
        async with self._database.read() as connection, connection.stream(query) as result:
            async for mapping in result.mappings():
                columns = dict(mapping)
                salt = columns.pop("salt")
                row = AuditRow(**columns)
                if not _follows(row, rows + 1, head, salt):
                    return AuditReport(rows, head, rows + 1)
                rows, head = rows + 1, row.hash
        return AuditReport(rows, head, None)


def _follows(row: AuditRow, seq: int, head: str, salt: bytes | None) -> bool:
    if salt is not None and _commitment(salt, row.text or "") != row.commitment:
        return False
    return (row.seq, row.prev_hash) == (seq, head) and row.hash == _hash(row)


def _leaf(seq: int, entry: Entry, head: str, commitment: str) -> AuditRow:
    by = entry.by
    at = by.at.astimezone(UTC)
    row = AuditRow(
        seq, at, by.actor, entry.action, entry.object, by.reason, commitment, head, "", by.text or None
    )
    return replace(row, hash=_hash(row))


def _columns(row: AuditRow) -> dict[str, object]:
    return {column.name: getattr(row, column.name) for column in audit.columns}


def _commitment(salt: bytes, text: str) -> str:
    return hashlib.sha256(salt + text.encode()).hexdigest()


def _hash(row: AuditRow) -> str:
    leaf = {
        "seq": row.seq,
        "at": row.at.isoformat(timespec="microseconds"),
        "actor": row.actor,
        "action": row.action,
        "object": row.object,
        "reason": row.reason,
        "commitment": row.commitment,
        "prev": row.prev_hash,
    }
    text = json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
