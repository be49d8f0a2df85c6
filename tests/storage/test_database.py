"""The file of the catalogue: durable, private, and for several writers."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.catalog import Catalogue
from storage.database import Database
from storage.errors import Conflict, Unavailable
from storage.model import (
    By,
)
from tests.fakes.clips import new_clip
from tests.fakes.clock import START

BY = By("recorder", START, "because")


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    opened = await Catalogue.open(tmp_path / "store" / "catalogue.db")
    yield opened
    await opened.close()


async def test_nobody_else_may_look(catalogue: Catalogue) -> None:
    await catalogue.clips.begin(new_clip(), BY)
    directory = catalogue.path.parent
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert modes == dict.fromkeys(("catalogue.db", "catalogue.db-wal", "catalogue.db-shm"), 0o600)
    assert directory.stat().st_mode & 0o777 == 0o700


async def test_each_connection_is_set_for_durability(catalogue: Catalogue) -> None:
    database = Database(catalogue._database._reading, catalogue.path)
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
    async with database.read() as one, database.read() as other:
        for connection in (one, other):
            for pragma, value in wanted.items():
                assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar() == value


async def test_what_is_committed_is_there_after_a_crash(catalogue: Catalogue, tmp_path: Path) -> None:
    clip = new_clip()
    await catalogue.clips.begin(clip, BY)
    for name in ("catalogue.db", "catalogue.db-wal"):  # as the disk is at this moment, nothing closed
        (tmp_path / name).write_bytes((catalogue.path.parent / name).read_bytes())
    copy = await Catalogue.open(tmp_path / "catalogue.db")
    assert (await copy.clips.show(clip.id)).wrap == clip.wrap
    await copy.close()


async def test_a_write_that_fails_half_way_changes_nothing(catalogue: Catalogue) -> None:
    clip = new_clip(header_hash=None)  # refused by the second of three statements
    with pytest.raises(Conflict):
        await catalogue.clips.begin(clip, BY)
    connection = sqlite3.connect(catalogue.path)
    counts = [
        connection.execute(f"SELECT count(*) FROM {it}").fetchone() for it in ("recording", "clip", "audit")
    ]
    connection.close()
    assert counts == [(0,)] * 3


WRITER = """
import asyncio, sys
from pathlib import Path
from storage.catalog import Catalogue
from storage.model import By
from tests.fakes.clock import START

async def main(path, name):
    catalogue = await Catalogue.open(Path(path))
    for number in range(50):
        await catalogue.audit.append(By(name, START), "clip.play", str(number))
    await catalogue.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_writers_in_several_processes_wait_for_each_other(catalogue: Catalogue) -> None:
    """Each reads the end of the chain before it writes: without BEGIN IMMEDIATE one of them fails."""
    given = [sys.executable, "-W", "error", "-c", WRITER, str(catalogue.path)]
    children = [await asyncio.create_subprocess_exec(*given, name) for name in "abc"]
    assert [await child.wait() for child in children] == [0, 0, 0]
    report = await catalogue.audit.verify()
    assert (report.rows, report.broken_at) == (150, None)


async def test_writers_in_one_process_wait_for_each_other(catalogue: Catalogue) -> None:
    await asyncio.gather(*(catalogue.clips.begin(new_clip(), BY) for _ in range(30)))
    report = await catalogue.audit.verify()
    assert (report.rows, report.broken_at) == (30, None)


async def test_a_locked_catalogue_is_unavailable(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.database._PRAGMAS", ("PRAGMA busy_timeout = 0",))
    blocker = sqlite3.connect(catalogue.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    other = await Catalogue.open(catalogue.path)
    with pytest.raises(Unavailable, match="locked"):
        await other.clips.begin(new_clip(), BY)
    blocker.close()
    await other.close()
