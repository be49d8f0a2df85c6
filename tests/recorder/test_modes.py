"""Every call, a sample drawn by lot, or on demand: what a purpose's mode makes of a call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recorder.calls import Calls
from recorder.config import parse
from recorder.decision import Action, CallFacts, Outcome, Reason, decide
from recorder.effects import Forward, NoteOutcome, OpenMedia
from recorder.facts import Lots
from recorder.rules import compile_rules
from recorder.scheme import SAMPLE_SCALE
from sip_hooks.events import CallEnded, Side
from tests.recorder.schemes import CONFIGURATION
from tests.recorder.test_rules import SCHEME, inbound
from tests.recorder.test_session import CALL, END, START, acts, highest, ids, lowest, offered, policy, session

SAMPLED = CONFIGURATION.replace('kind = "quality"', 'kind = "quality"\nmode = "sample"\nsample = "5 %"')
LINE = ("201", "+31201234567")


def decided(mode: Any, sample: int = 0, **facts: Any) -> Any:
    purposes = (replace(SCHEME.purposes[0], mode=mode, sample=sample), *SCHEME.purposes[1:])
    rules = compile_rules(replace(SCHEME, purposes=purposes))
    known: CallFacts = inbound(*LINE)._replace(**facts)
    return decide(known, rules)


@pytest.mark.parametrize(
    ("written", "hundredths"), [("5 %", 500), ("0.01%", 1), ("12.5 %", 1250), ("99 %", 9900)]
)
def test_a_sample_is_written_in_per_cent(written: str, hundredths: int) -> None:
    text = SAMPLED.replace("5 %", written)
    assert parse(text, "c.toml", Path("/")).scheme().purpose("coaching").sample == hundredths


def test_a_lot_below_the_sample_is_recorded_and_one_at_it_is_not() -> None:
    assert decided("sample", 500, draws={"coaching": 499}).recorded() == ("coaching",)
    verdict = decided("sample", 500, draws={"coaching": 500})
    assert verdict.purposes["coaching"].action is Action.REFRAIN
    assert Reason.NOT_SAMPLED in verdict.purposes["coaching"].reasons
    assert verdict.outcome is Outcome.SUPPRESSED


def test_a_call_for_which_no_lot_was_drawn_is_not_in_the_sample() -> None:
    assert decided("sample", 9999).recorded() == ()


def test_the_lots_of_two_purposes_are_two() -> None:
    assert decided("sample", 500, draws={"evidence": 0}).recorded() == ()


def test_on_demand_waits_for_somebody_who_asks() -> None:
    verdict = decided("on-demand")
    assert verdict.purposes["coaching"].action is Action.HOLD
    assert (verdict.anchor, verdict.outcome) == (True, Outcome.SUPPRESSED)
    assert decided("on-demand", requested=frozenset({"evidence"})).recorded() == ()
    assert decided("on-demand", requested=frozenset({"coaching"})).recorded() == ("coaching",)


def test_a_call_that_is_certainly_not_in_the_sample_is_not_anchored() -> None:
    made = session(offered("201", "+31612345678"), policy(SAMPLED), highest)
    assert acts(made.begin()) == [Forward(CALL, 0, None)]
    (note,) = made.on_event(CallEnded(CALL, END, "bye", 200), END)
    assert isinstance(note, NoteOutcome)
    assert (note.outcome, note.reasons[0]) == ("suppressed", "not-sampled")


def test_a_call_in_the_sample_is_anchored() -> None:
    (effect,) = acts(session(offered("201", "+31612345678"), policy(SAMPLED), lowest).begin())
    assert isinstance(effect, OpenMedia)


def test_the_share_of_calls_is_that_of_the_lots_whatever_else_is_known() -> None:
    """Every lot there is, once: exactly 5 % of all calls, and of those that were kept out meanwhile."""
    left = iter(range(SAMPLE_SCALE))
    running = Calls(policy(SAMPLED), ids, lambda below: next(left) % below)
    anchored = 0
    for number in range(SAMPLE_SCALE):
        callee = "250" if number % 2 else "+31612345678"
        event = offered("201", callee, call=f"{number:032x}", conversation=f"{number:032x}")
        anchored += sum(isinstance(it, OpenMedia) for it in running.on_event(event, START))
        running.on_event(CallEnded(event.call, END, "rejected", 486), END)
    assert next(left, None) is None
    assert anchored == SAMPLE_SCALE * 5 // 100 // 2


def test_the_passes_of_one_conversation_have_one_lot() -> None:
    drawn = iter((SAMPLE_SCALE - 1, 0))
    running = Calls(policy(SAMPLED), ids, lambda below: next(drawn))
    first = running.on_event(offered("201", "+31612345678"), START)
    second = running.on_event(offered("+31612345678", "201", Side.PBX, call="d" * 32), START)
    assert acts(first) == [Forward(CALL, 0, None)] and acts(second) == [Forward("d" * 32, 0, None)]


def test_a_lot_is_drawn_once_and_another_one_for_another_purpose() -> None:
    drawn = iter((3, 1, 4))
    lots = Lots(lambda below: next(drawn))
    assert dict(lots.drawn(["coaching"])) == {"coaching": 3}
    assert dict(lots.drawn(["coaching", "evidence"])) == {"coaching": 3, "evidence": 1}
    assert dict(lots.drawn([])) == {"coaching": 3, "evidence": 1}


def test_a_policy_that_comes_later_does_not_draw_again() -> None:
    drawn = iter((0,))
    made = session(offered("201", "+31612345678"), policy(SAMPLED), lambda below: next(drawn))
    assert acts(made.on_policy(policy(SAMPLED), START)) == []
