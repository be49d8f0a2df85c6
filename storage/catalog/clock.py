"""The times that have been believed. Which reading is to be believed is judged in `purge.verdict`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.audit import Entry, append
from storage.database import Database
from storage.model import By, ClockReading, ClockWitness
from storage.tables import clock_confirmation, clock_witness

_AGREEMENT = timedelta(hours=1)
_COLUMNS = [column for column in clock_witness.columns if column.name != "seq"]


class ClockWitnesses:
    """One row for each boot or confirmation; `highest_at` of the newest moves on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last(self) -> ClockWitness | None:
        """The newest witness, against which a reading is judged."""
        async with self._database.read() as connection:
            query = select(*_COLUMNS).order_by(clock_witness.c.seq.desc()).limit(1)
            row = (await connection.execute(query)).mappings().first()
            return None if row is None else ClockWitness(**row)

    async def highest(self) -> datetime | None:
        """The highest time ever committed; never goes back."""
        async with self._database.read() as connection:
            highest: datetime | None = await connection.scalar(select(func.max(clock_witness.c.highest_at)))
            return highest

    async def advance(self, reading: ClockReading) -> None:
        """A believed reading on the boot of the newest witness. A reading that is not higher changes
        nothing.
        """
        newest = select(func.max(clock_witness.c.seq)).scalar_subquery()
        lower = clock_witness.c.seq == newest, clock_witness.c.highest_at < reading.wall
        async with self._database.write() as connection:
            await connection.execute(update(clock_witness).where(*lower).values(highest_at=reading.wall))

    async def accept(self, reading: ClockReading, ground: str, by: By) -> None:
        """A believed reading that begins a new witness: the first of all, or the first of a boot."""
        async with self._database.write() as connection:
            await _accept(connection, reading, ground, by)

    async def confirm(self, reading: ClockReading, by: By) -> bool:
        """`by.actor` says that the wall clock is right. Believed when two different people say so on the
        same boot, of clocks that agree within an hour.

        Returns whether it is believed now; both words stand in the audit log.
        """
        async with self._database.write() as connection:
            await append(connection, [Entry(by, "clock.confirm", reading.boot_id)])
            others = select(clock_confirmation).where(clock_confirmation.c.actor != by.actor)
            if any(_agree(word, reading) for word in await connection.execute(others)):
                await connection.execute(delete(clock_confirmation))
                await _accept(connection, reading, "confirmed by two people", by)
                return True
            values = {"wall": reading.wall, "boottime": reading.boottime, "boot_id": reading.boot_id}
            word = upsert(clock_confirmation).values(actor=by.actor, **values)
            await connection.execute(word.on_conflict_do_update(index_elements=["actor"], set_=values))
            return False


async def _accept(connection: AsyncConnection, reading: ClockReading, ground: str, by: By) -> None:
    witness = ClockWitness(reading.wall, reading.boottime, reading.boot_id, reading.wall, ground)
    await connection.execute(insert(clock_witness).values(asdict(witness)))
    await append(connection, [Entry(by, "clock.accept", reading.boot_id)])


def _agree(word: Row[Any], reading: ClockReading) -> bool:
    """Same boot, and the wall clock has moved as far as the time since boot."""
    if word.boot_id != reading.boot_id:
        return False
    drift = (reading.wall - word.wall) - timedelta(seconds=reading.boottime - word.boottime)
    return bool(abs(drift) <= _AGREEMENT)
