"""`kill -9` of capture, relay, signalling and everything while calls run; `make soak kill` does it longer."""

from __future__ import annotations

from pathlib import Path

from soak import beside
from soak.kill import KINDS, Plan

KILLS = 20
PLAN = Plan(KILLS, seed=20, calls=6, shortest=2.0, longest=9.0, every=2.0, horizon=0.2, drain=False)
INSTALLATIONS = 3


def test_nothing_is_lost_that_must_be_there(tmp_path: Path) -> None:
    report = beside.run(tmp_path, PLAN, INSTALLATIONS)
    assert report["faults"] == []
    assert sum(report["kills"].values()) == KILLS
    assert set(report["kills"]) == set(KINDS)
    assert report["totals"]["packets_due"] > 2000
    assert report["finished_before_a_kill"] > KILLS
