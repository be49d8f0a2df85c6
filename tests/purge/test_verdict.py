"""What time it is, for whom, and whose time has come."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from purge.verdict import Action, ClockReason, Reason, Witnesses, examine, is_past, judge
from storage.lifecycle import State
from storage.model import ClockReading, ClockWitness

DAY = date(2026, 3, 31)
OVER = datetime(2026, 4, 1, tzinfo=UTC)
BEFORE = OVER - timedelta(microseconds=1)
LAST = ClockWitness(OVER, 1000.0, "boot-1", OVER + timedelta(hours=5), "first-reading")


def test_a_day_is_past_when_it_is_over() -> None:
    assert [is_past(DAY, at) for at in (BEFORE, OVER)] == [False, True]


@pytest.mark.parametrize(
    ("os_at", "highest_at", "reading", "destroying"),
    [
        (OVER, BEFORE, OVER, BEFORE),
        (BEFORE, OVER, OVER, BEFORE),
        (OVER, OVER, OVER, OVER),
        (OVER, None, OVER, None),
    ],
)
def test_reading_obeys_the_later_and_destroying_the_earlier(
    os_at: datetime, highest_at: datetime | None, reading: datetime, destroying: datetime | None
) -> None:
    witnesses = Witnesses(os_at, highest_at)
    assert (witnesses.for_reading(), witnesses.for_destroying()) == (reading, destroying)


@pytest.mark.parametrize(
    ("state", "os_at", "highest_at", "action", "reason"),
    [
        (State.SEALED, BEFORE, BEFORE, Action.KEEP, Reason.DEADLINE_AHEAD),
        (State.SEALED, OVER, OVER, Action.DESTROY, Reason.DEADLINE_PASSED),
        (State.OPEN, OVER, OVER, Action.DESTROY, Reason.DEADLINE_PASSED),
        (State.PAUSED, OVER, OVER, Action.DESTROY, Reason.DEADLINE_PASSED),
        (State.SEALED, OVER, BEFORE, Action.KEEP, Reason.CLOCKS_DISAGREE),
        (State.SEALED, BEFORE, OVER, Action.KEEP, Reason.CLOCKS_DISAGREE),
        (State.SEALED, OVER, None, Action.KEEP, Reason.CLOCKS_DISAGREE),
        (State.ERASING, BEFORE, BEFORE, Action.FINISH, Reason.BEGUN),
        (State.ERASED, OVER, OVER, Action.KEEP, Reason.GONE),
    ],
)
def test_every_clip_gets_a_verdict_with_its_reason(
    state: State, os_at: datetime, highest_at: datetime | None, action: Action, reason: Reason
) -> None:
    verdict = judge(DAY, state, Witnesses(os_at, highest_at))
    assert (verdict.action, verdict.reasons) == (action, (reason,))


@pytest.mark.parametrize(
    ("wall_hours", "boot_hours", "boot", "synchronised", "expected"),
    [
        (6, 6, "boot-1", False, (True, False, ClockReason.SAME_BOOT)),
        (7, 6, "boot-1", False, (True, False, ClockReason.SAME_BOOT)),
        (7.01, 6, "boot-1", False, (False, False, ClockReason.JUMP)),
        (7.01, 6, "boot-1", True, (False, False, ClockReason.JUMP)),
        (24 * 365, 6, "boot-1", True, (False, False, ClockReason.JUMP)),
        (24 * 365, 24 * 365, "boot-1", False, (True, False, ClockReason.SAME_BOOT)),
        (4, 6, "boot-1", False, (True, False, ClockReason.BEHIND)),
        (-4, 6, "boot-1", False, (True, False, ClockReason.BEHIND)),
        (6, 0, "boot-2", False, (False, False, ClockReason.UNSYNCHRONISED)),
        (6, 0, "boot-2", True, (True, True, ClockReason.SYNCHRONISED)),
    ],
)
def test_a_reading_is_believed_or_not(
    wall_hours: float,
    boot_hours: float,
    boot: str,
    synchronised: bool,
    expected: tuple[bool, bool, ClockReason],
) -> None:
    wall = LAST.wall + timedelta(hours=wall_hours)
    reading = ClockReading(wall, LAST.boottime + boot_hours * 3600, boot, synchronised)
    verdict = examine(reading, LAST)
    assert (verdict.is_trusted, verdict.begins, verdict.reason) == expected


def test_many_small_jumps_are_as_suspect_as_a_large_one() -> None:
    """Each of these is under an hour from the one before; the witness keeps the first reading of the boot."""
    verdicts = [
        examine(
            ClockReading(LAST.wall + timedelta(minutes=50 * n), LAST.boottime + 60 * n, "boot-1", False), LAST
        )
        for n in (1, 2, 3)
    ]
    assert [verdict.is_trusted for verdict in verdicts] == [True, False, False]


def test_the_first_reading_of_all_is_believed() -> None:
    verdict = examine(ClockReading(OVER, 1.0, "boot-1", False), None)
    assert (verdict.is_trusted, verdict.begins, verdict.reason) == (True, True, ClockReason.FIRST)
