"""Who may listen: management's grants (KSF 3.3)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Select, insert, select, update

from storage.audit import Entry, append
from storage.database import Database
from storage.errors import NotFound, Refused
from storage.model import By, Grant
from storage.tables import grants


class Grants:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, grant: Grant, by: By) -> None:
        """Keep a signed grant. The signature is checked by who reads it. Raises Conflict when the id
        exists.
        """
        async with self._database.write() as connection:
            await connection.execute(insert(grants).values(asdict(grant)))
            await append(connection, [Entry(by, "grant.add", grant.id)])

    async def all(self) -> list[Grant]:
        """Every grant there ever was, the newest first."""
        return await self._rows(select(grants))

    async def for_person(self, person: str, at: datetime) -> list[Grant]:
        """The grants of `person` that hold at `at`: neither revoked nor run out."""
        return await self._rows(
            select(grants).where(
                grants.c.person == person,
                grants.c.until_at > at,
                grants.c.revoked_at.is_(None) | (grants.c.revoked_at > at),
            )
        )

    async def revoke(self, grant_id: str, by: By) -> Grant:
        """Raises NotFound, or Refused("already-revoked")."""
        async with self._database.write() as connection:
            chosen = select(grants).where(grants.c.id == grant_id)
            row = (await connection.execute(chosen)).mappings().first()
            if row is None:
                raise NotFound(f"find grant {grant_id}", "`doelband grant list` shows those there are")
            if row["revoked_at"] is not None:
                raise Refused("already-revoked", f"revoke grant {grant_id}", "it was revoked before")
            values = {"revoked_at": by.at, "revoked_by": by.actor}
            await connection.execute(update(grants).where(grants.c.id == grant_id).values(values))
            await append(connection, [Entry(by, "grant.revoke", grant_id)])
            return Grant(**{**row, **values})

    async def _rows(self, query: Select[tuple[object, ...]]) -> list[Grant]:
        async with self._database.read() as connection:
            found = await connection.execute(query.order_by(grants.c.granted_at.desc(), grants.c.id))
            return [Grant(**row) for row in found.mappings()]
