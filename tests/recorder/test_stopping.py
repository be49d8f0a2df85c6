"""Somebody stops a recording while the call runs: for good, whole or for one purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recorder.config import parse
from recorder.effects import Effect, NoteOutcome, Tap, TellCapture
from recorder.rules import compile_rules
from sip_hooks.events import CallEnded
from tests.recorder.schemes import CONFIGURATION
from tests.recorder.test_session import (
    ANSWER,
    CALL,
    END,
    PORTS,
    anchored,
    answered,
    negotiated,
    of_kind,
    offered,
    policy,
    recording,
    session,
)


def stopped(made: Any, *purposes: str) -> list[Effect]:
    effects: list[Effect] = made.stop(purposes, ANSWER)
    return effects


def test_a_stopped_recording_loses_its_horizon_and_is_never_taken_up_again() -> None:
    made = recording()
    tap, order = (it for it in stopped(made) if isinstance(it, (Tap, TellCapture)))
    assert isinstance(tap, Tap) and tap.level == "none"
    assert isinstance(order, TellCapture)
    assert (order.message["op"], order.message["reason"]) == ("taint", "stopped")
    assert made.request((), ANSWER).recorded == ()
    assert of_kind(made.on_policy(policy(), ANSWER), Tap) == []
    made.on_capture({"event": "sealed", "recording": made.recordings()[0]})
    (note,) = of_kind(made.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome)
    assert note.reasons == ("stopped",)


def test_a_call_that_was_stopped_before_its_answer_is_not_recorded() -> None:
    made = anchored()
    stopped(made)
    made.on_event(negotiated(), ANSWER)
    assert of_kind(made.on_event(answered(), ANSWER), Tap) == []


def test_one_purpose_is_stopped_and_the_other_goes_on() -> None:
    text = CONFIGURATION.replace('purposes = ["coaching"]', 'purposes = ["coaching", "training"]')
    start, end = text.index("[purposes.coaching]"), text.index("[[lines]]")
    second = text[start:end].replace("[purposes.coaching]", "[purposes.training]")
    scheme = parse(text[:end] + second + text[end:], "test.toml", Path("/")).scheme()
    both = {it.name: it.retention for it in scheme.purposes}
    made = session(offered("201", "+31612345678"), policy(rules=compile_rules(scheme), retention=both))
    made.begin()
    made.media_opened(PORTS)
    made.on_event(negotiated(), ANSWER)
    made.on_event(answered(), ANSWER)
    assert made.summary()["purposes"] == ["coaching", "training"]
    (order,) = of_kind(stopped(made, "training"), TellCapture)
    assert (order.message["op"], order.message["recording"]) == ("stop", made.recordings()[1])
    assert made.summary()["purposes"] == ["coaching"]
    last = stopped(made, "coaching")
    assert [it.level for it in of_kind(last, Tap)] == ["none"] and made.summary()["purposes"] == []
