"""The catalogue: every row there is, by noun. What is handed out is frozen; what is committed is durable.

    catalogue = await Catalogue.open(directory / "catalogue.db")
    await catalogue.clips.begin(clip, By("recorder", clock.now()))

An act writes its audit leaf in its own transaction. Clips change state only through `storage.lifecycle`.
"""

from __future__ import annotations

from pathlib import Path

from storage.audit import AuditLog
from storage.catalog.approvals import Approvals
from storage.catalog.calls import Calls
from storage.catalog.clips import Clips
from storage.catalog.clock import ClockWitnesses
from storage.catalog.erasures import Erasures
from storage.catalog.grants import Grants
from storage.catalog.holdings import Holdings
from storage.catalog.withdrawals import Withdrawals
from storage.database import Database

__all__ = ["Catalogue"]


class Catalogue:
    """One open catalogue. Use it from one event loop; other processes may have the same file open."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.clips = Clips(database)
        self.grants = Grants(database)
        self.approvals = Approvals(database)
        self.calls = Calls(database)
        self.erasures = Erasures(database)
        self.withdrawals = Withdrawals(database)
        self.clock = ClockWitnesses(database)
        self.holdings = Holdings(database)
        self.audit = AuditLog(database)

    @classmethod
    async def open(cls, path: Path) -> Catalogue:
        """Open or create the catalogue, its schema at the newest revision. Raises Unavailable, Corrupt."""
        return cls(await Database.open(path))

    @property
    def path(self) -> Path:
        return self._database.path

    async def check_writable(self) -> None:
        """Take the turn to write and give it back; nothing is written. Raises Unavailable."""
        async with self._database.write():
            pass

    async def close(self) -> None:
        await self._database.close()
