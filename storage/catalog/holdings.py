"""What an inspection asks of the catalogue: pages of rows, and which rows and leaves lack each other."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Select, func, select, text

from storage.catalog.clips import joined
from storage.database import Database
from storage.errors import Corrupt
from storage.model import Clip
from storage.tables import audit, certificate, clip, tombstone

_OPENED = "clip.open"


class Holdings:
    """Reads only. Each answer is of one moment; a page at a time, so that memory stays flat."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self) -> int:
        async with self._database.read() as connection:
            return await connection.scalar(select(func.count()).select_from(clip)) or 0

    async def page(self, after: str, size: int) -> list[str]:
        """The ids that follow `after`, in order, `size` at most."""
        return await self._ids(select(clip.c.id).where(clip.c.id > after).order_by(clip.c.id).limit(size))

    async def of(self, clip_ids: Collection[str]) -> list[Clip]:
        """The rows of these. Raises Corrupt for a row that no version of the catalogue can have written."""
        query = joined().where(clip.c.id.in_(clip_ids)).order_by(clip.c.id)
        try:
            async with self._database.read() as connection:
                return [Clip(**row) for row in (await connection.execute(query)).mappings()]
        except ValueError as error:
            raise Corrupt("read the rows of clips", f"restore the catalogue from a copy ({error})") from error

    async def known(self, clip_ids: Collection[str]) -> set[str]:
        """Those of them that have a row."""
        return set(await self._ids(select(clip.c.id).where(clip.c.id.in_(clip_ids))))

    async def buried(self, clip_ids: Collection[str]) -> set[str]:
        """Those of them that have a tombstone."""
        return set(await self._ids(select(tombstone.c.clip).where(tombstone.c.clip.in_(clip_ids))))

    async def certified(self, clip_ids: Collection[str]) -> set[str]:
        """Those of them that have a certificate of destruction."""
        return set(await self._ids(select(certificate.c.clip).where(certificate.c.clip.in_(clip_ids))))

    async def parts(self, clip_ids: Collection[str]) -> dict[str, tuple[str, int]]:
        """Recording and part number of each."""
        query = select(clip.c.id, clip.c.recording, clip.c.part).where(clip.c.id.in_(clip_ids))
        async with self._database.read() as connection:
            return {row.id: (row.recording, row.part) for row in await connection.execute(query)}

    async def lost(self) -> list[str]:
        """Clips that the audit log saw begin and that have no row."""
        begun = select(audit.c.object).outerjoin(clip, clip.c.id == audit.c.object)
        return await self._ids(begun.where(audit.c.action == _OPENED, clip.c.id.is_(None)))

    async def unheard(self) -> list[str]:
        """Clips with a row whose beginning the audit log does not know."""
        begun = select(audit.c.seq).where(audit.c.object == clip.c.id, audit.c.action == _OPENED)
        return await self._ids(select(clip.c.id).where(~begun.exists()))

    async def damage(self) -> list[str]:
        """What SQLite finds wrong with the file, in its words; rows that name a row that is not there."""
        async with self._database.read() as connection:
            words = [row[0] for row in await connection.execute(text("PRAGMA quick_check(10)"))]
            loose = {row[0] for row in await connection.execute(text("PRAGMA foreign_key_check"))}
        return [word for word in words if word != "ok"] + [f"rows of {it} are loose" for it in sorted(loose)]

    async def _ids(self, query: Select[tuple[str]]) -> list[str]:
        async with self._database.read() as connection:
            return list(await connection.scalars(query))
