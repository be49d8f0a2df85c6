"""That a call is to be destroyed is never forgotten: not while the database is away, nor in a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recorder.effects import Destroy, KeepInMind, NoteWithheld, Unfinished
from recorder.service import books as of_books
from recorder.service.books import Books
from recorder.service.unfinished import UnfinishedCalls
from storage.catalog import Catalogue
from storage.errors import Corrupt, StorageError, Unavailable
from storage.lifecycle import State
from storage.model import By
from tests.fakes.clips import new_clip
from tests.fakes.clock import START
from tests.fakes.relay import soon

FIRST, SECOND = "1" * 32, "2" * 32
ORDER = Destroy((FIRST, SECOND), START.date(), "private-code")
PRIVATE = Unfinished(START.date(), kind="private", destroy=ORDER)
ONLY_TO_DESTROY = Unfinished(START.date(), destroy=ORDER)


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    opened = await Catalogue.open(tmp_path / "store" / "catalogue.db")
    for call in (FIRST, SECOND):
        await opened.clips.begin(new_clip(call=call), By("recorder", START))
    yield opened
    await opened.close()


async def states(catalogue: Catalogue) -> set[State]:
    return {it.state for it in await catalogue.clips.find()}


@pytest.mark.parametrize("why", [Unavailable, Corrupt])
async def test_it_is_tried_until_it_is_done_and_said_meanwhile(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: type[StorageError]
) -> None:
    monkeypatch.setattr(of_books, "RETRY_SECONDS", 0.01)
    real, attempts, urged = catalogue.withdrawals.withdraw, [], asyncio.Event()

    async def away(*order: Any) -> None:
        attempts.append(order)
        if len(attempts) < 3:
            raise why("write to the catalogue", "look at the disk")
        await real(*order)

    async def urge() -> None:
        urged.set()

    monkeypatch.setattr(catalogue.withdrawals, "withdraw", away)
    books = Books(UnfinishedCalls(tmp_path / "calls"), urge)
    books.note(KeepInMind(FIRST, PRIVATE))
    books.note(KeepInMind(SECOND, ONLY_TO_DESTROY))
    books.note(ORDER)
    books.note(KeepInMind(SECOND, None))  # that call is over meanwhile
    assert books.to_be_destroyed == 2
    assert len(list((tmp_path / "calls").iterdir())) == 2, "a crash now forgets nothing"
    writing = asyncio.create_task(books.write(catalogue))
    await soon(urged.is_set)
    await soon(lambda: books.to_be_destroyed == 0)
    writing.cancel()
    assert await states(catalogue) == {State.ERASING}
    assert [it.name for it in (tmp_path / "calls").iterdir()] == [FIRST], "the one that is counted yet"


async def test_a_queue_that_is_full_loses_no_order(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_books, "WAITING", 1)
    books = Books()
    for _ in range(3):
        books.note(NoteWithheld(START.date(), "private"))
    books.note(ORDER)
    assert books.lost == 2
    writing = asyncio.create_task(books.write(catalogue))
    async with asyncio.timeout(10):
        await books.flush()
    writing.cancel()
    assert await states(catalogue) == {State.ERASING}


@pytest.mark.parametrize(("left", "counted"), [(PRIVATE, 1), (ONLY_TO_DESTROY, 0)])
async def test_what_a_crash_left_undone_is_done_by_the_next_run(
    catalogue: Catalogue, tmp_path: Path, left: Unfinished, counted: int
) -> None:
    UnfinishedCalls(tmp_path / "calls").keep(FIRST, left)
    await Books(UnfinishedCalls(tmp_path / "calls")).settle(catalogue)
    assert await states(catalogue) == {State.ERASING}
    assert [it.count for it in await catalogue.calls.withheld()] == [1] * counted
    assert await catalogue.calls.outcomes() == []
    assert list((tmp_path / "calls").iterdir()) == []
