"""What a number would meet: the rules are asked as they are for real calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.config import parse
from recorder.decision import Direction, Reason
from recorder.explanation import SOMEBODY, Case, excluded_by, imagine, roles
from recorder.rules import compile_rules
from tests.recorder.schemes import CONFIGURATION

SCHEME = parse(
    CONFIGURATION.replace('"250"', '"250", "+31201230000-+31201230099"'), "c.toml", Path("/")
).scheme()
OUT, IN = Direction.OUTBOUND, Direction.INBOUND


def cases(caller: str, callee: str | None = None, is_approved: bool = True) -> list[Case]:
    return imagine(SCHEME, compile_rules(SCHEME), is_approved, caller, callee)


def test_an_agents_calls_with_somebody_outside_are_recorded() -> None:
    found = cases("201")
    assert [(it.direction, it.theirs, it.verdict.recorded()) for it in found] == [
        (OUT, SOMEBODY, ("coaching",)),
        (IN, SOMEBODY, ("coaching",)),
    ]


def test_a_customer_is_recorded_on_each_line_and_at_its_number() -> None:
    assert [it.verdict.recorded() for it in cases("+31612345678")] == [("coaching",)] * 2
    (called,) = cases("+31612345678", "+31201234567")
    assert (called.ours, called.verdict.recorded()) == (("+31201234567", "201"), ("coaching",))


@pytest.mark.parametrize(
    ("caller", "callee", "reason"),
    [
        ("201", "250", Reason.EXCLUDED),
        ("+31201230050", "201", Reason.EXCLUDED),
        ("201", "202", Reason.INTERNAL_CALL),
        ("201", "112", Reason.EMERGENCY_NUMBER),
        ("201", "*310612345678", Reason.PRIVATE_PREFIX),
        ("231", "+31612345678", Reason.NO_AGENT),
    ],
)
def test_the_rule_that_keeps_a_call_out_is_named(caller: str, callee: str, reason: Reason) -> None:
    found = cases(caller, callee)
    assert found and all(reason in it.speaks and not it.verdict.recorded() for it in found)
    assert not any(Reason.LINE_ALLOWS in it.speaks for it in found)


def test_without_approval_that_is_the_reason() -> None:
    assert all(it.verdict.reasons == (Reason.UNAPPROVED,) for it in cases("201", is_approved=False))


def test_an_exclusion_is_named_with_the_entry_and_the_pattern() -> None:
    ((entry, pattern),) = excluded_by(SCHEME, "0201230050")
    assert (entry.name, pattern) == ("Company doctor", "+31201230000-+31201230099")
    assert excluded_by(SCHEME, "201") == []


def test_what_a_number_is_to_the_scheme() -> None:
    agents, lines, is_ours = roles(SCHEME, "201")
    assert ([it.id for it in agents], [it.name for it in lines], is_ours) == (["a-1041"], ["service"], True)
    assert roles(SCHEME, "250") == ([], [], True)
    assert roles(SCHEME, "+31612345678") == ([], [], False)
