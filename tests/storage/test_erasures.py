"""Destruction and the clock, as the catalogue keeps them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from storage.catalog import Catalogue
from storage.errors import IllegalStep
from storage.lifecycle import State
from storage.model import (
    By,
    Certificate,
    CertificateState,
    ClockReading,
    DestroyedDay,
    Tombstone,
)
from tests.fakes.clips import DAY, new_clip, new_id, sealing
from tests.fakes.clock import START

BY = By("recorder", START, "because")


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    opened = await Catalogue.open(tmp_path / "store" / "catalogue.db")
    yield opened
    await opened.close()


async def actions(catalogue: Catalogue) -> list[str]:
    return [row.action for row in reversed(await catalogue.audit.rows())]


def stone(clip_id: str) -> Tombstone:
    return Tombstone(clip_id, new_id(), "coaching", DAY, "deadline-passed", START)


async def sealed(catalogue: Catalogue) -> str:
    clip = new_clip()
    await catalogue.clips.begin(clip, BY)
    await catalogue.clips.seal(clip.id, sealing(), BY)
    return clip.id


async def test_a_buried_clip_keeps_neither_wrap_nor_close_record(catalogue: Catalogue) -> None:
    clip = await sealed(catalogue)
    await catalogue.erasures.condemn([clip], BY)
    assert [each.id for each in await catalogue.erasures.condemned()] == [clip]
    await catalogue.erasures.bury([stone(clip)], BY)
    gone = await catalogue.clips.show(clip)
    assert (gone.state, gone.wrap, gone.close_record) == (State.ERASED, None, None)
    assert await catalogue.erasures.tombstone(clip) is not None
    assert await catalogue.clips.with_objects([clip]) == set()


async def test_steps_of_destruction_may_be_repeated(catalogue: Catalogue) -> None:
    clip = await sealed(catalogue)
    buried = stone(clip)
    evidence = DestroyedDay("coaching", DAY, "f" * 64, 7, "file", "not found", "limits")
    paper = Certificate(clip, CertificateState.FINAL, "{}", START)
    for _ in range(2):
        await catalogue.erasures.condemn([clip], BY)
    for _ in range(2):
        await catalogue.erasures.keep_evidence([evidence], BY)
    for _ in range(2):
        await catalogue.erasures.bury([buried], BY)
    assert await catalogue.erasures.uncertified() == [buried]
    await catalogue.erasures.certify([paper], BY)
    assert await catalogue.erasures.uncertified() == []
    assert await catalogue.erasures.certificate(clip) == paper
    assert await catalogue.erasures.certificates() == [paper]
    assert await catalogue.erasures.evidence() == {("coaching", DAY): evidence}
    assert (await actions(catalogue))[2:] == ["clip.shred", "key.destroy", "clip.bury", "purge.certify"]


async def test_nothing_is_buried_that_was_not_condemned(catalogue: Catalogue) -> None:
    clip = await sealed(catalogue)
    with pytest.raises(IllegalStep):
        await catalogue.erasures.bury([stone(clip)], BY)
    assert await catalogue.erasures.tombstone(clip) is None
    await catalogue.erasures.condemn([clip], BY)
    await catalogue.erasures.bury([stone(clip)], BY)
    with pytest.raises(IllegalStep):
        await catalogue.erasures.condemn([await sealed(catalogue), clip], BY)
    assert (await catalogue.clips.count_by_state())[State.SEALED] == 1


def reading(hours: float, boottime: float | None = None, boot: str = "boot-1") -> ClockReading:
    elapsed = hours * 3600 if boottime is None else boottime
    return ClockReading(START + timedelta(hours=hours), elapsed, boot, False)


async def test_the_highest_time_never_goes_back(catalogue: Catalogue) -> None:
    assert (await catalogue.clock.highest(), await catalogue.clock.last()) == (None, None)
    await catalogue.clock.accept(reading(1), "first-reading", BY)
    for hours, expected in ((2, 2), (1.5, 2), (3, 3)):
        await catalogue.clock.advance(reading(hours))
        assert await catalogue.clock.highest() == START + timedelta(hours=expected)
    await catalogue.clock.accept(reading(0, boot="boot-2"), "synchronised", BY)
    assert await catalogue.clock.highest() == START + timedelta(hours=3)
    last = await catalogue.clock.last()
    assert last is not None
    assert (last.boot_id, last.highest_at) == ("boot-2", START)


async def test_a_clock_is_confirmed_by_two_different_people(catalogue: Catalogue) -> None:
    ann, bob = By("ann", START), By("bob", START)
    assert not await catalogue.clock.confirm(reading(1), ann)
    assert not await catalogue.clock.confirm(reading(1), ann)
    assert not await catalogue.clock.confirm(reading(1, boot="boot-2"), bob)
    assert not await catalogue.clock.confirm(reading(9, boottime=3600), bob)
    assert await catalogue.clock.highest() is None
    assert await catalogue.clock.confirm(reading(1.5), bob)
    assert await catalogue.clock.highest() == START + timedelta(hours=1.5)
    assert not await catalogue.clock.confirm(reading(2), bob)
    assert (await actions(catalogue)).count("clock.confirm") == 6
