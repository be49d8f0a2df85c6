"""Runs as `make simulate` does them: shared out over processes, with everything remembered."""

from __future__ import annotations

import pytest

from simulate.history import happen, seeded
from simulate.run import happen_all, run

HISTORIES = 60


def test_a_run_finds_what_its_histories_find_one_by_one() -> None:
    """What makes a run quick stood in the way of the decision itself once: no run came to an end."""
    found, alone = run(1, HISTORIES), happen_all(1, range(HISTORIES))
    assert found == alone
    assert found.histories == HISTORIES


def test_a_run_counts_what_does_not_hold() -> None:
    outcomes = [happen(seeded(1, index)) for index in range(HISTORIES)]
    found = happen_all(1, range(HISTORIES))
    assert found.seconds["committed"] == pytest.approx(sum(it.committed for it in outcomes))
    assert found.seconds["committed"] > 0
    assert len(found.faults) == sum(not it.holds for it in outcomes)
