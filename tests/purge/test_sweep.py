"""What is due is destroyed, nothing else is, and a doubtful clock destroys nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from purge.verdict import Action, ClockReason, Reason
from purge.witness import look, take
from storage.errors import NotFound, Refused, Unavailable
from storage.keyring import Keyring
from storage.lifecycle import State
from storage.model import By
from tests.fakes.clips import plan
from tests.purge.installation import DAYS, TODAY, Installation

FIRST, SECOND, THIRD = DAYS[:3]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Installation]:
    made = Installation(tmp_path)
    await made.found()
    await made.sweep()  # the first reading of the clock
    yield made
    await made.catalogue.close()


async def states(site: Installation) -> dict[str, State]:
    return {clip.id: clip.state for clip in await site.catalogue.clips.find()}


async def test_nothing_is_due_before_its_day_is_over(site: Installation) -> None:
    clip = await site.record(FIRST)
    site.wait_until_over(FIRST)
    site.clock.advance(microseconds=-1)
    report = await site.sweep()
    assert (report.judged, report.erased.buried) == ((), ())
    assert await states(site) == {clip: State.SEALED}


async def test_what_is_due_is_destroyed_and_nothing_else(site: Installation) -> None:
    due = [await site.record(FIRST), await site.record(FIRST, "assessment")]
    stays = await site.record(SECOND)
    site.wait_until_over(FIRST)
    report = await site.sweep()
    assert sorted(report.erased.buried) == sorted(due)
    assert (report.erased.left, report.erased.certified) == ((), 2)
    assert {each.verdict.reasons for each in report.judged} == {(Reason.DEADLINE_PASSED,)}
    assert await states(site) == {due[0]: State.ERASED, due[1]: State.ERASED, stays: State.SEALED}
    assert site.vault.blobs.ids() == {stays}
    assert site.day_keys.asked == [[("assessment", FIRST), ("coaching", FIRST)]]


async def test_the_key_of_a_day_that_is_over_goes_also_when_no_row_knows_of_a_clip(
    site: Installation,
) -> None:
    """A file whose row was lost, or a copy of it, opens no longer than its deadline allows."""
    site.wait_until_over(FIRST)
    await site.sweep()
    with Keyring.load(site.places) as ring:
        assert min(day for _, day in ring.store.days) == SECOND
    evidence = await site.catalogue.erasures.evidence()
    assert sorted(evidence) == [("assessment", FIRST), ("coaching", FIRST)]


async def test_a_clock_that_was_set_forward_ends_no_day(site: Installation) -> None:
    site.clock.jump(days=2)
    await site.sweep()
    with Keyring.load(site.places) as ring:
        assert min(day for _, day in ring.store.days) == FIRST


async def test_a_destroyed_clip_does_not_open_even_from_a_copy(site: Installation) -> None:
    due, stays = await site.record(FIRST), await site.record(SECOND)
    copies = {each: await site.catalogue.clips.show(each) for each in (due, stays)}
    site.wait_until_over(FIRST)
    await site.sweep()
    with Keyring.load(site.places) as ring:
        for each, copy in copies.items():
            assert copy.wrap is not None
            if each == due:
                with pytest.raises(Refused):
                    ring.unwrap_day("coaching", copy.deadline_day, copy.wrap, copy.header_hash, each)
            else:
                assert ring.unwrap_day("coaching", copy.deadline_day, copy.wrap, copy.header_hash, each)


async def test_a_second_sweep_finds_nothing_to_do(site: Installation) -> None:
    await site.record(FIRST)
    site.wait_until_over(FIRST)
    await site.sweep()
    leaves = len(await site.catalogue.audit.rows())
    report = await site.sweep()
    assert (report.judged, report.erased.buried, report.erased.certified) == ((), (), 0)
    assert len(site.day_keys.asked) == 1
    assert len(await site.catalogue.audit.rows()) == leaves


async def test_a_dry_run_judges_and_changes_nothing(site: Installation) -> None:
    clip = await site.record(FIRST)
    site.wait_until_over(FIRST)
    leaves, highest = len(await site.catalogue.audit.rows()), await site.catalogue.clock.highest()
    report = await site.sweep(dry_run=True)
    assert report.is_dry_run
    assert [(each.clip, each.verdict.action) for each in report.judged] == [(clip, Action.DESTROY)]
    assert await states(site) == {clip: State.SEALED}
    assert site.day_keys.asked == []
    assert (len(await site.catalogue.audit.rows()), await site.catalogue.clock.highest()) == (leaves, highest)


async def test_a_clip_that_is_still_written_is_destroyed_too(site: Installation) -> None:
    writer = await site.vault.begin(plan(deadline_day=FIRST))
    site.wait_until_over(FIRST)
    assert (await site.sweep()).erased.buried == (writer.clip_id,)


async def test_without_the_key_service_nothing_is_removed(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = await site.record(FIRST)
    site.wait_until_over(FIRST)

    async def away(days: object) -> None:
        raise Unavailable("reach the key service", "start it")

    with monkeypatch.context() as patch:
        patch.setattr(site.day_keys, "destroy_days", away)
        with pytest.raises(Unavailable):
            await site.sweep()
    assert await states(site) == {clip: State.ERASING}
    assert site.vault.blobs.ids() == {clip}
    assert (await site.sweep()).erased.buried == (clip,)


async def test_a_file_that_stays_is_never_certified(site: Installation) -> None:
    stuck, gone = await site.record(FIRST), await site.record(FIRST)
    path = site.vault.blobs.path_for(stuck)
    path.unlink()
    path.mkdir()  # something that unlink does not remove
    site.wait_until_over(FIRST)
    report = await site.sweep()
    assert (report.erased.buried, report.erased.left) == ((gone,), (stuck,))
    with pytest.raises(NotFound):
        await site.catalogue.erasures.certificate(stuck)
    path.rmdir()
    report = await site.sweep()
    assert [(each.clip, each.verdict.action) for each in report.judged] == [(stuck, Action.FINISH)]
    assert report.erased.buried == (stuck,)


async def test_free_texts_go_at_their_term_and_their_leaves_stay(site: Installation) -> None:
    said = [
        await site.catalogue.audit.append(By("ann", site.clock.now(), "", text, until), "clip.play", "x")
        for text, until in (("of the first day", FIRST), ("of the second", SECOND), ("for good", None))
    ]
    site.wait_until_over(FIRST)
    site.clock.advance(microseconds=-1)
    for moment, kept in (
        ("before the day is over", ["of the first day", "of the second", "for good"]),
        ("after it", [None, "of the second", "for good"]),
    ):
        await site.sweep()
        texts = {row.seq: row.text for row in await site.catalogue.audit.rows("x")}
        assert [texts[row.seq] for row in said] == kept, moment
        site.clock.advance(microseconds=1)
    assert (await site.catalogue.audit.verify()).broken_at is None


async def test_a_doubtful_clock_forgets_no_text(site: Installation) -> None:
    await site.catalogue.audit.append(By("ann", site.clock.now(), "", "why", FIRST), "clip.play", "x")
    site.clock.jump(days=30)
    await site.sweep()
    assert [row.text for row in await site.catalogue.audit.rows("x")] == ["why"]


# -- the clock -----------------------------------------------------------------------------------------------


async def test_a_clock_that_jumps_forward_stops_the_purge(site: Installation) -> None:
    clip = await site.record(FIRST)
    highest = await site.catalogue.clock.highest()
    site.clock.jump(days=30)
    report = await site.sweep()
    assert (report.clock.is_trusted, report.clock.reason) == (False, ClockReason.JUMP)
    assert report.judged == ()
    assert await states(site) == {clip: State.SEALED}
    assert await site.catalogue.clock.highest() == highest
    site.clock.jump(days=-30)
    assert (await site.sweep()).clock.is_trusted


async def test_a_clock_that_is_set_back_reopens_nothing(site: Installation) -> None:
    clip = await site.record(SECOND)
    site.wait_until_over(FIRST)
    await site.sweep()
    before = (await look(site.catalogue, site.clock)).for_reading()
    site.clock.jump(days=-5)
    report = await site.sweep()
    assert (report.clock.is_trusted, report.clock.reason) == (True, ClockReason.BEHIND)
    assert (await look(site.catalogue, site.clock)).for_reading() == before
    site.clock.advance(days=3)  # the highest is one day ahead of the deadline's end by no clock alone
    report = await site.sweep()
    assert await states(site) == {clip: State.SEALED}
    assert report.erased.buried == ()


async def test_after_a_boot_the_purge_waits_for_a_synchronised_clock(site: Installation) -> None:
    clip = await site.record(FIRST)
    site.clock.reboot(days=2)
    report = await site.sweep()
    assert (report.clock.is_trusted, report.clock.reason) == (False, ClockReason.UNSYNCHRONISED)
    assert await states(site) == {clip: State.SEALED}
    site.clock.synchronised = True
    assert (await site.sweep()).erased.buried == (clip,)


async def test_two_people_may_confirm_the_clock_instead(site: Installation) -> None:
    clip = await site.record(FIRST)
    site.clock.reboot(days=2)
    for person, believed in (("ann", False), ("ann", False), ("bob", True)):
        by = By(person, site.clock.now())
        assert await site.catalogue.clock.confirm(take(site.clock), by) is believed
        assert (await site.sweep()).clock.is_trusted is believed
    assert await states(site) == {clip: State.ERASED}


async def test_a_suspect_time_is_not_confirmed_by_one_person_twice(site: Installation) -> None:
    site.clock.jump(days=30)
    reading = take(site.clock)
    for minutes in (0, 5):
        later = replace(
            reading, wall=reading.wall + timedelta(minutes=minutes), boottime=reading.boottime + minutes * 60
        )
        assert not await site.catalogue.clock.confirm(later, By("ann", later.wall))
    assert await site.catalogue.clock.highest() is not None
    assert (await site.sweep()).clock.reason is ClockReason.JUMP


def test_the_days_of_these_tests_begin_today() -> None:
    assert DAYS[0] == TODAY
