"""Of a withdrawn call the catalogue keeps random identifiers and the UTC day."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from storage.audit import append
from storage.catalog import Catalogue
from storage.errors import IllegalStep, Refused, Unavailable
from storage.lifecycle import State
from storage.model import Became, By, CallOutcome, Outcome
from tests.fakes.clips import new_clip, new_id, sealing
from tests.fakes.clock import START

CALL = "c" * 32
DAY = START.date()
MIDNIGHT = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
BY = By("recorder", START, "bye", "the close record", DAY)


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    opened = await Catalogue.open(tmp_path / "store" / "catalogue.db")
    yield opened
    await opened.close()


async def recorded(catalogue: Catalogue, call: str = CALL, **changes: Any) -> str:
    clip = new_clip(call=call, agent="a-1041", line="service", **changes)
    await catalogue.clips.begin(clip, BY)
    await catalogue.clips.seal(clip.id, sealing(), BY)
    return clip.id


def everything(catalogue: Catalogue) -> str:
    """Whatever any row says, and the bytes of the file and of its log."""
    with contextlib.closing(sqlite3.connect(catalogue.path)) as database:
        rows = "\n".join(database.iterdump())
    files = [catalogue.path, catalogue.path.with_name(catalogue.path.name + "-wal")]
    return rows + "".join(it.read_bytes().decode("latin-1") for it in files if it.exists())


async def test_nobody_is_named_any_more_in_any_row_nor_in_the_file(catalogue: Catalogue) -> None:
    clips = [await recorded(catalogue), await recorded(catalogue, purpose="evidence")]
    outcome = CallOutcome(CALL, START, "service", "a-1041", Outcome.RECORDED, (), 9.0, ("coaching",))
    await catalogue.calls.add(outcome)
    async with catalogue._database.write() as connection:
        await append(connection, [])
    assert "a-1041" in everything(catalogue)
    await catalogue.withdrawals.withdraw([CALL], DAY, "private-code")
    await catalogue.withdrawals.overwrite()
    said = everything(catalogue)
    for word in ("a-1041", "service", "coaching", "evidence", "the close record", START.isoformat()[11:19]):
        assert word not in said, word
    for each in clips:
        row = await catalogue.clips.show(each)
        assert (row.state, row.wrap, row.started_at, row.opened_at) == (
            State.ERASING,
            None,
            MIDNIGHT,
            MIDNIGHT,
        )
    assert await catalogue.calls.outcomes() == []


async def test_no_leaf_tells_when(catalogue: Catalogue) -> None:
    clip = await recorded(catalogue)
    await catalogue.withdrawals.withdraw([CALL], DAY, "private-code")
    leaves = await catalogue.audit.rows(clip)
    assert {(it.at, it.actor, it.text) for it in leaves} == {(MIDNIGHT, "recorder", None)}
    assert [it.action for it in leaves] == ["clip.shred", "clip.seal", "clip.open"]
    assert (await catalogue.audit.verify()).broken_at is None


async def test_which_call_somebody_did_something_to_is_forgotten(catalogue: Catalogue) -> None:
    await catalogue.audit.append(replace(BY, text=CALL), "call.pause", "running-call")
    await catalogue.withdrawals.withdraw([CALL], DAY, "private-code")
    assert [it.text for it in await catalogue.audit.rows()] == [None]


async def test_no_clip_of_it_begins_and_none_is_sealed(catalogue: Catalogue) -> None:
    clip = new_clip(call=CALL)
    await catalogue.clips.begin(clip, BY)
    await catalogue.withdrawals.withdraw([CALL], DAY, "private-code")
    with pytest.raises(Refused, match="nothing of its call may be kept"):
        await catalogue.clips.begin(new_clip(call=CALL), BY)
    with pytest.raises(IllegalStep):
        await catalogue.clips.seal(clip.id, sealing(), BY)


async def test_another_call_is_left_alone_and_the_purge_destroys_no_day(catalogue: Catalogue) -> None:
    kept, gone = await recorded(catalogue, call="d" * 32), await recorded(catalogue)
    for _ in range(2):
        await catalogue.withdrawals.withdraw([CALL], DAY, "private-code")
    assert (await catalogue.clips.show(kept)).state is State.SEALED
    assert [it.id for it in await catalogue.withdrawals.left()] == [gone]
    assert await catalogue.erasures.condemned() == [], "its day's key is that of other clips"


async def test_an_objection_leaves_its_row_in_the_ledger_without_a_recording(catalogue: Catalogue) -> None:
    became = {"coaching": Became(Outcome.RECORDED, ())}
    row = CallOutcome(CALL, START, "service", "a-1041", Outcome.RECORDED, (), 9.0, ("coaching",), became)
    await catalogue.calls.add(row)
    await catalogue.withdrawals.withdraw([CALL], DAY, "objection")
    changed: Any = {"outcome": Outcome.SUPPRESSED, "reasons": ("objection",), "purposes": (), "became": {}}
    assert await catalogue.calls.outcomes() == [replace(row, **changed)]


async def test_a_reader_in_the_way_is_waited_for(catalogue: Catalogue) -> None:
    async with catalogue._database.read() as connection:
        await connection.exec_driver_sql("SELECT count(*) FROM clip")
        await recorded(catalogue)
        with pytest.raises(Unavailable, match="somebody reads it"):
            await catalogue.withdrawals.overwrite()
    await catalogue.withdrawals.overwrite()


async def test_it_may_be_said_before_anything_was_recorded(catalogue: Catalogue) -> None:
    await catalogue.withdrawals.withdraw([CALL, new_id()], DAY, "private-code")
    with pytest.raises(Refused):
        await catalogue.clips.begin(new_clip(call=CALL), BY)
