"""A call that a crash or a stop of signalling cuts off is not missing from the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from recorder.calls import Calls
from recorder.effects import KeepInMind, NoteOutcome, NoteWithheld, Unfinished
from recorder.service.books import Books
from recorder.service.unfinished import UnfinishedCalls
from sip_hooks.events import CallDisturbed, Disturbance
from storage.catalog import Catalogue
from storage.errors import Unavailable
from storage.model import Became, By, CallOutcome, Outcome, Withheld
from tests.fakes.clips import new_clip, sealing
from tests.recorder.test_session import (
    ANSWER,
    CALL,
    END,
    START,
    ids,
    lowest,
    named,
    of_kind,
    offered,
    policy,
)

DAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
BUSINESS = Unfinished(NOW, "service", "a-1041")
PRIVATE = Unfinished(DAY, kind="private")
FIRST, SECOND = "1" * 32, "2" * 32


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    opened = await Catalogue.open(tmp_path / "store" / "catalogue.db")
    yield opened
    await opened.close()


async def settled(catalogue: Catalogue, directory: Path) -> list[CallOutcome]:
    """What the next run of signalling notes first."""
    await Books(UnfinishedCalls(directory)).settle(catalogue)
    return await catalogue.calls.outcomes()


async def test_a_call_that_was_running_is_noted_as_failed(catalogue: Catalogue, tmp_path: Path) -> None:
    running = UnfinishedCalls(tmp_path / "calls")
    running.keep(FIRST, BUSINESS)
    running.keep(SECOND, PRIVATE)
    (row,) = await settled(catalogue, tmp_path / "calls")
    assert row == CallOutcome(
        FIRST, NOW, "service", "a-1041", Outcome.FAILED, ("signalling-lost",), 0.0, (), {}
    )
    assert [(it.kind, it.day, it.count) for it in await catalogue.calls.withheld()] == [
        (Withheld.PRIVATE, DAY, 1)
    ]
    assert await settled(catalogue, tmp_path / "calls") == [row]
    assert list((tmp_path / "calls").iterdir()) == []


@pytest.mark.parametrize(("part", "rows", "withheld"), [("whole", 0, 1), ("cut", 1, 0)])
async def test_a_crash_while_an_entry_is_written_tells_nothing_of_a_call_that_is_kept_out(
    catalogue: Catalogue, tmp_path: Path, part: str, rows: int, withheld: int
) -> None:
    directory = tmp_path / "calls"
    running = UnfinishedCalls(directory)
    running.keep(FIRST, PRIVATE)
    text = (directory / FIRST).read_text()
    running.keep(FIRST, BUSINESS)
    (directory / f"{FIRST}.part").write_text(text if part == "whole" else text[:9])
    assert len(await settled(catalogue, directory)) == rows
    assert [it.count for it in await catalogue.calls.withheld()] == [1] * withheld
    assert list(directory.iterdir()) == []


async def test_what_was_recorded_of_it_is_named(catalogue: Catalogue, tmp_path: Path) -> None:
    await catalogue.clips.begin(new_clip(call=FIRST), By("recorder", NOW))
    UnfinishedCalls(tmp_path / "calls").keep(FIRST, BUSINESS)
    (row,) = await settled(catalogue, tmp_path / "calls")
    assert row.purposes == ("coaching",)
    assert row.became == {"coaching": Became(Outcome.FAILED, ("signalling-lost",))}


async def test_a_call_whose_end_was_noted_is_not_noted_again(catalogue: Catalogue, tmp_path: Path) -> None:
    running = UnfinishedCalls(tmp_path / "calls")
    books = Books(running)
    for call in (FIRST, SECOND):
        books.note(KeepInMind(call, BUSINESS))
    books.note(NoteOutcome(FIRST, NOW, "service", "a-1041", "recorded", (), 5.0, ()))
    writing = asyncio.create_task(books.write(catalogue))
    async with asyncio.timeout(10):
        await books.flush()
    writing.cancel()
    assert [it.name for it in (tmp_path / "calls").iterdir()] == [SECOND]
    running.keep(FIRST, BUSINESS)  # the row was written, and the crash came before the file went
    rows = await settled(catalogue, tmp_path / "calls")
    assert {(it.call, it.outcome) for it in rows} == {(FIRST, Outcome.RECORDED), (SECOND, Outcome.FAILED)}


async def test_after_a_start_of_the_machine_cut_off_recordings_tell(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    clip = new_clip(call=FIRST)
    await catalogue.clips.begin(clip, By("recorder", NOW))
    await catalogue.clips.seal(clip.id, sealing(), By("recorder", NOW, "recovered"))
    (row,) = await settled(catalogue, tmp_path / "calls")
    assert (row.call, row.line, row.agent, row.started_at) == (
        FIRST,
        clip.line,
        clip.agent,
        clip.started_at,
    )


async def test_a_recording_that_lacks_its_row_in_the_same_run_of_the_machine_is_not_brought_up(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    """It may be that of a call that turned out to be privileged: that has only been counted."""
    UnfinishedCalls(tmp_path / "calls")
    await catalogue.clips.begin(new_clip(call=FIRST), By("recorder", NOW))
    assert await settled(catalogue, tmp_path / "calls") == []


async def test_an_entry_that_cannot_be_read_is_counted_as_lost(catalogue: Catalogue, tmp_path: Path) -> None:
    running = UnfinishedCalls(tmp_path / "calls")
    running.keep(FIRST, BUSINESS)
    (tmp_path / "calls" / SECOND).write_text("{", encoding="utf-8")
    books = Books(UnfinishedCalls(tmp_path / "calls"))
    await books.settle(catalogue)
    assert [it.call for it in await catalogue.calls.outcomes()] == [FIRST]
    assert books.lost == 1


async def test_a_catalogue_that_is_away_for_now_is_asked_again(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    UnfinishedCalls(tmp_path / "calls").keep(FIRST, BUSINESS)
    add, refusals = catalogue.calls.add, [Unavailable("write", "wait")]

    async def locked(outcome: CallOutcome) -> None:
        if refusals:
            raise refusals.pop()
        await add(outcome)

    monkeypatch.setattr(catalogue.calls, "add", locked)
    monkeypatch.setattr("recorder.service.books.RETRY_SECONDS", 0.0)
    assert [it.call for it in await settled(catalogue, tmp_path / "calls")] == [FIRST]


def test_a_directory_that_cannot_be_written_costs_an_entry_and_never_the_call(tmp_path: Path) -> None:
    running = UnfinishedCalls(tmp_path / "calls")
    (tmp_path / "calls").rmdir()
    running.keep(FIRST, BUSINESS)
    assert running.lost == 1


def kept(effects: list[Any]) -> list[Unfinished | None]:
    return [it.unfinished for it in of_kind(effects, KeepInMind)]


def test_of_a_call_that_turns_out_to_be_privileged_only_its_kind_is_kept_in_mind() -> None:
    calls = Calls(policy(), ids, lowest)
    assert kept(calls.on_event(offered("201", "+31612345678"), START)) == [
        Unfinished(START, "service", "a-1041")
    ]
    doctor = CallDisturbed(CALL, Disturbance.IDENTITY_CHANGED, named("callee", "250"))
    assert kept(calls.on_event(doctor, ANSWER)) == [Unfinished(START.date(), kind="privileged")]


@pytest.mark.parametrize(("callee", "expected"), [("202", []), ("112", [])])
def test_of_a_call_that_leaves_nothing_nothing_is_kept_in_mind(callee: str, expected: list[Any]) -> None:
    assert kept(Calls(policy(), ids, lowest).on_event(offered("201", callee), START)) == expected


def test_a_stop_of_the_service_notes_the_calls_that_run() -> None:
    calls = Calls(policy(), ids, lowest)
    calls.on_event(offered("201", "+31612345678"), START)
    (note,) = calls.cut_off(END)
    assert isinstance(note, NoteOutcome)
    assert (note.outcome, "service-stopped" in note.reasons) == ("failed", True)
    calls = Calls(policy(), ids, lowest)
    calls.on_event(offered("201", "*310612345678"), START)
    assert calls.cut_off(END) == [NoteWithheld(END.date(), "private")]
