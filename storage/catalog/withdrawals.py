"""Calls of which nothing may be left: a private code, the other party's objection.

What names anybody goes in the transaction that condemns the clips: agent, line, purpose, instants, wrapped
keys. A random identifier and the UTC day remain, also in the audit log: a leaf of a clip's beginning and end
says no more than its day, for the log cannot forget.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.audit import Entry, append
from storage.catalog.clips import joined
from storage.database import Database
from storage.lifecycle import State
from storage.model import By, Certificate, Clip, Outcome, Tombstone
from storage.tables import audit, audit_body, call_outcome, certificate, clip, recording, tombstone, withdrawn

PRIVATE = "private-code"
NOBODY = ""
"""In place of purpose, line and agent."""
_ACTOR = "recorder"


class Withdrawals:
    """Every act may be repeated."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def withdraw(self, calls: Sequence[str], day: date, reason: str) -> None:
        """Nobody may open the clips of these calls any more, and no other begins. `day`: of the calls."""
        async with self._database.write() as connection:
            barred = [{"call": call, "day": day} for call in calls]
            await connection.execute(upsert(withdrawn).values(barred).on_conflict_do_nothing())
            await _strike_from_ledger(connection, calls, reason)
            recordings = list(
                await connection.scalars(select(recording.c.id).where(recording.c.call.in_(calls)))
            )
            query = select(clip.c.id).where(clip.c.recording.in_(recordings), clip.c.state != State.ERASED)
            clips = list(await connection.scalars(query))
            await _forget_texts(connection, [*calls, *clips])
            await _forget_names(connection, recordings, clips, day)
            by = By(_ACTOR, start_of(day), reason)
            await append(connection, [Entry(by, "clip.shred", each) for each in clips])

    async def left(self) -> list[Clip]:
        """Clips of withdrawn calls whose destruction is not finished."""
        query = joined().where(clip.c.state == State.ERASING, recording.c.purpose == NOBODY)
        async with self._database.read() as connection:
            return [Clip(**row) for row in (await connection.execute(query.order_by(clip.c.id))).mappings()]

    async def bury(
        self, stones: Sequence[Tombstone], certificates: Sequence[Certificate], actor: str
    ) -> None:
        """Tombstones and certificates; the clips are ERASED."""
        async with self._database.write() as connection:
            for stone, proof in zip(stones, certificates, strict=True):
                values = {name: getattr(stone, name) for name in Tombstone.__slots__}
                await connection.execute(upsert(tombstone).values(values).on_conflict_do_nothing())
                values = {name: getattr(proof, name) for name in Certificate.__slots__}
                await connection.execute(upsert(certificate).values(values).on_conflict_do_nothing())
                gone = update(clip).where(clip.c.id == stone.clip, clip.c.state == State.ERASING)
                is_fresh = (await connection.execute(gone.values(state=State.ERASED))).rowcount
                by = By(actor, stone.at, stone.reason)
                await append(connection, [Entry(by, "clip.bury", stone.clip)] if is_fresh else [])

    async def overwrite(self) -> None:
        """What was overwritten is not left in the file of recent changes either. Raises Unavailable while
        somebody reads it.
        """
        await self._database.empty_log()


def start_of(day: date) -> datetime:
    """All that is told of when something happened to a call that is withdrawn."""
    return datetime.combine(day, time(), UTC)


async def _strike_from_ledger(connection: AsyncConnection, calls: Sequence[str], reason: str) -> None:
    """A private call is in no ledger but as a count; an objection is one reason more not to record."""
    if reason == PRIVATE:
        await connection.execute(delete(call_outcome).where(call_outcome.c.call.in_(calls)))
        return
    values = {"outcome": Outcome.SUPPRESSED, "reasons": (reason,), "purposes": (), "became": {}}
    await connection.execute(update(call_outcome).where(call_outcome.c.call.in_(calls)).values(values))


async def _forget_texts(connection: AsyncConnection, objects: Sequence[str]) -> None:
    """Of these clips, and which call it was that somebody did something to."""
    leaves = select(audit.c.seq).where(audit.c.object.in_(objects))
    texts = audit_body.c.seq.in_(leaves) | audit_body.c.body.in_(objects)
    await connection.execute(delete(audit_body).where(texts))


async def _forget_names(
    connection: AsyncConnection, recordings: Sequence[str], clips: Sequence[str], day: date
) -> None:
    at = start_of(day)
    nobody = {
        "call": recording.c.id,
        "purpose": NOBODY,
        "line": NOBODY,
        "agent": NOBODY,
        "scheme_hash": "",
        "started_at": at,
    }
    await connection.execute(update(recording).where(recording.c.id.in_(recordings)).values(nobody))
    known = ("wrap", "sealed_at", "ending", "size", "chunks", "sha256", "seconds", "close_record")
    nothing = {
        "state": State.ERASING,
        "deadline_day": day,
        "day_key_id": "",
        "header_hash": b"",
        "opened_at": at,
        **dict.fromkeys(known),
    }
    await connection.execute(update(clip).where(clip.c.id.in_(clips)).values(nothing))
