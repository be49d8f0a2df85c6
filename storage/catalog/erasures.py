"""Destruction, step by step, in batches: condemned, key evidence, buried, certified.

Every act here may be repeated: what is done already is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.audit import Entry, append
from storage.catalog.clips import joined
from storage.catalog.withdrawals import NOBODY
from storage.database import Database
from storage.errors import NotFound
from storage.lifecycle import State, Step, after
from storage.model import AuditRow, By, Certificate, Clip, DestroyedDay, Tombstone
from storage.tables import audit, certificate, clip, destroyed_day, recording, tombstone


class Erasures:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def condemn(self, clip_ids: Sequence[str], by: By) -> None:
        """SHRED: from here on nobody may open them. Those that are ERASING already get no second leaf.

        Raises IllegalStep, and condemns none, when one of them is ERASED.
        """
        async with self._database.write() as connection:
            states = await _states(connection, clip_ids)
            fresh = [each for each, state in states.items() if after(state, Step.SHRED) != state]
            await connection.execute(update(clip).where(clip.c.id.in_(fresh)).values(state=State.ERASING))
            await append(connection, [Entry(by, "clip.shred", each) for each in fresh])

    async def condemned(self) -> list[Clip]:
        """ERASING: what a purge has begun and not yet buried. Those of withdrawn calls have no day of their
        own whose key could go (`Withdrawals.left`).
        """
        query = joined().where(clip.c.state == State.ERASING, recording.c.purpose != NOBODY)
        query = query.order_by(clip.c.id)
        async with self._database.read() as connection:
            return [Clip(**row) for row in (await connection.execute(query)).mappings()]

    async def keep_evidence(self, days: Sequence[DestroyedDay], by: By) -> None:
        """The key service's word that these day keys are gone. The first word for a day is kept."""
        async with self._database.write() as connection:
            known = {(row.purpose, row.day) for row in await connection.execute(_EVIDENCE_KEYS)}
            fresh = [each for each in days if (each.purpose, each.day) not in known]
            if fresh:
                await connection.execute(insert(destroyed_day), [asdict(each) for each in fresh])
            entries = [Entry(by, "key.destroy", f"{each.purpose}/{each.day}") for each in fresh]
            await append(connection, entries)

    async def evidence(self) -> dict[tuple[str, date], DestroyedDay]:
        """By purpose and deadline day."""
        async with self._database.read() as connection:
            found = [
                DestroyedDay(**row) for row in (await connection.execute(select(destroyed_day))).mappings()
            ]
        return {(each.purpose, each.day): each for each in found}

    async def bury(self, stones: Sequence[Tombstone], by: By) -> None:
        """Write the tombstones, then ERASED; wrap and close record leave the row. Raises IllegalStep."""
        async with self._database.write() as connection:
            states = await _states(connection, [stone.clip for stone in stones])
            fresh = [stone for stone in stones if states[stone.clip] != State.ERASED]
            if not fresh:
                return
            await connection.execute(insert(tombstone), [asdict(stone) for stone in fresh])
            ids = [stone.clip for stone in fresh]
            erased = {after(states[each], Step.BURY) for each in ids}.pop()
            gone = {"state": erased, "wrap": None, "close_record": None}
            await connection.execute(update(clip).where(clip.c.id.in_(ids)).values(gone))
            await append(connection, [Entry(by, "clip.bury", each) for each in ids])

    async def tombstone(self, clip_id: str) -> Tombstone | None:
        async with self._database.read() as connection:
            query = select(tombstone).where(tombstone.c.clip == clip_id)
            row = (await connection.execute(query)).mappings().first()
            return None if row is None else Tombstone(**row)

    async def uncertified(self) -> list[Tombstone]:
        """Buried, and no certificate says so yet."""
        query = (
            select(tombstone)
            .outerjoin(certificate, certificate.c.clip == tombstone.c.clip)
            .where(certificate.c.clip.is_(None))
            .order_by(tombstone.c.clip)
        )
        async with self._database.read() as connection:
            return [Tombstone(**row) for row in (await connection.execute(query)).mappings()]

    async def leaves(self, objects: Iterable[str]) -> dict[str, list[AuditRow]]:
        """The audit leaves about each of these objects, oldest first, without their free texts."""
        found: dict[str, list[AuditRow]] = {each: [] for each in objects}
        query = select(audit).where(audit.c.object.in_(found)).order_by(audit.c.seq)
        async with self._database.read() as connection:
            for row in (await connection.execute(query)).mappings():
                found[row["object"]].append(AuditRow(**row, text=None))
        return found

    async def certify(self, certificates: Sequence[Certificate], by: By) -> None:
        """Keep certificates; a clip's later one takes the place of its earlier one."""
        ids = [each.clip for each in certificates]
        async with self._database.write() as connection:
            await connection.execute(delete(certificate).where(certificate.c.clip.in_(ids)))
            await connection.execute(insert(certificate), [asdict(each) for each in certificates])
            await append(connection, [Entry(by, "purge.certify", each) for each in ids])

    async def certificate(self, clip_id: str) -> Certificate:
        """Raises NotFound."""
        async with self._database.read() as connection:
            query = select(certificate).where(certificate.c.clip == clip_id)
            row = (await connection.execute(query)).mappings().first()
        if row is None:
            raise NotFound(
                f"find the certificate of clip {clip_id}", "it is made when a purge has destroyed the clip"
            )
        return Certificate(**row)

    async def certificates(self) -> list[Certificate]:
        """The newest first."""
        query = select(certificate).order_by(certificate.c.at.desc(), certificate.c.clip)
        async with self._database.read() as connection:
            return [Certificate(**row) for row in (await connection.execute(query)).mappings()]


_EVIDENCE_KEYS = select(destroyed_day.c.purpose, destroyed_day.c.day)


async def _states(connection: AsyncConnection, clip_ids: Sequence[str]) -> dict[str, State]:
    rows = await connection.execute(select(clip.c.id, clip.c.state).where(clip.c.id.in_(clip_ids)))
    return {row.id: row.state for row in rows}
