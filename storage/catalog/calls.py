"""What became of each call on a flagged line, and how many calls were none of our business."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime

from sqlalchemy import insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from storage.database import Database
from storage.model import CallOutcome, Withheld, WithheldCount
from storage.tables import call_outcome, withheld_count


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

    async def outcomes(self, since: datetime | None = None, limit: int | None = None) -> list[CallOutcome]:
        """The newest first."""
        query = select(call_outcome).order_by(call_outcome.c.started_at.desc()).limit(limit)
        if since is not None:
            query = query.where(call_outcome.c.started_at >= since)
        async with self._database.read() as connection:
            return [CallOutcome(**row) for row in (await connection.execute(query)).mappings()]

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
