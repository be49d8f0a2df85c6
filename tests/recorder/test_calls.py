"""All running calls: what one pass of a conversation means for the other."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from recorder.calls import Calls
from recorder.config import parse
from recorder.effects import CloseMedia, Forward, NoteOutcome, NoteWithheld, OpenMedia, SetRemote, Tap
from recorder.rules import compile_rules
from sip_hooks.events import (
    Anchor,
    CallAnswered,
    CallDisturbed,
    CallEnded,
    CallRestored,
    Disturbance,
    MediaNegotiated,
    Side,
)
from tests.recorder.schemes import CONFIGURATION
from tests.recorder.test_session import (
    ANSWER,
    CALL,
    END,
    PORTS,
    START,
    acts,
    answered,
    description,
    ids,
    lowest,
    named,
    negotiated,
    of_kind,
    offered,
    policy,
)

OTHER = "d" * 32


def calls() -> Calls:
    return Calls(policy(), ids, lowest)


def offer(running: Calls, caller: str, callee: str, call: str = CALL, side: Side = Side.PHONES) -> list[Any]:
    return list(running.on_event(offered(caller, callee, side, call=call), START))


def end(running: Calls, call: str) -> list[Any]:
    return list(running.on_event(CallEnded(call, END, "bye", 200), END))


def recorded(running: Calls) -> None:
    (asked,) = of_kind(offer(running, "201", "+31612345678"), OpenMedia)
    running.media_opened(CALL, asked.session, PORTS)
    running.on_event(negotiated(), ANSWER)
    assert of_kind(list(running.on_event(answered(), ANSWER)), Tap)


def test_a_private_call_that_comes_back_from_the_pbx_without_its_prefix_stays_private() -> None:
    running = calls()
    offer(running, "201", "*31+31201234567")
    back = offer(running, "+31612345678", "201", call=OTHER, side=Side.PBX)
    assert back == [Forward(OTHER, 0, None)]
    notes = end(running, OTHER) + end(running, CALL)
    assert notes == [NoteWithheld(END.date(), "private")]


def test_a_doctor_seen_in_one_pass_stops_the_recording_of_the_other() -> None:
    running = calls()
    recorded(running)
    effects = offer(running, "+31612345678", "250", call=OTHER, side=Side.PBX)
    assert [it.level for it in of_kind(effects, Tap)] == ["none"]
    notes = of_kind(end(running, OTHER) + end(running, CALL), NoteWithheld)
    assert len(notes) == 1


def test_a_doctor_seen_in_both_passes_is_one_call() -> None:
    numbers = count(1)
    running = Calls(policy(), lambda size: next(numbers).to_bytes(size), lowest)
    offer(running, "201", "250")
    offer(running, "201", "250", call=OTHER, side=Side.PBX)
    notes = of_kind(end(running, OTHER) + end(running, CALL), NoteWithheld)
    assert notes == [NoteWithheld(END.date(), "privileged")]


def test_two_calls_to_the_doctor_are_two() -> None:
    running = calls()
    notes = []
    for _ in range(2):
        offer(running, "201", "250")
        notes += of_kind(end(running, CALL), NoteWithheld)
    assert len(notes) == 2


def test_a_doctor_who_joins_one_pass_later_stops_the_recording_of_the_other() -> None:
    running = calls()
    offer(running, "+31612345678", "+31201234567", call=OTHER)
    recorded(running)
    changed = CallDisturbed(OTHER, Disturbance.IDENTITY_CHANGED, named("callee", "250"))
    assert [it.level for it in of_kind(list(running.on_event(changed, ANSWER)), Tap)] == ["none"]


UNREADABLE = (Disturbance.UNREADABLE,)


def test_who_cannot_be_read_in_one_pass_may_be_the_doctor_in_the_other() -> None:
    """A PBX may write another name for the second pass than the one that the phone had mangled."""
    running = calls()
    running.on_event(replace(offered("anybody", "201"), disturbances=UNREADABLE), START)
    assert not of_kind(offer(running, "+31612345678", "201", call=OTHER, side=Side.PBX), OpenMedia)
    end(running, CALL)
    (note,) = of_kind(end(running, OTHER), NoteOutcome)
    assert (note.outcome, note.reasons[0]) == ("suppressed", "disturbed")


def test_who_cannot_be_read_later_in_one_pass_stops_the_recording_of_the_other() -> None:
    running = calls()
    offer(running, "+31612345678", "+31201234567", call=OTHER)
    recorded(running)
    changed = CallDisturbed(OTHER, Disturbance.UNREADABLE, ())
    assert [it.level for it in of_kind(list(running.on_event(changed, ANSWER)), Tap)] == ["none"]


def test_an_internal_call_that_comes_back_anonymous_stays_internal() -> None:
    running = calls()
    offer(running, "230", "201")
    event = replace(offered("anonymous", "201", Side.PBX), call=OTHER, anonymous=True)
    assert list(running.on_event(event, START)) == [Forward(OTHER, 0, None)]


def test_a_customer_registered_through_us_who_calls_the_business_line_is_recorded() -> None:
    running = calls()
    offer(running, "+31612345678", "+31201234567")
    assert of_kind(offer(running, "+31612345678", "201", call=OTHER, side=Side.PBX), OpenMedia)


def test_an_offer_that_names_a_port_of_ours_is_another_pass_only_if_we_gave_it() -> None:
    """A phone could write one, mend it in a re-INVITE, and be neither recorded nor missed."""
    running = calls()
    (asked,) = of_kind(offer(running, "201", "+31612345678"), OpenMedia)
    running.media_opened(CALL, asked.session, PORTS)
    for call, port, noted in ((OTHER, PORTS[1], []), ("e" * 32, 20500, ["failed"])):
        event = offered("201", "+31612345678", call=call, already_anchored=True)
        running.on_event(replace(event, description=description("192.0.2.10", port)), START)
        outcomes = of_kind(end(running, call), NoteOutcome)
        assert [it.outcome for it in outcomes] == noted
    assert "claims-our-ports" in outcomes[0].reasons
    end(running, CALL)
    event = offered("201", "+31612345678", call=OTHER, already_anchored=True)
    running.on_event(replace(event, description=description("192.0.2.10", PORTS[1])), START)
    assert of_kind(end(running, OTHER), NoteOutcome)


def test_another_conversation_is_not_concerned() -> None:
    running = calls()
    offer(running, "201", "250")
    event = replace(offered("201", "+31612345678"), call=OTHER, conversation="e" * 32)
    event = replace(event, description=description("192.0.2.31", 4002))
    assert of_kind(list(running.on_event(event, START)), OpenMedia)


def test_ports_that_come_after_the_call_has_gone_are_given_back() -> None:
    running = calls()
    (asked,) = acts(offer(running, "201", "+31612345678"))
    end(running, CALL)
    assert running.media_opened(CALL, asked.session, PORTS) == [CloseMedia(asked.session)]


def test_ports_that_were_asked_for_under_another_number_are_given_back() -> None:
    running = calls()
    (asked,) = of_kind(offer(running, "201", "+31612345678"), OpenMedia)
    assert running.media_opened(CALL, asked.session + 1, PORTS) == [CloseMedia(asked.session + 1)]
    assert of_kind(list(running.media_opened(CALL, asked.session, PORTS)), Forward)


def test_where_no_ports_were_left_a_port_of_ours_is_nobodys() -> None:
    running = calls()
    (asked,) = of_kind(offer(running, "201", "+31612345678"), OpenMedia)
    running.media_opened(CALL, asked.session, None)
    claimed = offered("201", "+31612345679", call=OTHER, conversation=OTHER, already_anchored=True)
    assert of_kind(list(running.on_event(claimed, START)), Forward)


def test_a_call_is_forgotten_when_its_recordings_are_sealed() -> None:
    running = calls()
    recorded(running)
    assert of_kind(end(running, CALL), NoteOutcome) == [] and len(running) == 1
    notes = running.on_capture({"event": "sealed", "recording": ids(16).hex()})
    assert of_kind(list(notes), NoteOutcome) and len(running) == 0


def test_events_of_unknown_calls_are_ignored() -> None:
    running = calls()
    events = (CallAnswered(CALL, ANSWER, "t", ()), MediaNegotiated(CALL, "t", None, None, True, frozenset()))
    assert [running.on_event(it, ANSWER) for it in events] == [[], []]


def test_a_call_that_could_not_be_judged_is_recorded_no_more_and_goes_on() -> None:
    running = calls()
    recorded(running)
    effects = running.abandon(CALL, ANSWER)
    assert [it.level for it in of_kind(list(effects), Tap)] == ["none"]
    assert running.on_event(answered(), ANSWER) == []
    assert of_kind(end(running, CALL), CloseMedia)
    (note,) = of_kind(list(running.on_capture({"event": "sealed", "recording": ids(16).hex()})), NoteOutcome)
    assert note.outcome == "failed" and "internal-error" in note.reasons


def test_taps_that_the_broker_has_shut_are_opened_again_for_recordings_only() -> None:
    running = calls()
    recorded(running)
    (asked,) = of_kind(offer(running, "201", "+31612345679", call=OTHER), OpenMedia)
    running.media_opened(OTHER, asked.session, PORTS)
    assert [it.level for it in of_kind(list(running.on_media_back(ANSWER)), Tap)] == ["all"]
    assert len(running.numbers()) == 2


def test_of_a_running_private_call_nothing_is_shown() -> None:
    running = calls()
    offer(running, "201", "*310612345678")
    assert running.summaries() == []


def test_a_call_from_before_a_restart_keeps_its_media_and_is_never_recorded_again() -> None:
    running = calls()
    media = Anchor(("192.0.2.10", PORTS[0]), ("192.0.2.10", PORTS[1]), 7)
    assert running.on_event(CallRestored(CALL, media), START) == [Tap(7, "none")]
    assert running.numbers() == [7]
    assert running.summaries() == []
    said = [*running.on_event(negotiated(), ANSWER), *running.on_event(answered(), ANSWER)]
    assert {type(it) for it in said} == {SetRemote}
    assert [it.session for it in of_kind(said, SetRemote)] == [7, 7]
    assert end(running, CALL) == [CloseMedia(7)]
    assert (running.numbers(), len(running)) == ([], 0)


def test_a_call_from_before_a_restart_whose_media_is_not_ours_needs_nothing() -> None:
    running = calls()
    assert running.on_event(CallRestored(CALL, None), START) == []
    assert running.on_event(negotiated(), ANSWER) == end(running, CALL) == []


def test_a_new_exclusion_that_only_one_pass_shows_stops_the_recording_of_the_other() -> None:
    running = calls()
    recorded(running)
    offer(running, "+31201230000", "201", call=OTHER, side=Side.PBX)
    scheme = parse(CONFIGURATION.replace('"250"', '"250", "+31201230000"'), "test.toml", Path("/")).scheme()
    effects = running.on_policy(policy(rules=compile_rules(scheme)), ANSWER)
    assert [it.level for it in of_kind(effects, Tap)] == ["none"]
