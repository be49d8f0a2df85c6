"""Ready means: calls would be handled and recorded as configured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from recorder.readiness import Facts, judge

GOOD = Facts(
    processes_up={"signalling": True, "keys": True, "relay-0": True},
    media_connected=True,
    capture_connected=True,
    keys_answer=True,
    catalogue_writable=True,
    disk_free_bytes=10**12,
    disk_floor_bytes=64 * 10**6,
    days_ahead={"coaching": 30},
)


def test_when_nothing_is_missing_it_is_ready() -> None:
    verdict = judge(GOOD)
    assert verdict.is_ready
    assert not verdict.warnings


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"processes_up": {**GOOD.processes_up, "relay-0": False}}, "process-down:relay-0"),
        ({"media_connected": False}, "media-not-connected"),
        ({"capture_connected": False}, "capture-not-connected"),
        ({"keys_answer": False}, "keys-silent"),
        ({"catalogue_writable": False}, "catalogue-not-writable"),
        ({"disk_free_bytes": GOOD.disk_floor_bytes - 1}, "disk-low"),
        ({"days_ahead": {"coaching": 0, "assessment": 1}}, "no-day-key:coaching"),
    ],
)
def test_each_condition_alone_makes_it_unready(change: dict[str, Any], code: str) -> None:
    verdict = judge(replace(GOOD, **change))
    assert [it.code for it in verdict.missing] == [code]
    assert not verdict.is_ready
    assert all(it.what and it.remedy for it in verdict.missing)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"overdue": 1}, "purge-overdue"),
        ({"clock_believed": False}, "clock-not-believed"),
        ({"clock_moved_seconds": 3.0}, "clock-moved"),
        ({"ignored_approvals": 1}, "approvals-ignored"),
        ({"is_trunk_unwitnessed": True}, "trunk-without-evidence"),
        ({"overloaded": True}, "overloaded"),
    ],
)
def test_a_warning_is_said_and_leaves_it_ready(change: dict[str, Any], code: str) -> None:
    verdict = judge(replace(GOOD, **change))
    assert [it.code for it in verdict.warnings] == [code]
    assert verdict.is_ready


def test_what_follows_from_a_process_that_is_down_is_not_said_twice() -> None:
    facts = replace(
        GOOD,
        processes_up={"signalling": False, "keys": False},
        media_connected=False,
        capture_connected=False,
        keys_answer=False,
    )
    assert [it.code for it in judge(facts).missing] == ["process-down:signalling", "process-down:keys"]
