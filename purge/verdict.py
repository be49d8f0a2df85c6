"""What time it is, for reading and for destroying, and whether a clip's time has come. Pure; every answer
has reasons.

Two witnesses: the clock of the operating system and the highest time ever committed. Reading obeys the
later of them, so that a clock that is set back reopens nothing; destroying obeys the earlier, so that a
doubtful clock destroys nothing too soon.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from purge.retention import end_of
from storage.lifecycle import State
from storage.model import ClockReading, ClockWitness

LARGEST_JUMP = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Witnesses:
    """`highest_at` is None as long as no time has been committed; then nothing is destroyed."""

    os_at: datetime
    highest_at: datetime | None

    def for_reading(self) -> datetime:
        return self.os_at if self.highest_at is None else max(self.os_at, self.highest_at)

    def for_destroying(self) -> datetime | None:
        return None if self.highest_at is None else min(self.os_at, self.highest_at)


class ClockReason(StrEnum):
    FIRST = "first-reading"
    SAME_BOOT = "same-boot"
    SYNCHRONISED = "synchronised-after-boot"
    BEHIND = "behind-highest"
    JUMP = "jumped-forward"
    UNSYNCHRONISED = "not-synchronised-after-boot"


@dataclass(frozen=True, slots=True)
class ClockVerdict:
    """A reading that is not trusted is never committed, and the purge stops. `begins` says that the reading
    opens a new witness (first of all, first of a boot) instead of moving the newest on.
    """

    is_trusted: bool
    begins: bool
    reason: ClockReason


def examine(reading: ClockReading, last: ClockWitness | None) -> ClockVerdict:
    """May this reading be committed?

    On one boot the wall clock may not run ahead of the time since boot by more than an hour, counted from
    the first reading of that boot, so that many small jumps do not pass either. After another boot only a
    synchronised kernel or two people (`ClockWitnesses.confirm`) are believed.
    """
    if last is None:
        return ClockVerdict(True, True, ClockReason.FIRST)
    if reading.boot_id != last.boot_id:
        if not reading.is_synchronised:
            return ClockVerdict(False, False, ClockReason.UNSYNCHRONISED)
        return ClockVerdict(True, True, ClockReason.SYNCHRONISED)
    jump = (reading.wall - last.wall) - timedelta(seconds=reading.boottime - last.boottime)
    if jump > LARGEST_JUMP:
        return ClockVerdict(False, False, ClockReason.JUMP)
    if reading.wall < last.highest_at:
        return ClockVerdict(True, False, ClockReason.BEHIND)
    return ClockVerdict(True, False, ClockReason.SAME_BOOT)


class Action(StrEnum):
    DESTROY = "destroy"
    FINISH = "finish"
    KEEP = "keep"


class Reason(StrEnum):
    DEADLINE_PASSED = "deadline-passed"
    DEADLINE_AHEAD = "deadline-ahead"
    CLOCKS_DISAGREE = "clocks-disagree"
    BEGUN = "destruction-begun"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Verdict:
    action: Action
    reasons: tuple[Reason, ...]


def is_past(day: date, at: datetime) -> bool:
    """Is this UTC day over at `at`?"""
    return at >= end_of(day)


def judge(deadline_day: date, state: State, witnesses: Witnesses) -> Verdict:
    """What the purge does with one clip, and why."""
    if state is State.ERASED:
        return Verdict(Action.KEEP, (Reason.GONE,))
    if state is State.ERASING:
        return Verdict(Action.FINISH, (Reason.BEGUN,))
    destroying = witnesses.for_destroying()
    if destroying is not None and is_past(deadline_day, destroying):
        return Verdict(Action.DESTROY, (Reason.DEADLINE_PASSED,))
    if is_past(deadline_day, witnesses.for_reading()):
        return Verdict(Action.KEEP, (Reason.CLOCKS_DISAGREE,))
    return Verdict(Action.KEEP, (Reason.DEADLINE_AHEAD,))
