"""One SQLite file, opened so that what is committed is on the disk.

WAL with `synchronous=FULL`; foreign keys enforced; a write transaction is BEGIN IMMEDIATE, so that what it
reads first cannot change under it and a second writer, in this process or another, waits instead of failing
half-way (https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#sqlite-transactions). Directory 0700, file
0600; SQLite gives its -wal and -shm files the mode of the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from storage.errors import Conflict, Corrupt, DiskFull, Unavailable
from storage.tables import SCHEMA_REVISION

_BUSY_SECONDS = 15
_CHECKPOINT_SECONDS = 0.2
_PRAGMAS = (
    f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}",  # first: the next one may already have to wait
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA trusted_schema = OFF",
)


class Database:
    """Read and write transactions over one SQLite file. Errors of the driver become StorageErrors here."""

    def __init__(self, engine: AsyncEngine, path: Path) -> None:
        self._reading = engine
        self._writing = engine.execution_options(is_write=True)
        self._turn = asyncio.Lock()
        self.path = path

    @classmethod
    async def open(cls, path: Path) -> Database:
        """Create or open the file and bring its schema to the newest revision.

        Raises Unavailable when the file cannot be opened, Corrupt when it is no catalogue or one of a later
        version.
        """
        await asyncio.to_thread(_prepare, path)
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        event.listen(engine.sync_engine, "connect", _on_connect)
        event.listen(engine.sync_engine, "begin", _on_begin)
        database = cls(engine, path)
        try:
            await database._migrate()
        except BaseException:
            await engine.dispose()
            raise
        return database

    async def close(self) -> None:
        await self._reading.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """One snapshot; nothing that is written meanwhile is seen."""
        with _translated("read the catalogue"):
            async with self._reading.begin() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """All or nothing; durable when the block has been left without an error."""
        async with self._turn:
            with _translated("write to the catalogue"):
                async with self._writing.begin() as connection:
                    yield connection

    async def empty_log(self) -> None:
        """Bring all that is committed into the file itself and leave nothing in the log beside it. Raises
        Unavailable while a reader is in its way.
        """
        async with self._turn:
            is_busy = await asyncio.to_thread(_checkpoint, self.path)
        if is_busy:
            raise Unavailable("empty the catalogue's log", "somebody reads it; it is tried again")

    async def _migrate(self) -> None:
        async with self.read() as connection:
            if await connection.run_sync(_revision) == SCHEMA_REVISION:
                return
        async with self.write() as connection:
            await connection.run_sync(_upgrade)


class _translated:
    """Maps the driver's errors once, at the edge."""

    def __init__(self, attempted: str) -> None:
        self._attempted = attempted

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, IntegrityError):
            raise Conflict(
                self._attempted, f"the row exists already or names a row that does not: {error.orig}"
            ) from error
        if isinstance(error, DBAPIError):
            reason = str(error.orig)
            if "malformed" in reason or "not a database" in reason:
                raise Corrupt(self._attempted, f"restore the catalogue from a copy ({reason})") from error
            kind = DiskFull if "disk is full" in reason else Unavailable
            raise kind(self._attempted, f"look at the disk and the other processes ({reason})") from error


def _prepare(path: Path) -> None:
    """Make directory and file with nobody else's rights before SQLite makes them with the umask's."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise Unavailable(
            f"open the catalogue {path}", f"give the service's user the directory ({error.strerror})"
        ) from error


def _checkpoint(path: Path) -> bool:
    """Whether somebody was in the way; not waited for long, since nobody writes meanwhile."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_CHECKPOINT_SECONDS)) as connection:
            return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
    except sqlite3.Error:
        return True


def _on_connect(connection: Any, record: object) -> None:
    connection.isolation_level = None  # sqlite3 begins nothing by itself: _on_begin does
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _on_begin(connection: Connection) -> None:
    is_write = connection.get_execution_options().get("is_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def _revision(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise Corrupt(
            "bring the catalogue to this version", f"use the version that wrote it ({error})"
        ) from error
