"""Calls on the trunk side: recorded while somebody says who speaks inside, and each discontinuity takes that
back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from recorder.calls import Calls
from recorder.effects import AskForEvidence, Forward, NoteOutcome, NoteWithheld, OpenMedia, Tap, TellCapture
from recorder.evidence.statements import Statement
from sip_hooks.events import CallAnswered, CallDisturbed, CallEnded, CallsRelated, Disturbance, Side
from tests.recorder.test_session import (
    ANSWER,
    CALL,
    END,
    PORTS,
    description,
    ids,
    lowest,
    named,
    negotiated,
    of_kind,
    offered,
    policy,
)

CONVERSATION = "f" * 32
LATER = ANSWER + timedelta(seconds=1)
AGENT = frozenset({"201"})
DISCONTINUITIES = [Disturbance.REINVITE_CHANGED, Disturbance.UPDATE, Disturbance.HOLD, Disturbance.INFO]


def calls(*, is_witnessed: bool = True) -> Calls:
    return Calls(replace(policy(), is_trunk_witnessed=is_witnessed), ids, lowest)


def call(running: Calls, **changes: Any) -> list[Any]:
    """A call from outside to the business line, answered; who answered is not seen."""
    event = offered("+31612345678", "+31201234567", Side.TRUNK, **changes)
    effects = running.on_event(event, event.at)
    for asked in of_kind(effects, OpenMedia):
        running.media_opened(CALL, asked.session, PORTS)
    effects += running.on_event(negotiated(), ANSWER)
    return effects + running.on_event(
        CallAnswered(CALL, ANSWER, "t", named("callee", "+31201234567")), ANSWER
    )


def said(
    running: Calls, inside: frozenset[str] | None, at: datetime = LATER, conversation: str = CONVERSATION
) -> list[Any]:
    return running.on_statement(Statement(conversation, inside, at), at)


def taps(effects: list[Any]) -> list[str]:
    return [it.level for it in of_kind(effects, Tap)]


def recorded() -> Calls:
    running = calls()
    call(running)
    assert taps(said(running, AGENT)) == ["all"]
    return running


def test_a_call_is_recorded_once_somebody_says_that_the_agent_speaks() -> None:
    running = calls()
    assert taps(call(running)) == []
    effects = said(running, AGENT)
    assert taps(effects) == ["all"]
    (begin,) = [it.message for it in of_kind(effects, TellCapture)]
    assert (begin["op"], begin["horizon_ms"], begin["agent_side"]) == ("begin", 5000, "b")


def test_without_a_source_nothing_is_recorded_whatever_is_said_and_no_media_passes_here() -> None:
    running = calls(is_witnessed=False)
    assert of_kind(call(running), Forward) == [Forward(CALL, 0, None)]
    assert taps(said(running, AGENT)) == []


def test_what_was_true_before_the_call_was_answered_does_not_count() -> None:
    running = calls()
    call(running)
    assert taps(said(running, AGENT, ANSWER - timedelta(seconds=1))) == []


def test_what_is_said_of_another_call_does_not_count() -> None:
    running = calls()
    call(running)
    assert taps(said(running, AGENT, conversation="e" * 32)) == []


def test_of_two_calls_with_one_call_id_nobody_knows_which_is_meant() -> None:
    running = calls()
    call(running)
    running.on_event(offered("+31612345678", "+31201234567", Side.TRUNK, call="d" * 32), ANSWER)
    assert taps(said(running, AGENT)) == []


@pytest.mark.parametrize("inside", [frozenset({"290"}), frozenset({"provider"}), frozenset({"201", "250"})])
def test_whoever_is_no_agent_alone_is_not_recorded(inside: frozenset[str]) -> None:
    running = calls()
    call(running)
    assert taps(said(running, inside)) == []


@pytest.mark.parametrize("cause", DISCONTINUITIES)
def test_a_discontinuity_stops_the_recording_and_asks_anew(cause: Disturbance) -> None:
    running = recorded()
    effects = running.on_event(CallDisturbed(CALL, cause, ()), LATER + timedelta(seconds=1))
    assert set(taps(effects)) == {"none"}
    assert AskForEvidence(CONVERSATION) in effects


@pytest.mark.parametrize("cause", DISCONTINUITIES)
def test_what_was_true_before_a_discontinuity_does_not_count_after_it(cause: Disturbance) -> None:
    running = calls()
    call(running)
    disturbed = LATER + timedelta(seconds=1)
    running.on_event(CallDisturbed(CALL, cause, ()), disturbed)
    assert taps(said(running, AGENT, LATER)) == []


def test_media_that_is_negotiated_anew_is_a_discontinuity_too() -> None:
    running = recorded()
    effects = running.on_event(negotiated(codec=0, name="PCMU"), LATER + timedelta(seconds=1))
    assert taps(effects) == ["none"]


def test_a_break_in_what_capture_hears_pauses_until_the_agent_is_vouched_for_anew() -> None:
    running = recorded()
    (recording,) = [it for session in running._sessions.values() for it in session.recordings()]
    effects = running.on_discontinuity(recording, LATER + timedelta(seconds=1))
    assert taps(effects) == ["none"]
    assert AskForEvidence(CONVERSATION) in effects
    assert taps(said(running, AGENT, LATER)) == []
    assert taps(said(running, AGENT, LATER + timedelta(seconds=2))) == ["all"]
    assert running.on_discontinuity("0" * 32, END) == []


def test_a_source_that_is_not_sure_stops_the_recording_however_old_its_word() -> None:
    running = recorded()
    assert taps(said(running, None, ANSWER - timedelta(seconds=9))) == ["none"]


def test_a_source_that_falls_silent_stops_every_recording_on_the_trunk() -> None:
    running = recorded()
    assert taps(running.on_evidence_lost(LATER + timedelta(seconds=4))) == ["none"]


def test_a_privileged_person_inside_makes_the_call_a_count() -> None:
    running = recorded()
    assert taps(said(running, frozenset({"250"}))) == ["none"]
    notes = running.on_event(CallEnded(CALL, END, "bye", 200), END)
    assert of_kind(notes, NoteOutcome) == []
    running = calls()
    call(running)
    said(running, frozenset({"250"}))
    notes = running.on_event(CallEnded(CALL, END, "bye", 200), END)
    assert of_kind(notes, NoteWithheld) == [NoteWithheld(END.date(), "privileged")]


def test_a_call_that_nobody_ever_vouched_for_is_in_the_ledger_without_an_agent() -> None:
    running = calls()
    call(running)
    (note,) = of_kind(running.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome)
    assert (note.line, note.agent, note.outcome, note.purposes) == ("service", "", "suppressed", ())
    assert "no-evidence" in note.reasons
    assert {it[0] for it in note.became.values()} == {"suppressed"}


def test_where_nobody_can_vouch_no_call_of_the_trunk_is_in_the_ledger() -> None:
    running = calls(is_witnessed=False)
    call(running)
    assert of_kind(running.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome) == []


def test_a_call_of_the_trunk_on_no_flagged_line_is_not_in_the_ledger() -> None:
    running = calls()
    event = offered("+31612345678", "+31209999999", Side.TRUNK)
    running.on_event(event, event.at)
    assert of_kind(running.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome) == []


def test_a_call_between_phone_and_pbx_needs_nobody_to_vouch_for_it() -> None:
    running = calls(is_witnessed=False)
    (asked,) = of_kind(running.on_event(offered("201", "+31612345678"), ANSWER), OpenMedia)
    running.media_opened(CALL, asked.session, PORTS)
    running.on_event(negotiated(), ANSWER)
    effects = running.on_event(CallAnswered(CALL, ANSWER, "t", named("callee", "+31612345678")), ANSWER)
    assert taps(effects) == ["all"]
    (begin,) = [it.message for it in of_kind(effects, TellCapture)]
    assert begin["horizon_ms"] == 2000
    assert said(running, None) == []


# --- phones on one side, the trunk on the other, and a PBX that has a dialog of its own on each

PHONE, OUTER = "a" * 32, "e" * 32


def inner(running: Calls, caller: str, callee: str, side: Side = Side.PHONES, **changes: Any) -> list[Any]:
    """A call between phones and PBX."""
    event = offered(caller, callee, side, call=PHONE, conversation=OUTER, **changes)
    return running.on_event(replace(event, description=description("192.0.2.32", 4002)), ANSWER)


def outer(running: Calls, dialled: str = "+31612345678") -> list[Any]:
    """A call that the PBX makes to the outside, under the number of the line."""
    event = offered("+31201234567", dialled, Side.PBX, to_side=Side.TRUNK)
    return running.on_event(event, ANSWER)


@pytest.mark.parametrize("dialled", ["+31612345678", "0612345678", "31612345678", "00612345678"])
def test_a_private_call_stays_private_where_the_pbx_passes_it_to_the_trunk(dialled: str) -> None:
    running = calls()
    inner(running, "201", "*310612345678")
    assert of_kind(outer(running, dialled), Forward) == [Forward(CALL, 0, None)]
    assert taps(said(running, AGENT)) == []


def test_a_call_to_somebody_else_meanwhile_is_not_taken_for_the_private_one() -> None:
    running = calls()
    inner(running, "201", "*310612345678")
    assert of_kind(outer(running, "+31687650000"), OpenMedia)


def test_a_call_that_is_led_to_the_doctor_inside_is_kept_out_on_the_trunk() -> None:
    running = recorded()
    effects = inner(running, "+31612345678", "250", Side.PBX)
    assert taps(effects) == ["none"]


def test_a_caller_without_a_number_who_is_led_to_the_doctor_is_kept_out_on_the_trunk() -> None:
    running = calls()
    call(running, anonymous=True)
    inner(running, "anonymous", "250", Side.PBX, anonymous=True)
    assert taps(said(running, AGENT)) == []


def test_a_call_that_is_kept_is_no_reason_to_keep_its_other_half_out() -> None:
    running = calls()
    inner(running, "201", "+31612345678")
    assert of_kind(outer(running), OpenMedia)


def test_who_cannot_be_read_inside_may_be_the_doctor_on_the_trunk_too() -> None:
    running = recorded()
    effects = inner(running, "+31612345678", "201", Side.PBX, disturbances=(Disturbance.UNREADABLE,))
    assert taps(effects) == ["none"]
    assert taps(said(running, AGENT)) == []


def test_a_doctor_whom_the_source_names_in_one_call_keeps_out_what_belongs_to_it() -> None:
    running = recorded()
    event = offered("+31687650000", "+31201234567", Side.TRUNK, call=PHONE, conversation=OUTER)
    running.on_event(replace(event, description=description("192.0.2.33", 4004)), ANSWER)
    running.on_event(CallsRelated(CALL, (PHONE,)), ANSWER)
    assert taps(said(running, frozenset({"250"}), conversation=OUTER)) == ["none"]


def test_a_call_of_another_caller_to_the_doctor_stops_nothing() -> None:
    running = recorded()
    assert taps(inner(running, "+31687650000", "250", Side.PBX)) == []
