"""A call is recorded from when somebody asks, each purpose by itself, if every other rule permits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from recorder.calls import Calls
from recorder.effects import KeepInMind, NoteOutcome, NoteWithheld, OpenMedia, Tap, TellCapture
from sip_hooks.events import CallDisturbed, CallEnded, Disturbance
from tests.recorder.schemes import CONFIGURATION
from tests.recorder.test_session import (
    ANSWER,
    CALL,
    END,
    PORTS,
    START,
    answered,
    highest,
    lowest,
    named,
    negotiated,
    of_kind,
    offered,
    policy,
    session,
)

SECOND = """\
[purposes.{name}]
kind = "quality"
description = "Assessment"
legal_basis = "GDPR art. 6(1)(f)"
mode = "on-demand"
retention = "14 days"
frequency = "three calls a quarter"
frequency_justification = "the fewest"
announcement_exemption = "told by the welcome message"
listeners = ["assessor"]

[[lines]]"""
TWO = CONFIGURATION.replace("[[lines]]", SECOND.format(name="assessment")).replace(
    'purposes = ["coaching"]', 'purposes = ["assessment", "coaching"]'
)
ASKED = ANSWER + timedelta(seconds=20)


def numbered() -> Any:
    """Identifiers that differ."""
    drawn = iter(range(1, 1000))
    return lambda count: next(drawn).to_bytes(count)


def running(text: str = TWO, draw: Any = lowest, is_answered: bool = True) -> tuple[Calls, str]:
    """A call of the agent to a customer, anchored."""
    calls = Calls(policy(text), numbered(), draw)
    for it in of_kind(list(calls.on_event(offered("201", "+31612345678"), START)), OpenMedia):
        calls.media_opened(CALL, it.session, PORTS)
    calls.on_event(negotiated(), ANSWER)
    if is_answered:
        calls.on_event(answered(), ANSWER)
    return calls, calls.summaries()[0]["call"]


def orders(effects: list[Any]) -> list[Any]:
    return [it.message for it in of_kind(effects, TellCapture)]


def ended(calls: Calls) -> NoteOutcome:
    """The call ends and every clip is sealed; what the ledger says."""
    notes = calls.on_event(CallEnded(CALL, END, "bye", 200), END)
    for recording in [it for one in calls._sessions.values() for it in one.recordings()]:
        notes += calls.on_capture({"event": "sealed", "recording": recording})
    (note,) = of_kind(list(notes), NoteOutcome)
    assert isinstance(note, NoteOutcome)
    return note


def test_only_what_was_asked_for_begins_and_the_other_goes_on() -> None:
    calls, call = running()
    assert calls.summaries()[0]["purposes"] == ["coaching"]
    answer = calls.request(call, ["assessment"], ASKED)
    assert answer is not None and (answer.recorded, answer.refused) == (("assessment",), {})
    (begin,) = orders(answer.effects)
    (plan,) = begin["recordings"]
    assert (begin["op"], plan["purpose"], plan["call"]) == ("begin", "assessment", call)
    assert plan["started_at"] == ASKED.isoformat()
    assert of_kind(answer.effects, Tap)[0].level == "all"
    assert calls.summaries()[0]["purposes"] == ["assessment", "coaching"]


def test_the_deadline_counts_from_the_start_of_the_call_whenever_somebody_asks() -> None:
    calls, call = running()
    answer = calls.request(call, ["assessment"], ASKED + timedelta(days=3))
    assert answer is not None
    assert orders(answer.effects)[0]["recordings"][0]["deadline_day"] == "2026-03-14"


def test_who_names_no_purpose_asks_for_all_that_wait() -> None:
    calls, call = running()
    answer = calls.request(call, [], ASKED)
    assert answer is not None and answer.recorded == ("assessment",)
    again = calls.request(call, ["assessment", "coaching"], ASKED)
    assert again is not None and (again.recorded, again.effects) == (("assessment", "coaching"), [])


@pytest.mark.parametrize("which", ["other call", "kept out"])
def test_a_call_that_is_not_there_or_not_to_be_shown_cannot_be_asked_for(which: str) -> None:
    calls, call = running()
    if which == "kept out":
        calls.on_event(CallDisturbed(CALL, Disturbance.IDENTITY_CHANGED, named("callee", "250")), ANSWER)
    assert calls.request(call if which == "kept out" else "0" * 32, ["assessment"], ASKED) is None


def test_a_request_that_is_refused_says_why_and_is_forgotten() -> None:
    calls, call = running(is_answered=False)
    answer = calls.request(call, ["assessment"], START)
    assert answer is not None and answer.recorded == () and answer.effects == []
    assert answer.refused == {"assessment": ("not-answered",)}
    (begin,) = orders(list(calls.on_event(answered(), ANSWER)))
    assert [it["purpose"] for it in begin["recordings"]] == ["coaching"]


def test_nobody_can_ask_for_what_the_line_or_the_lot_does_not_allow() -> None:
    sampled = TWO.replace('"Coaching"', '"Coaching"\nmode = "sample"\nsample = "5 %"')
    calls, call = running(sampled, highest)
    answer = calls.request(call, ["coaching", "evidence"], ASKED)
    assert answer is not None and answer.refused == {
        "coaching": ("not-sampled",),
        "evidence": ("not-permitted-by-every-line",),
    }


@pytest.mark.parametrize("before", [True, False])
def test_a_veto_ends_every_recording_and_nobody_can_ask_again(before: bool) -> None:
    calls, call = running()
    if before:
        calls.request(call, ["assessment"], ASKED)
    effects = list(calls.on_event(CallDisturbed(CALL, Disturbance.JOIN, ()), ASKED))
    assert [it["op"] for it in orders(effects)] == ["taint"]
    assert calls.summaries()[0]["purposes"] == []
    answer = calls.request(call, ["assessment"], ASKED)
    assert answer is not None and answer.refused == {"assessment": ("stopped-before",)}


def test_a_recording_that_was_stopped_by_a_policy_is_not_begun_again_by_asking() -> None:
    calls, call = running()
    calls.on_policy(policy(TWO, approved=False), ASKED)
    calls.on_policy(policy(TWO), ASKED)
    answer = calls.request(call, ["assessment"], ASKED)
    assert answer is not None and answer.recorded == ()


def test_one_purpose_that_may_not_go_on_takes_the_others_with_it() -> None:
    calls, call = running()
    calls.request(call, ["assessment"], ASKED)
    effects = calls.on_policy(policy(TWO.replace('["assessment", "coaching"]', '["coaching"]')), ASKED)
    assert [it["op"] for it in orders(effects)] == ["taint"]
    assert calls.summaries()[0]["purposes"] == []


def test_a_call_that_had_to_stop_is_not_recorded_for_another_purpose_either() -> None:
    calls, _ = running()
    calls.on_policy(policy(TWO, approved=False), ASKED)
    assert orders(calls.on_policy(policy(TWO.replace('"on-demand"', '"always"')), ASKED)) == []


def test_after_a_restart_of_capture_all_that_run_go_on() -> None:
    calls, call = running()
    calls.request(call, ["assessment"], ASKED)
    (begin,) = orders(calls.on_capture_back(True, ANSWER))
    assert {it["purpose"] for it in begin["recordings"]} == {"assessment", "coaching"}


def test_the_ledger_says_of_each_purpose_what_became_of_it() -> None:
    sampled = TWO.replace('"Coaching"', '"Coaching"\nmode = "sample"\nsample = "5 %"')
    calls, call = running(sampled, highest)
    calls.request(call, ["assessment"], ASKED)
    note = ended(calls)
    assert (note.outcome, note.purposes) == ("recorded", ("assessment",))
    assert note.became == {
        "assessment": ("recorded", ("line-allows",)),
        "coaching": ("suppressed", ("not-sampled",)),
    }


def test_a_failure_of_one_purpose_is_its_own() -> None:
    calls, call = running()
    calls.request(call, ["assessment"], ASKED)
    failing = orders(calls.on_capture_back(False, ANSWER))[0]["recordings"][0]
    calls.on_capture({"event": "failed", "recording": failing["recording"], "reason": "disk-full"})
    note = ended(calls)
    assert note.outcome == "failed"
    assert note.became["assessment"] == ("failed", ("line-allows", "disk-full"))
    assert note.became["coaching"] == ("recorded", ("line-allows",))


def test_what_nobody_asked_for_is_suppressed_with_that_reason() -> None:
    only = TWO.replace('purposes = ["assessment", "coaching"]', 'purposes = ["assessment"]')
    calls, _ = running(only)
    note = ended(calls)
    assert (note.outcome, note.reasons, note.purposes) == ("suppressed", ("not-requested",), ())


def test_a_tainted_call_whose_clips_a_crash_of_capture_took_is_written_down_all_the_same() -> None:
    calls, _ = running()
    calls.on_event(CallDisturbed(CALL, Disturbance.JOIN, ()), ASKED)
    calls.on_capture_back(True, ANSWER)
    (note,) = of_kind(list(calls.on_event(CallEnded(CALL, END, "bye", 200), END)), NoteOutcome)
    assert note.outcome == "failed" and "capture-lost" in note.reasons


@pytest.mark.parametrize("callee", ["+31612345678", "*310612345678"])
def test_an_invite_that_is_only_challenged_is_no_call(callee: str) -> None:
    made = session(offered("201", callee))
    made.begin()
    left = made.on_event(CallEnded(CALL, END, "rejected", 407), END)
    assert of_kind(left, NoteOutcome) + of_kind(left, NoteWithheld) == []
    assert [it.unfinished for it in of_kind(left, KeepInMind)] == [None]


def test_a_request_that_is_refused_is_forgotten() -> None:
    """Else it would be granted later by a change of which nobody thought that it begins a recording."""
    told = TWO.replace("[[lines]]", SECOND.format(name="training"), 1)
    told = told.replace('["assessment", "coaching"]', '["assessment", "coaching", "training"]')
    head, tail = told.split("[purposes.training]")
    untold = head + "[purposes.training]" + tail.replace('announcement_exemption = "told by', '# "told by', 1)
    calls, call = running(untold)
    answer = calls.request(call, ["assessment", "training"], ASKED)
    assert answer is not None and (answer.recorded, set(answer.refused)) == (("assessment",), {"training"})
    calls.on_policy(policy(told), ASKED)
    assert calls.summaries()[0]["purposes"] == ["assessment", "coaching"]
