"""A clock that moves when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class FakeClock:
    """Wall clock, time since boot and boot id, each movable by itself."""

    def __init__(self, now: datetime = START, synchronised: bool = False, boottime: float = 1000.0) -> None:
        self._now = now
        self._boottime = boottime
        self._boot = 1
        self.synchronised = synchronised

    def now(self) -> datetime:
        return self._now

    def boottime(self) -> float:
        return self._boottime

    def boot_id(self) -> str:
        return f"boot-{self._boot}"

    def is_synchronised(self) -> bool:
        return self.synchronised

    def offset(self) -> timedelta:
        return timedelta()

    def advance(self, **amount: float) -> None:
        """Time passes: both clocks move. Keywords as of timedelta."""
        passed = timedelta(**amount)
        self._now += passed
        self._boottime += passed.total_seconds()

    def jump(self, **amount: float) -> None:
        """Somebody sets the wall clock."""
        self._now += timedelta(**amount)

    def reboot(self, **amount: float) -> None:
        """The machine starts anew; the wall clock moves by `amount` meanwhile."""
        self._boot += 1
        self._boottime = 5.0
        self._now += timedelta(**amount)
