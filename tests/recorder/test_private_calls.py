"""A call becomes private while it runs: what was recorded of it is destroyed, and nobody is named."""

from __future__ import annotations

from datetime import timedelta

from recorder.calls import Calls
from recorder.decision import Withdrawn
from recorder.effects import Destroy, Done, Effect, KeepInMind, NoteOutcome, NoteWithheld, Tap, TellCapture
from sip_hooks.events import CallEnded
from tests.recorder.test_on_demand import running
from tests.recorder.test_related_calls import SECOND, Site
from tests.recorder.test_session import ANSWER, CALL, END, answered, of_kind, policy, recording

LATER = ANSWER + timedelta(seconds=30)
PRIVATE: Withdrawn = "private-code"


def orders(effects: list[Effect]) -> list[str]:
    told = [it.message["op"] for it in of_kind(effects, TellCapture)]
    return [it for it in told if it != "listen"]


def private(calls: Calls, call: str) -> list[Effect]:
    done = calls.make_private(call, LATER)
    assert isinstance(done, Done) and not done.refused
    return done.effects


def test_what_was_recorded_is_destroyed_and_no_more_is_heard() -> None:
    calls, call = running()
    effects = private(calls, call)
    assert [it.level for it in of_kind(effects, Tap)] == ["none"]
    assert orders(effects) == ["discard"]
    (destroy,) = of_kind(effects, Destroy)
    assert destroy == Destroy((call,), ANSWER.date(), PRIVATE)
    (kept,) = of_kind(effects, KeepInMind)
    assert (kept.unfinished.kind, kept.unfinished.line, kept.unfinished.agent) == ("private", "", "")
    assert kept.unfinished.destroy == destroy, "a crash of signalling loses nothing of it"


def test_it_is_counted_and_nothing_else_is_noted() -> None:
    calls, call = running()
    private(calls, call)
    notes = list(calls.on_event(CallEnded(CALL, END, "bye", 200), END))
    for recording_id in [it for one in calls._sessions.values() for it in one.recordings()]:
        notes += calls.on_capture({"event": "discarded", "recording": recording_id})
    assert of_kind(notes, NoteOutcome) == []
    assert [it.kind for it in of_kind(notes, NoteWithheld)] == ["private"]


def test_it_stays_so_whatever_comes() -> None:
    calls, call = running()
    private(calls, call)
    assert calls.summaries() == [] and calls.make_private(call, LATER) is None
    assert (calls.request(call, [], LATER), calls.pause(call, LATER)) == (None, None)
    later = [*calls.on_policy(policy(), LATER), *calls.on_event(answered(), LATER)]
    assert "begin" not in orders(later) and "all" not in [it.level for it in of_kind(later, Tap)]


def test_a_capture_that_was_out_of_reach_is_told_again() -> None:
    calls, call = running()
    private(calls, call)
    for is_restarted in (False, True):
        assert orders(calls.on_capture_back(is_restarted, LATER)) == ["discard"]


def test_a_call_that_was_stopped_before_is_destroyed_too() -> None:
    calls, call = running()
    calls.stop(call, [], LATER)
    effects = private(calls, call)
    assert orders(effects) == ["discard"] and of_kind(effects, Destroy)


def test_a_call_that_is_not_recorded_becomes_private_all_the_same() -> None:
    calls, call = running(is_answered=False)
    effects = private(calls, call)
    assert orders(effects) == [] and of_kind(effects, Destroy)
    assert orders(calls.on_event(answered(), LATER)) == []


def withdrawn(site: Site, call: str = CALL) -> tuple[list[Effect], list[str]]:
    """The call becomes private; what comes of it, and our names for its other calls."""
    named = site.calls._sessions[call].id
    effects = private(site.calls, named)
    destroyed = {it for one in of_kind(effects, Destroy) for it in one.calls}
    return effects, sorted(destroyed - {named})


def test_the_other_passes_of_the_conversation_go_with_it_also_if_they_are_over() -> None:
    site = Site().recorded(conversation="one")
    site.recorded(SECOND, user="other", conversation="one")
    ended = site.calls._sessions[SECOND]
    effects = list(site.calls.on_event(CallEnded(SECOND, END, "bye", 200), END))
    for it in ended.recordings():
        effects += site.calls.on_capture({"event": "sealed", "recording": it, "seconds": 9.0})
    assert of_kind(effects, NoteOutcome) and SECOND not in site.calls._sessions
    assert withdrawn(site)[1] == [ended.id]


def test_a_running_pass_is_destroyed_and_counted_once() -> None:
    site = Site().recorded(conversation="one")
    site.recorded(SECOND, user="other", conversation="one")
    effects, _ = withdrawn(site)
    assert orders(effects) == ["discard", "discard"]
    kept = [it.unfinished for it in of_kind(effects, KeepInMind)]
    assert sorted(str(it.kind) for it in kept) == ["None", "private"] and all(it.destroy for it in kept)
    notes: list[Effect] = []
    for call in (CALL, SECOND):
        recordings = site.calls._sessions[call].recordings()
        notes += site.calls.on_event(CallEnded(call, END, "bye", 200), END)
        for it in recordings:
            notes += site.calls.on_capture({"event": "discarded", "recording": it})
    assert len(of_kind(notes, NoteWithheld)) == 1 and not of_kind(notes, NoteOutcome)


def test_what_the_same_telephone_speaks_in_at_once_is_destroyed_and_what_is_on_hold_is_not() -> None:
    site = Site().recorded()
    site.recorded(SECOND)
    assert withdrawn(site)[1] == [site.calls._sessions[SECOND].id]
    site = Site().recorded()
    site.tell(site.media(CALL, "sendonly"))
    site.offer(SECOND, "+31687654321")
    site.answer(SECOND, "+31687654321")
    assert withdrawn(site, SECOND)[1] == []


def test_another_call_of_another_telephone_is_left_alone() -> None:
    site = Site().recorded()
    site.recorded(SECOND, user="other")
    effects, others = withdrawn(site)
    assert others == [] and orders(effects) == ["discard"]
    assert [it["call"] for it in site.calls.summaries()] == [site.calls._sessions[SECOND].id]


def test_a_second_time_changes_nothing() -> None:
    made = recording()
    assert of_kind(made.withdraw(PRIVATE, LATER), Destroy)
    assert made.withdraw(PRIVATE, LATER) == []


def test_an_objection_is_counted_as_a_business_call_of_which_nothing_was_recorded() -> None:
    made = recording()
    effects = made.withdraw("objection", LATER)
    assert orders(effects) == ["discard"] and of_kind(effects, Destroy)[0].reason == "objection"
    made.on_capture({"event": "discarded", "recording": made.recordings()[0]})
    (note,) = of_kind(made.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome)
    assert (note.outcome, note.reasons, note.purposes) == ("suppressed", ("objection",), ())
    assert {it[0] for it in note.became.values()} == {"suppressed"}


def test_what_was_sealed_before_an_objection_is_not_counted_as_recorded() -> None:
    made = recording()
    made.on_capture({"event": "sealed", "recording": made.recordings()[0], "seconds": 12.0})
    made.withdraw("objection", LATER)
    (note,) = of_kind(made.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome)
    assert note.outcome == "suppressed" and {it[0] for it in note.became.values()} == {"suppressed"}
