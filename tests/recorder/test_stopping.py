"""Somebody stops a recording while the call runs: for good, whole or for one purpose."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from recorder.config import parse
from recorder.effects import Effect, NoteOutcome, Tap, TellCapture
from recorder.facts import Lots
from recorder.rules import compile_rules
from recorder.session import Session
from sip_hooks.events import CallEnded
from tests.recorder.schemes import CONFIGURATION
from tests.recorder.test_session import (
    ANSWER,
    CALL,
    END,
    PORTS,
    anchored,
    answered,
    lowest,
    negotiated,
    of_kind,
    offered,
    policy,
    recording,
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


def both() -> Any:
    """A call that is recorded for two purposes."""
    text = CONFIGURATION.replace('purposes = ["coaching"]', 'purposes = ["coaching", "training"]')
    start, end = text.index("[purposes.coaching]"), text.index("[[lines]]")
    second = text[start:end].replace("[purposes.coaching]", "[purposes.training]")
    scheme = parse(text[:end] + second + text[end:], "test.toml", Path("/")).scheme()
    retention = {it.name: it.retention for it in scheme.purposes}
    in_force, drawn = policy(rules=compile_rules(scheme), retention=retention), count(1)
    made = Session(
        offered("201", "+31612345678"), in_force, lambda size: next(drawn).to_bytes(size), Lots(lowest)
    )
    made.begin()
    made.media_opened(PORTS)
    made.on_event(negotiated(), ANSWER)
    made.on_event(answered(), ANSWER)
    return made


def test_one_recording_that_capture_gave_up_leaves_the_tap_to_the_other() -> None:
    made = both()
    for id, taps in zip(made.recordings(), ([], ["none"]), strict=True):
        failed = {"event": "failed", "recording": id, "reason": "disk-full"}
        assert [it.level for it in of_kind(made.on_capture(failed), Tap)] == taps


def test_one_purpose_is_stopped_and_the_other_goes_on() -> None:
    made = both()
    assert made.summary()["purposes"] == ["coaching", "training"]
    effects = stopped(made, "training")
    (order,) = of_kind(effects, TellCapture)
    assert of_kind(effects, Tap) == []
    assert (order.message["op"], order.message["recording"]) == ("stop", made.recordings()[1])
    assert made.summary()["purposes"] == ["coaching"]
    last = stopped(made, "coaching")
    assert [it.level for it in of_kind(last, Tap)] == ["none"] and made.summary()["purposes"] == []
