"""The migrations make what the tables say, from an installed package, whoever comes first."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from storage.catalog import Catalogue
from storage.errors import Corrupt, Unavailable
from storage.tables import SCHEMA_REVISION, metadata


def test_the_newest_migration_is_the_one_the_code_expects() -> None:
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA_REVISION


async def test_migrations_and_tables_agree(tmp_path: Path) -> None:
    await (await Catalogue.open(tmp_path / "catalogue.db")).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'catalogue.db'}")
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
    finally:
        engine.dispose()


async def test_a_catalogue_of_the_first_version_is_brought_to_this_one(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.db"
    await (await Catalogue.open(path)).close()
    _downgrade(path, "0001")
    with sqlite3.connect(path) as old:
        assert "became" not in {row[1] for row in old.execute("PRAGMA table_info(call_outcome)")}
        values = ("ab" * 16, "2026-03-01T09:00:00.000000Z", "sales", "a-1", "recorded", "[]", 60.0, '["x"]')
        old.execute("INSERT INTO call_outcome VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    old.close()
    catalogue = await Catalogue.open(path)
    (outcome,) = await catalogue.calls.outcomes()
    assert (outcome.call, outcome.purposes, outcome.became) == ("ab" * 16, ("x",), {})
    await catalogue.close()


def _downgrade(path: Path, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
    engine.dispose()


async def test_several_may_open_a_new_catalogue_at_once(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.db"
    opened = await asyncio.gather(*(Catalogue.open(path) for _ in range(4)))
    for catalogue in opened:
        assert (await catalogue.audit.verify()).rows == 0
        await catalogue.close()


async def test_a_catalogue_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.db"
    await (await Catalogue.open(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(Corrupt, match="use the version that wrote it"):
        await Catalogue.open(path)


async def test_a_file_that_is_no_catalogue_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalogue.db").write_bytes(b"not a database, but long enough to be looked at" * 40)
    with pytest.raises(Corrupt):
        await Catalogue.open(tmp_path / "catalogue.db")


async def test_a_catalogue_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="ascii")
    with pytest.raises(Unavailable):
        await Catalogue.open(tmp_path / "file" / "catalogue.db")
