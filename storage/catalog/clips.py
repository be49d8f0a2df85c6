"""Recordings and their clips."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import UTC, date

from sqlalchemy import ColumnElement, Select, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.audit import Entry, append
from storage.database import Database
from storage.errors import NotFound, Refused
from storage.lifecycle import UNFINISHED, State, Step, after
from storage.model import By, Clip, ClipFilter, NewClip, Sealing
from storage.tables import clip, recording, withdrawn

EVERYTHING = ClipFilter()
LIVE = tuple(it for it in State if it is not State.ERASED)
_RECORDING_FIELDS = ("call", "purpose", "line", "agent", "scheme_hash", "started_at")


class Clips:
    """Clips are begun, sealed and stepped here; they are buried by `Erasures`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, new: NewClip, by: By) -> None:
        """Make the row that must be durable before the clip's first byte: wrap, deadline, OPEN.

        Raises Conflict when the clip, or this part of its recording, exists already, Refused("withdrawn")
        when nothing of its call may be kept.
        """
        row = asdict(new)
        owner = {"id": new.recording, **{field: row.pop(field) for field in _RECORDING_FIELDS}}
        async with self._database.write() as connection:
            if await is_withdrawn(connection, new.call):
                raise Refused("withdrawn", f"begin clip {new.id}", "nothing of its call may be kept")
            await connection.execute(upsert(recording).values(owner).on_conflict_do_nothing())
            await connection.execute(insert(clip).values(row | {"state": State.OPEN, "opened_at": by.at}))
            await append(connection, [Entry(of_the_day(by), "clip.open", new.id)])

    async def seal(self, clip_id: str, sealing: Sealing, by: By) -> Clip:
        """The clip is finished and on the disk. Raises NotFound, IllegalStep."""
        values = {**asdict(sealing), "sealed_at": by.at}
        return await self._step(clip_id, Step.SEAL, of_the_day(by), values)

    async def step(self, clip_id: str, step: Step, by: By) -> Clip:
        """PAUSE, RESUME or SHRED. Raises NotFound, IllegalStep."""
        return await self._step(clip_id, step, by, {})

    async def show(self, clip_id: str) -> Clip:
        """Raises NotFound."""
        async with self._database.read() as connection:
            return await one(connection, clip_id)

    async def find(self, wanted: ClipFilter = EVERYTHING) -> list[Clip]:
        """The clips that fit, newest call first."""
        query = joined().where(*_conditions(wanted)).limit(wanted.limit)
        query = query.order_by(recording.c.started_at.desc(), clip.c.recording, clip.c.part)
        async with self._database.read() as connection:
            return [Clip(**row) for row in (await connection.execute(query)).mappings()]

    async def unfinished(self) -> list[Clip]:
        """OPEN and PAUSED: what a crash has left to be sealed as truncated."""
        return await self.find(ClipFilter(states=UNFINISHED))

    async def with_objects(self, clip_ids: Collection[str]) -> set[str]:
        """Those of them that may have files: all but the ERASED."""
        query = select(clip.c.id).where(clip.c.id.in_(clip_ids), clip.c.state != State.ERASED)
        async with self._database.read() as connection:
            return set(await connection.scalars(query))

    async def count_by_state(self) -> dict[State, int]:
        query = select(clip.c.state, func.count().label("number")).group_by(clip.c.state)
        async with self._database.read() as connection:
            counted = {row.state: row.number for row in await connection.execute(query)}
        return {state: counted.get(state, 0) for state in State}

    async def count_live(self) -> dict[tuple[State, str], int]:
        """By state and purpose, those whose bytes are not destroyed."""
        query = (
            select(clip.c.state, recording.c.purpose, func.count().label("number"))
            .join(recording, clip.c.recording == recording.c.id)
            .where(clip.c.state.in_(LIVE))
            .group_by(clip.c.state, recording.c.purpose)
        )
        async with self._database.read() as connection:
            return {(row.state, row.purpose): row.number for row in await connection.execute(query)}

    async def due(self, before: date) -> tuple[int, date | None]:
        """How many live clips have a deadline day before this one, and the earliest such day."""
        query = select(func.count(), func.min(clip.c.deadline_day)).where(
            clip.c.state.in_(LIVE), clip.c.deadline_day < before
        )
        async with self._database.read() as connection:
            count, earliest = (await connection.execute(query)).one()
            return count, earliest

    async def _step(self, clip_id: str, step: Step, by: By, values: dict[str, object]) -> Clip:
        async with self._database.write() as connection:
            before = await one(connection, clip_id)
            state = after(before.state, step)
            await connection.execute(
                update(clip).where(clip.c.id == clip_id).values(values | {"state": state})
            )
            await append(connection, [Entry(by, f"clip.{step}", clip_id)])
            return await one(connection, clip_id)


def of_the_day(by: By) -> By:
    """A leaf of a clip's beginning or end says no more than the day: the row knows the instant, and forgets
    it when the call is withdrawn. The log cannot.
    """
    at = by.at.astimezone(UTC)
    return replace(by, at=at.replace(hour=0, minute=0, second=0, microsecond=0))


async def is_withdrawn(connection: AsyncConnection, call: str) -> bool:
    """Whether nothing of this call may be recorded any more."""
    query = select(withdrawn.c.call).where(withdrawn.c.call == call)
    return (await connection.execute(query)).first() is not None


def joined() -> Select[tuple[object, ...]]:
    """Clips with what their recording says, in the columns of `Clip`."""
    owner = [recording.c[field] for field in _RECORDING_FIELDS]
    return select(clip, *owner).join(recording, clip.c.recording == recording.c.id)


async def one(connection: AsyncConnection, clip_id: str) -> Clip:
    """Raises NotFound."""
    row = (await connection.execute(joined().where(clip.c.id == clip_id))).mappings().first()
    if row is None:
        raise NotFound(f"find clip {clip_id}", "`doelband clips list` shows those there are")
    return Clip(**row)


def _conditions(wanted: ClipFilter) -> list[ColumnElement[bool]]:
    equal = {
        recording.c.purpose: wanted.purpose,
        recording.c.line: wanted.line,
        recording.c.agent: wanted.agent,
        recording.c.call: wanted.call,
        clip.c.recording: wanted.recording,
    }
    conditions = [column == value for column, value in equal.items() if value is not None]
    if wanted.states is not None:
        conditions.append(clip.c.state.in_(wanted.states))
    if wanted.since is not None:
        conditions.append(recording.c.started_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(recording.c.started_at < wanted.until)
    if wanted.due_before is not None:
        conditions.append(clip.c.deadline_day < wanted.due_before)
    if wanted.begins is not None:
        conditions += [clip.c.id >= wanted.begins, clip.c.id < wanted.begins + "g"]  # ids are hexadecimal
    return conditions
