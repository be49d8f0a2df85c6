"""Somebody pauses a recording, as for card data: it ends by itself, and asking again makes it no longer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from recorder.calls import Calls
from recorder.decision import Doubt
from recorder.effects import Done, Effect, NoteOutcome, Play, Remind, StopPlaying, Tap, TellCapture
from sip_hooks.events import CallEnded
from tests.recorder.schemes import CONFIGURATION
from tests.recorder.test_announcing import begun, heard
from tests.recorder.test_on_demand import running
from tests.recorder.test_session import ANSWER, CALL, END, of_kind, recording

LATER = ANSWER + timedelta(seconds=30)
LIMIT = timedelta(minutes=3)


def did(effects: list[Effect]) -> list[str]:
    """What is done to tap and capture, in order."""
    shown = [it for it in effects if isinstance(it, Tap | TellCapture)]
    told = [it.level if isinstance(it, Tap) else it.message["op"] for it in shown]
    return [it for it in told if it not in ("listen", "events")]


def done(answer: Done | None) -> list[Effect]:
    assert answer is not None and not answer.refused
    return answer.effects


def refused(answer: Done | None) -> tuple[str, ...]:
    assert answer is not None and did(answer.effects) == []
    return answer.refused


def state(calls: Calls) -> Any:
    return calls.summaries()[0]["state"]


def test_a_pause_shuts_the_tap_first_and_a_resume_opens_it_last() -> None:
    calls, call = running(CONFIGURATION)
    assert did(done(calls.pause(call, LATER))) == ["none", "pause"] and state(calls) == "paused"
    assert did(done(calls.resume(call, LATER))) == ["resume", "all"] and state(calls) == "recording"


def test_a_pause_ends_by_itself_and_asking_again_makes_it_no_longer() -> None:
    calls, call = running(CONFIGURATION)
    (reminder,) = of_kind(done(calls.pause(call, LATER)), Remind)
    assert timedelta(seconds=reminder.seconds) == LIMIT
    assert refused(calls.pause(call, LATER + timedelta(minutes=2))) == ("paused-before",)
    early = calls.on_reminder(CALL, LATER + timedelta(minutes=2))
    assert did(early) == [] and [it.seconds for it in of_kind(early, Remind)] == [60.0]
    assert did(calls.on_reminder(CALL, LATER + LIMIT)) == ["resume", "all"]
    assert refused(calls.resume(call, LATER + LIMIT)) == ("not-paused",)


def test_a_reminder_of_an_earlier_pause_ends_no_later_one() -> None:
    calls, call = running(CONFIGURATION)
    calls.pause(call, LATER)
    calls.resume(call, LATER)
    calls.pause(call, LATER + timedelta(minutes=1))
    assert did(calls.on_reminder(CALL, LATER + LIMIT)) == []
    assert did(calls.on_reminder(CALL, LATER + LIMIT + timedelta(minutes=1))) == ["resume", "all"]


def test_a_doubt_that_is_settled_during_a_pause_does_not_end_it_nor_the_reverse() -> None:
    made = recording()
    made.pause(LATER)
    made.doubt(Doubt.KEYS, LATER)
    assert did(made.settle(Doubt.KEYS, LATER)) == []
    made.doubt(Doubt.KEYS, LATER)
    assert did(done(made.resume(LATER))) == [] and made.summary()["state"] == "paused"
    assert did(made.settle(Doubt.KEYS, LATER)) == ["resume", "all"]


def test_a_pause_before_the_recording_holds_it_up() -> None:
    calls, call = running()
    calls.pause(call, LATER)
    answer = calls.request(call, ["assessment"], LATER)
    assert answer is not None and answer.refused == {"assessment": ("paused",)}


def test_what_is_not_recorded_is_not_paused() -> None:
    calls, call = running(CONFIGURATION)
    calls.stop(call, [], LATER)
    assert refused(calls.pause(call, LATER)) == ("not-recorded", "stopped")
    assert refused(calls.resume(call, LATER)) == ("not-paused",)


def test_a_stop_during_a_pause_ends_the_recording() -> None:
    calls, call = running(CONFIGURATION)
    calls.pause(call, LATER)
    assert "taint" in did(calls.stop(call, [], LATER) or [])


def test_a_call_that_ends_in_a_pause_was_recorded() -> None:
    made = recording()
    made.pause(LATER)
    ending = made.on_event(CallEnded(CALL, END, "bye", 200), END)
    ending += made.on_capture({"event": "sealed", "recording": made.recordings()[0], "seconds": 30.0})
    (note,) = of_kind(ending, NoteOutcome)
    assert (note.outcome, note.reasons) == ("recorded", ("paused",))


def test_an_announcement_is_played_to_its_end_in_a_pause_and_nothing_is_recorded_after_it() -> None:
    made, effects = begun()
    (played,) = of_kind(effects, Play)
    assert of_kind(done(made.pause(LATER)), StopPlaying) == []
    assert did(made.on_announced(played.number, heard(), LATER)) == []
    assert did(done(made.resume(LATER))) == ["begin", "all"]
