"""A call whose media is described only in the answer is recorded once both parties have spoken of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from recorder.effects import NoteOutcome, OpenMedia, SetRemote, Tap, TellCapture
from sip_hooks.events import CallEnded, MediaNegotiated
from sip_hooks.sdp import Obstacle
from tests.recorder.test_calls import OTHER, calls
from tests.recorder.test_session import (
    ANSWER,
    CALL,
    END,
    PORTS,
    START,
    answered,
    negotiated,
    of_kind,
    offered,
    session,
)

LATER = ANSWER + timedelta(milliseconds=300)


def late() -> Any:
    """An INVITE without an offer whose ports are open."""
    made = session(offered("201", "+31612345678", description=None))
    assert of_kind(made.begin(), OpenMedia), "the call is not anchored"
    made.media_opened(PORTS)
    return made


def proposed() -> MediaNegotiated:
    """The 200 carries the callee's offer."""
    return replace(negotiated(), caller=None)


def test_a_late_offer_is_recorded_from_the_answer_in_the_ack_on() -> None:
    made = late()
    made.on_event(proposed(), ANSWER)
    early = made.on_event(answered(), ANSWER)
    assert of_kind(early, Tap) == [] and of_kind(early, TellCapture) == []
    effects = made.on_event(negotiated(), LATER)
    assert [it.side for it in of_kind(effects, SetRemote)] == ["a", "b"]
    assert of_kind(effects, TellCapture)[0].message["op"] == "begin"
    assert of_kind(effects, Tap)[0].level == "all"


def test_an_offer_that_came_early_is_recorded_from_the_200_on() -> None:
    """In a reliable 183, answered in its PRACK."""
    made = late()
    made.on_event(replace(proposed(), answered=False), START)
    made.on_event(negotiated(answered=False), START)
    made.on_event(negotiated(), ANSWER)
    assert of_kind(made.on_event(answered(), ANSWER), Tap)


def test_what_stands_in_the_way_of_a_late_offer_is_told_as_failed() -> None:
    made = late()
    made.on_event(replace(proposed(), obstacles=frozenset((Obstacle.SRTP,))), ANSWER)
    made.on_event(answered(), ANSWER)
    assert of_kind(made.on_event(negotiated(), LATER), Tap) == []
    (note,) = of_kind(made.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome)
    assert note.outcome == "failed" and "srtp" in note.reasons


def test_a_late_offer_that_nobody_answers_is_not_told_as_recorded() -> None:
    made = late()
    made.on_event(proposed(), ANSWER)
    made.on_event(answered(), ANSWER)
    (note,) = of_kind(made.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome)
    assert note.outcome == "suppressed" and note.reasons == ("not-answered",)


def test_a_late_offer_that_crosses_twice_is_recorded_once() -> None:
    """It names no port of ours when it crosses again: the offer comes from the far end first."""
    made = calls()
    first = made.on_event(offered("201", "+31612345678", description=None), START)
    second = made.on_event(offered("201", "+31612345678", call=OTHER, description=None), START)
    assert of_kind(first, OpenMedia) and not of_kind(second, OpenMedia)
