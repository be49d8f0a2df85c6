"""Three times of what the engine can take: nobody who talks notices."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from bench.undisturbed import Line, rush

SECONDS_A_CALL = 4e-6


class Counted(Line):
    """Time goes by with the functions that the engine calls, so that no other work of the machine counts."""

    def __init__(self) -> None:
        super().__init__()
        self._called = 0

    def spend(self) -> tuple[bool, float]:
        before = self._called
        sys.setprofile(self._note)
        try:
            has_worked = self.work()
        finally:
            sys.setprofile(None)
        return has_worked, (self._called - before) * SECONDS_A_CALL

    def _note(self, _: FrameType, event: str, __: Any) -> None:
        self._called += event in ("call", "c_call")


def test_when_three_times_the_capacity_arrives_no_running_call_suffers_and_most_of_the_capacity_is_used() -> (
    None
):
    line = Counted()
    parts = rush(line, warm_up=0.5, seconds=3.0, hold=0.5)
    full, many, after = (parts[name] for name in ("capacity", "overload", "recovery"))
    assert full.refused == 0
    assert many.refused > many.offered / 2
    assert many.unanswered == many.failed == 0, "who is not let through is told so"
    assert many.answered / many.seconds >= 0.75 * full.answered / full.seconds
    assert after.last_refused < 2.0, "it is over soon after the load has fallen"
    assert line.callers.under_way == 0
    assert sum(it.in_dialog for it in parts.values()) > 3 * many.answered
    assert sum(it.in_dialog_failed for it in parts.values()) == 0
