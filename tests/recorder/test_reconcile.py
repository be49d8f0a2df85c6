"""The PBX's call records against the ledger: what is missing, and what must not be told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recorder.callrecords import Row
from recorder.config import parse
from recorder.reconcile import Judge, Report, Sort, compare
from storage.model import CallOutcome, Outcome, Withheld, WithheldCount
from tests.recorder.schemes import CONFIGURATION

JUDGE = Judge(parse(CONFIGURATION, "c.toml", Path("/")).scheme())
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
PERIOD = (START - timedelta(hours=1), START + timedelta(hours=1))
DAY = START.date()
CUSTOMER, BUSINESS = "+31612345678", "+31201234567"


def outbound(number: int = 1, *, at: float = 0.0, callee: str = "0612345678", **changes: Any) -> Row:
    start = START + timedelta(seconds=at)
    row = Row(number, (start,), 60.0, True, frozenset({"201"}), frozenset({callee}), callee, 68.0)
    return replace(row, **changes)


def inbound(
    number: int = 1, *, at: float = 0.0, to: tuple[str, ...] = (BUSINESS, "201"), **changes: Any
) -> Row:
    start = START + timedelta(seconds=at)
    row = Row(number, (start,), 60.0, True, frozenset({CUSTOMER}), frozenset(to), to[0], 68.0)
    return replace(row, **changes)


def told(at: float = 0.0, seconds: float = 60.0, *reasons: str, agent: str = "a-1041") -> CallOutcome:
    started = START + timedelta(seconds=at)
    return CallOutcome(
        f"{int(at):032x}", started, "service", agent, Outcome.RECORDED, reasons, seconds, ("coaching",)
    )


def compared(
    rows: list[Row], ledger: list[CallOutcome], *withheld: tuple[Withheld, int], tolerance: float = 5.0
) -> Report:
    counts = [WithheldCount(DAY, kind, count) for kind, count in withheld]
    return compare(map(JUDGE.judge, rows), ledger, counts, PERIOD, timedelta(seconds=tolerance))


@pytest.mark.parametrize(
    ("row", "sort"),
    [
        (outbound(), Sort.FLAGGED),
        (inbound(), Sort.FLAGGED),
        (inbound(to=("500", "201")), Sort.FLAGGED),  # through a queue
        (inbound(to=(BUSINESS,)), Sort.NO_AGENT_NAMED),
        (inbound(to=(BUSINESS, "230")), Sort.NO_AGENT_NAMED),
        (outbound(is_answered=False), Sort.UNANSWERED),
        (outbound(callee="*310612345678"), Sort.PRIVATE),
        (outbound(callee="250"), Sort.PRIVILEGED),
        (inbound(to=(BUSINESS, "250")), Sort.PRIVILEGED),
        (outbound(callee="112"), Sort.EMERGENCY),
        (outbound(callee="202"), Sort.INTERNAL),
        (outbound(caller=frozenset({"230"})), Sort.UNLISTED),
    ],
)
def test_a_record_is_judged_by_the_rules_of_the_scheme(row: Row, sort: Sort) -> None:
    judged = JUDGE.judge(row)
    assert judged.sort is sort
    if sort is not Sort.FLAGGED:
        assert judged.outside == ""
        assert "612345678" not in repr(judged)
    else:
        assert (judged.agent, sorted(judged.lines), judged.outside) == ("a-1041", ["service"], "678")


def test_a_call_that_both_know_is_matched_within_the_tolerance() -> None:
    report = compared([outbound(), inbound(2, at=600)], [told(4.9, 56.0), told(597)])
    assert (report.matched, report.has_findings) == (2, False)


@pytest.mark.parametrize(
    "row", [told(6.0), told(0.0, 70.0), told(agent="a-9"), replace(told(), line="other")]
)
def test_another_start_length_agent_or_line_is_another_call(row: CallOutcome) -> None:
    report = compared([outbound()], [row])
    assert ([it.row.number for it in report.missing], report.unknown) == ([1], (row,))
    assert report.has_findings


def test_a_row_of_the_trunk_that_names_no_agent_is_of_any_agents_call() -> None:
    assert not compared([outbound()], [told(agent="")]).has_findings
    assert compared([outbound()], [told(6.0, agent="")]).has_findings


def test_each_row_is_of_one_record_and_the_nearest_wins() -> None:
    report = compared([outbound(1, at=3), outbound(2, at=0)], [told(0.5)])
    assert [it.row.number for it in report.missing] == [1]


def test_a_call_whose_end_nobody_saw_is_matched_by_its_start() -> None:
    report = compared([outbound()], [told(0.0, 0.0, "signalling-lost")])
    assert not report.has_findings


def test_who_waited_in_a_queue_is_matched_within_the_longer_record() -> None:
    waited = inbound(seconds=300.0, lasts=300.0)
    assert not compared([waited], [told(200.0, 95.0)]).has_findings
    assert compared([waited], [told(200.0, 130.0)]).has_findings


def test_a_record_that_names_no_agent_is_matched_by_its_line_and_else_uncertain() -> None:
    line_only = inbound(to=(BUSINESS,))
    assert compared([line_only], [told()]).matched == 1
    report = compared([line_only], [])
    assert ([it.row.number for it in report.uncertain], report.missing) == ([1], ())
    assert not report.has_findings


def test_the_legs_of_one_call_are_one_call() -> None:
    legs = [inbound(1, ids=frozenset({"x", "y"})), inbound(2, to=(BUSINESS,), ids=frozenset({"y"}))]
    report = compared(legs, [told()])
    assert (report.uncertain, report.has_findings) == ((), False)


def test_an_hour_that_came_twice_matches_either() -> None:
    twice = outbound(starts=(START - timedelta(hours=1), START))
    assert not compared([twice], [told()]).has_findings


def test_unanswered_calls_are_looked_for_on_neither_side() -> None:
    assert not compared([outbound(is_answered=False)], [told(0.0, 0.0, "not-answered")]).has_findings


def test_only_what_starts_in_the_period_is_reported() -> None:
    late = 3600.0
    report = compared([outbound(at=late)], [told(late + 60)])
    assert not report.has_findings
    assert compared([outbound(at=late - 1)], [told(late + 1)]).matched == 1


def test_a_call_kept_out_under_another_face_is_never_listed() -> None:
    """The PBX has no prefix: to it a private call is a business call of the agent."""
    report = compared([outbound()], [], (Withheld.PRIVATE, 1))
    assert (report.missing, report.has_findings) == ((), False)
    (covered,) = report.covered
    assert (covered.day, covered.records, covered.kept_out, covered.missing) == (DAY, 1, 1, 0)


def test_what_is_beyond_the_calls_kept_out_is_missing_for_certain_and_not_told_apart() -> None:
    report = compared([outbound(1), outbound(2, at=300)], [], (Withheld.PRIVATE, 1))
    assert report.missing == () and report.has_findings
    assert [it.missing for it in report.covered] == [1]


def test_a_private_call_that_the_pbx_shows_as_one_covers_no_other() -> None:
    rows = [outbound(1, callee="*310612345678"), outbound(2)]
    report = compared(rows, [], (Withheld.PRIVATE, 1))
    assert [it.row.number for it in report.missing] == [2]
    assert report.by_day == {(DAY, Sort.PRIVATE): 1}


def test_no_private_call_hides_an_inbound_one_but_a_privileged_one_may() -> None:
    assert compared([inbound()], [], (Withheld.PRIVATE, 5)).missing != ()
    assert compared([inbound()], [], (Withheld.PRIVILEGED, 1)).missing == ()


def test_a_call_around_midnight_may_be_counted_on_either_day() -> None:
    night = datetime(2026, 3, 2, tzinfo=UTC) - timedelta(seconds=71)
    row = outbound(starts=(night,))
    counts = [WithheldCount(date(2026, 3, 2), Withheld.PRIVATE, 1)]
    period = (night - timedelta(hours=1), night + timedelta(hours=1))
    report = compare([JUDGE.judge(row)], [], counts, period, timedelta(seconds=5))
    assert report.missing == ()
