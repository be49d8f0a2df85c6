"""The catalogue: clips one step at a time, people, calls."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy.exc import StatementError

from storage.catalog import Catalogue
from storage.errors import Conflict, IllegalStep, NotFound, Refused
from storage.lifecycle import State, Step
from storage.model import (
    Approval,
    ApprovalKind,
    Became,
    By,
    CallOutcome,
    ClipFilter,
    Ending,
    Grant,
    Outcome,
    Withheld,
    WithheldCount,
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


async def test_a_clip_is_begun_and_sealed(catalogue: Catalogue) -> None:
    new = new_clip()
    await catalogue.clips.begin(new, BY)
    opened = await catalogue.clips.show(new.id)
    assert (opened.state, opened.opened_at, opened.sealed_at, opened.size) == (State.OPEN, START, None, None)
    assert (opened.purpose, opened.deadline_day, opened.wrap) == (new.purpose, DAY, new.wrap)
    by = By("recorder", START + timedelta(minutes=3), "bye", "the close record", DAY)
    sealed = await catalogue.clips.seal(new.id, sealing(), by)
    assert sealed == await catalogue.clips.show(new.id)
    assert (sealed.state, sealed.ending, sealed.size, sealed.seconds) == (
        State.SEALED,
        Ending.COMPLETE,
        1234,
        1.5,
    )
    assert (sealed.sealed_at, sealed.close_record) == (by.at, b"close")
    rows = await catalogue.audit.rows(new.id)
    assert [(row.action, row.reason, row.text) for row in rows] == [
        ("clip.seal", "bye", "the close record"),
        ("clip.open", "because", None),
    ]


async def test_the_parts_of_a_recording_share_it(catalogue: Catalogue) -> None:
    first = new_clip()
    second = new_clip(recording=first.recording, call=first.call, part=2, previous=first.id)
    await catalogue.clips.begin(first, BY)
    await catalogue.clips.begin(second, BY)
    parts = await catalogue.clips.find(ClipFilter(recording=first.recording))
    assert [(clip.id, clip.part, clip.previous) for clip in parts] == [
        (first.id, 1, None),
        (second.id, 2, first.id),
    ]
    with pytest.raises(Conflict):
        await catalogue.clips.begin(new_clip(recording=first.recording, part=2), BY)


async def test_a_step_that_the_table_forbids_changes_nothing(catalogue: Catalogue) -> None:
    clip = new_clip()
    await catalogue.clips.begin(clip, BY)
    await catalogue.clips.step(clip.id, Step.PAUSE, BY)
    with pytest.raises(IllegalStep):
        await catalogue.clips.step(clip.id, Step.PAUSE, BY)
    await catalogue.clips.step(clip.id, Step.RESUME, BY)
    await catalogue.clips.seal(clip.id, sealing(), BY)
    with pytest.raises(IllegalStep):
        await catalogue.clips.seal(clip.id, sealing(size=9), BY)
    assert (await catalogue.clips.show(clip.id)).size == 1234
    assert await actions(catalogue) == ["clip.open", "clip.pause", "clip.resume", "clip.seal"]


async def test_a_clip_that_is_not_there_is_not_found(catalogue: Catalogue) -> None:
    for act in (
        catalogue.clips.show(new_id()),
        catalogue.clips.seal(new_id(), sealing(), BY),
        catalogue.erasures.certificate(new_id()),
        catalogue.grants.revoke(new_id(), BY),
    ):
        with pytest.raises(NotFound):
            await act


async def test_clips_are_found_by_what_is_known_of_them(catalogue: Catalogue) -> None:
    later = START + timedelta(days=1)
    a = new_clip()
    b = new_clip(
        purpose="evidence", line="service", agent="202", started_at=later, deadline_day=date(2026, 4, 5)
    )
    for clip in (a, b):
        await catalogue.clips.begin(clip, BY)
    await catalogue.clips.seal(b.id, sealing(), BY)
    checks = [
        (ClipFilter(), [b, a]),
        (ClipFilter(limit=1), [b]),
        (ClipFilter(purpose="coaching"), [a]),
        (ClipFilter(line="service"), [b]),
        (ClipFilter(agent="201"), [a]),
        (ClipFilter(call=b.call), [b]),
        (ClipFilter(states=frozenset({State.OPEN, State.PAUSED})), [a]),
        (ClipFilter(states=frozenset()), []),
        (ClipFilter(since=later), [b]),
        (ClipFilter(until=later), [a]),
        (ClipFilter(due_before=DAY), []),
        (ClipFilter(due_before=DAY + timedelta(days=1)), [a]),
        (ClipFilter(purpose="coaching", line="service"), []),
    ]
    for wanted, expected in checks:
        assert [clip.id for clip in await catalogue.clips.find(wanted)] == [clip.id for clip in expected], (
            wanted
        )
    assert [clip.id for clip in await catalogue.clips.unfinished()] == [a.id]
    counts = await catalogue.clips.count_by_state()
    assert {state: count for state, count in counts.items() if count} == {State.OPEN: 1, State.SEALED: 1}


async def test_instants_come_back_aware_and_in_utc(catalogue: Catalogue) -> None:
    amsterdam = timezone(timedelta(hours=2))
    clip = new_clip(started_at=datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=amsterdam))
    await catalogue.clips.begin(clip, BY)
    found = (await catalogue.clips.show(clip.id)).started_at
    assert (found, found.tzinfo) == (datetime(2026, 7, 1, 10, 0, 0, 123456, tzinfo=UTC), UTC)
    with pytest.raises(StatementError, match="time zone"):
        await catalogue.clips.begin(new_clip(started_at=START.replace(tzinfo=None)), BY)


def grant(person: str, **given: datetime) -> Grant:
    until = given.get("until_at", START + timedelta(days=30))
    return Grant(
        new_id(), person, "coaching", ("sales",), until, "director", START, b"document", b"signature"
    )


async def test_grants_hold_until_they_run_out_or_are_revoked(catalogue: Catalogue) -> None:
    short, long, other = grant("ann", until_at=START + timedelta(days=1)), grant("ann"), grant("bob")
    for each in (short, long, other):
        await catalogue.grants.add(each, BY)
    assert {each.id for each in await catalogue.grants.for_person("ann", START)} == {short.id, long.id}
    assert await catalogue.grants.for_person("ann", START + timedelta(days=1)) == [long]
    revoked = await catalogue.grants.revoke(long.id, By("director", START + timedelta(days=2)))
    assert (revoked.revoked_at, revoked.revoked_by) == (START + timedelta(days=2), "director")
    assert await catalogue.grants.for_person("ann", START + timedelta(days=2)) == []
    assert {each.id for each in await catalogue.grants.all()} == {short.id, long.id, other.id}
    with pytest.raises(Refused):
        await catalogue.grants.revoke(long.id, BY)
    assert await actions(catalogue) == ["grant.add"] * 3 + ["grant.revoke"]


async def test_the_latest_word_of_the_council_counts(catalogue: Catalogue) -> None:
    assert await catalogue.approvals.latest() is None
    yes = Approval(ApprovalKind.APPROVE, "aa" * 32, "{}", b"signature", START)
    no = Approval(ApprovalKind.WITHDRAW, "aa" * 32, "{}", b"another", START)
    for word in (yes, no):
        await catalogue.approvals.add(word, BY)
    assert await catalogue.approvals.all() == [no, yes]
    assert await catalogue.approvals.latest() == no
    assert await actions(catalogue) == ["scheme.approve", "scheme.withdraw"]


BECAME = {
    "coaching": Became(Outcome.FAILED, ("line-allows", "no-day-key")),
    "evidence": Became(Outcome.SUPPRESSED, ("not-requested",)),
}


async def test_each_call_has_one_outcome(catalogue: Catalogue) -> None:
    outcome = CallOutcome(
        new_id(), START, "sales", "201", Outcome.FAILED, ("no-day-key",), 12.5, ("coaching",), BECAME
    )
    later = CallOutcome(new_id(), START + timedelta(hours=1), "sales", "201", Outcome.RECORDED, (), 60.0, ())
    for each in (outcome, later):
        await catalogue.calls.add(each)
    assert await catalogue.calls.outcomes() == [later, outcome]
    assert await catalogue.calls.outcomes(since=START + timedelta(minutes=1)) == [later]
    assert await catalogue.calls.outcomes(limit=1) == [later]
    with pytest.raises(Conflict):
        await catalogue.calls.add(outcome)


async def test_a_recorded_call_that_was_cut_off_is_found_until_it_has_its_outcome(
    catalogue: Catalogue,
) -> None:
    cut, recovered, tainted, failed, gone = (new_clip(call=new_id()) for _ in range(5))
    second = new_clip(call=cut.call, purpose="evidence", started_at=cut.started_at + timedelta(minutes=1))
    for each in (cut, second, recovered, tainted, failed, gone):
        await catalogue.clips.begin(each, BY)
    by = replace(BY, reason="recovered")
    for each, reason in ((recovered, by), (tainted, BY), (failed, BY), (gone, by)):
        await catalogue.clips.seal(each.id, sealing(), reason)
    await catalogue.clips.step(gone.id, Step.SHRED, BY)
    found = await catalogue.calls.cut_off()
    assert {(it.call, it.started_at) for it in found} == {(it.call, it.started_at) for it in (cut, recovered)}
    assert await catalogue.calls.recorded(cut.call) == ("coaching", "evidence")
    await catalogue.calls.add(CallOutcome(cut.call, START, "sales", "201", Outcome.FAILED, (), 0.0, ()))
    assert [it.call for it in await catalogue.calls.cut_off()] == [recovered.call]


async def test_a_recording_that_went_on_after_a_crash_was_not_cut_off(catalogue: Catalogue) -> None:
    first = new_clip()
    await catalogue.clips.begin(first, BY)
    await catalogue.clips.seal(first.id, sealing(), replace(BY, reason="recovered"))
    second = new_clip(recording=first.recording, call=first.call, part=2, previous=first.id)
    await catalogue.clips.begin(second, BY)
    await catalogue.clips.seal(second.id, sealing(), BY)
    assert await catalogue.calls.cut_off() == []


async def test_of_a_private_call_only_the_count_of_its_day_remains(catalogue: Catalogue) -> None:
    tables = ("recording", "clip", "call_outcome", "audit", "audit_body")
    for kind in (Withheld.PRIVATE, Withheld.PRIVATE, Withheld.PRIVILEGED):
        await catalogue.calls.withhold(DAY, kind)
    assert await catalogue.calls.withheld() == [
        WithheldCount(DAY, Withheld.PRIVATE, 2),
        WithheldCount(DAY, Withheld.PRIVILEGED, 1),
    ]
    assert await catalogue.calls.withheld(since=DAY + timedelta(days=1)) == []
    connection = sqlite3.connect(catalogue.path)
    assert [connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in tables] == [(0,)] * 5
    connection.close()
