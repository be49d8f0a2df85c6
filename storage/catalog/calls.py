"""What became of each call on a flagged line, and how many calls were none of our business."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime

from sqlalchemy import exists, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from storage.database import Database
from storage.lifecycle import UNFINISHED, State
from storage.model import CallOutcome, CutOff, Withheld, WithheldCount
from storage.tables import audit, call_outcome, clip, recording, withheld_count

RECOVERED = "recovered"
"""Why a clip is sealed that a crash has left open."""


class Calls:
    """A ledger, no act: no audit leaf. Of a private or privileged call the count of its day is the only
    trace; it gets no row, no leaf and no time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, outcome: CallOutcome) -> None:
        """Raises Conflict when the call has its outcome already."""
        async with self._database.write() as connection:
            await connection.execute(insert(call_outcome).values(asdict(outcome)))

    async def outcomes(
        self, since: datetime | None = None, limit: int | None = None, until: datetime | None = None
    ) -> list[CallOutcome]:
        """The newest first."""
        query = select(call_outcome).order_by(call_outcome.c.started_at.desc()).limit(limit)
        if since is not None:
            query = query.where(call_outcome.c.started_at >= since)
        if until is not None:
            query = query.where(call_outcome.c.started_at < until)
        async with self._database.read() as connection:
            return [CallOutcome(**row) for row in (await connection.execute(query)).mappings()]

    async def beginning_with(self, prefix: str) -> list[CallOutcome]:
        """The calls whose identifier begins so; `prefix` is hexadecimal."""
        query = select(call_outcome).where(call_outcome.c.call.startswith(prefix, autoescape=True))
        async with self._database.read() as connection:
            return [CallOutcome(**row) for row in (await connection.execute(query)).mappings()]

    async def recorded(self, call: str) -> tuple[str, ...]:
        """The purposes that have a recording of this call, sorted."""
        query = select(recording.c.purpose).where(recording.c.call == call).order_by(recording.c.purpose)
        async with self._database.read() as connection:
            return tuple(await connection.scalars(query))

    async def cut_off(self) -> list[CutOff]:
        """Calls without an outcome whose recording a crash has cut off: its last clip is not sealed, or
        recovery has sealed it. A call that was tainted and then only counted is not among them.
        """
        later, sealed = clip.alias(), audit.alias()
        is_last = ~exists().where(later.c.recording == clip.c.recording, later.c.part > clip.c.part)
        is_recovered = exists().where(
            sealed.c.object == clip.c.id, sealed.c.action == "clip.seal", sealed.c.reason == RECOVERED
        )
        left = clip.c.state.in_(UNFINISHED) | ((clip.c.state == State.SEALED) & is_recovered)
        query = (
            select(recording.c.call, recording.c.line, recording.c.agent, recording.c.started_at)
            .join(clip, clip.c.recording == recording.c.id)
            .where(left, is_last, recording.c.call.not_in(select(call_outcome.c.call)))
            .order_by(recording.c.started_at)
        )
        async with self._database.read() as connection:
            rows = [CutOff(**row) for row in (await connection.execute(query)).mappings()]
        return list({row.call: row for row in reversed(rows)}.values())

    async def withhold(self, day: date, kind: Withheld) -> None:
        """Count one more such call on this UTC day."""
        one = upsert(withheld_count).values(day=day, kind=kind, count=1)
        more = one.on_conflict_do_update(
            index_elements=["day", "kind"], set_={"count": withheld_count.c.count + 1}
        )
        async with self._database.write() as connection:
            await connection.execute(more)

    async def withheld(self, since: date | None = None) -> list[WithheldCount]:
        """The newest day first."""
        query = select(withheld_count).order_by(withheld_count.c.day.desc(), withheld_count.c.kind)
        if since is not None:
            query = query.where(withheld_count.c.day >= since)
        async with self._database.read() as connection:
            return [WithheldCount(**row) for row in (await connection.execute(query)).mappings()]
