"""What the works council has said about which scheme (KSF 3.11, WOR 27)."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import insert, select

from storage.audit import Entry, append
from storage.database import Database
from storage.model import Approval, By
from storage.tables import approval

_COLUMNS = [column for column in approval.columns if column.name != "seq"]


class Approvals:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, new: Approval, by: By) -> None:
        """Keep an approval or a withdrawal, in the order in which they come."""
        async with self._database.write() as connection:
            await connection.execute(insert(approval).values(asdict(new)))
            await append(connection, [Entry(by, f"scheme.{new.kind}", new.scheme_hash)])

    async def all(self) -> list[Approval]:
        """The newest first."""
        query = select(*_COLUMNS).order_by(approval.c.seq.desc())
        async with self._database.read() as connection:
            return [Approval(**row) for row in (await connection.execute(query)).mappings()]

    async def latest(self) -> Approval | None:
        return next(iter(await self.all()), None)
