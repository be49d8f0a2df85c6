"""`kill -9` of capture, relay, signalling and everything while calls run; `make soak kill` does it longer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from soak import beside
from soak.kill import Plan

PLAN = Plan(10, calls=5, shortest=2.0, longest=10.0, every=4.0, horizon=0.2, drain=False)
INSTALLATIONS = 2


@pytest.mark.parametrize("seed", [32, 48])
def test_nothing_is_lost_that_must_be_there(tmp_path: Path, seed: int) -> None:
    report = beside.run(tmp_path, replace(PLAN, seed=seed), INSTALLATIONS)
    assert report["faults"] == []
    assert sum(report["kills"].values()) == PLAN.kills
    assert report["totals"]["packets_due"] > 500
    assert report["finished_before_a_kill"] > 5
