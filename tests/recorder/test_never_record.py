"""One leg, row by row of what happens on the phone side: when it pauses, goes on, and ends for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from recorder.decision import Doubt
from recorder.effects import NoteOutcome, Tap, TellCapture
from recorder.leg import TABLE, Phase, Word
from sip_hooks.events import (
    CallDisturbed,
    CallEnded,
    CallProgressed,
    Disturbance,
    Event,
    MediaKept,
    MediaNegotiated,
    Side,
    TransferEnded,
)
from sip_hooks.identity import Identity
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

REFER = CallDisturbed(CALL, Disturbance.REFER, ())
PAUSED, WENT_ON, ENDED = ["none", "pause"], ["resume", "all"], ["none", "taint"]


def did(effects: list[Any]) -> list[str]:
    """What tap and capture are told, in order."""
    told: dict[type, Callable[[Any], str]] = {
        Tap: lambda it: it.level,
        TellCapture: lambda it: it.message["op"],
    }
    return [word for it in effects if type(it) in told and (word := told[type(it)](it)) != "codecs"]


def after(*events: Event, call: Any = None) -> list[str]:
    """What the last of these does to a call that is recorded."""
    made = call or recording()
    effects: list[Any] = []
    for event in events:
        effects = made.on_event(event, ANSWER)
    return did(effects)


def held(caller: str, callee: str) -> MediaNegotiated:
    event = negotiated()
    assert event.caller and event.callee
    return replace(
        event, caller=replace(event.caller, direction=caller), callee=replace(event.callee, direction=callee)
    )


def says(header: str, name: str, role: Any = "callee") -> CallDisturbed:
    identity = Identity(role, header, name, f"{name}@pbx.example")
    return CallDisturbed(CALL, Disturbance.IDENTITY_CHANGED, (identity,))


@pytest.mark.parametrize(
    ("caller", "callee"), [("sendonly", "recvonly"), ("inactive", "inactive"), ("sendrecv", "sendonly")]
)
def test_music_on_hold_is_not_kept_and_the_call_goes_on_afterwards(caller: str, callee: str) -> None:
    made = recording()
    assert after(held(caller, callee), call=made) == PAUSED
    assert after(held("sendrecv", "recvonly"), call=made) == []
    assert after(negotiated(), call=made) == WENT_ON
    assert made.summary()["state"] == "recording"


def test_a_hold_pauses_when_it_is_offered_and_is_over_when_it_is_refused() -> None:
    """What is offered is music already; only what is answered is negotiated."""
    offer = CallDisturbed(CALL, Disturbance.HOLD, ())
    assert after(offer) == PAUSED
    assert after(offer, MediaKept(CALL)) == WENT_ON
    assert after(offer, held("sendonly", "recvonly"), MediaKept(CALL)) == []


def test_a_refresh_a_codec_change_and_an_update_change_nobody() -> None:
    assert after(CallDisturbed(CALL, Disturbance.UPDATE, ())) == []
    assert after(negotiated(codec=0, name="PCMU")) == []


MOVES = CallDisturbed(CALL, Disturbance.REINVITE_CHANGED, ())


def moved(side: str, port: int = 7000) -> MediaNegotiated:
    event = negotiated()
    assert event.caller and event.callee
    if side == "caller":
        return replace(event, caller=replace(event.caller, rtp_port=port))
    return replace(event, callee=replace(event.callee, rtp_port=port))


def test_media_that_is_led_elsewhere_by_the_other_side_may_be_somebody_elses() -> None:
    made = recording()
    assert after(MOVES, call=made) == PAUSED
    assert after(moved("callee"), call=made) == []
    assert after(negotiated(), call=made) == WENT_ON


def test_our_own_telephone_may_have_its_media_elsewhere() -> None:
    assert after(MOVES, moved("caller")) == WENT_ON


def test_an_offer_to_lead_media_elsewhere_that_is_refused_is_over() -> None:
    assert after(MOVES, MediaKept(CALL)) == WENT_ON


def test_after_hold_somebody_unknown_may_have_picked_up() -> None:
    made = recording()
    assert after(held("sendonly", "recvonly"), call=made) == PAUSED
    assert after(says("p-asserted-identity", "queue"), negotiated(), call=made) == []
    assert after(says("p-asserted-identity", "+31612345678"), call=made) == WENT_ON


def test_after_hold_a_doctor_is_never_recorded() -> None:
    made = recording()
    after(held("sendonly", "recvonly"), call=made)
    assert after(says("p-asserted-identity", "250"), call=made) == ENDED
    assert after(negotiated(), says("p-asserted-identity", "+31612345678"), call=made) == []


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (says("p-asserted-identity", "250"), ENDED),  # the doctor
        (says("p-asserted-identity", "270"), ENDED),  # one of us
        (says("p-asserted-identity", "250", "caller"), ENDED),
        (says("p-asserted-identity", "202", "caller"), ENDED),  # somebody else of us on our side
        (says("p-asserted-identity", "+31687654321"), []),  # another party outside
        (says("p-asserted-identity", "queue"), PAUSED),  # nobody knows who
        (says("remote-party-id", "queue"), PAUSED),
        (says("contact", "queue"), PAUSED),
        (says("p-asserted-identity", "somebody", "caller"), PAUSED),
        (says("p-asserted-identity", "201", "caller"), []),
        (says("diversion", "queue"), []),  # only tells of a hop
        (says("history-info", "250"), ENDED),  # which must not be the doctor either
    ],
)
def test_whom_a_header_names_later_needs_evidence_of_their_own(event: Event, expected: list[str]) -> None:
    assert after(event) == expected


def test_whoever_was_there_before_may_come_back() -> None:
    made = recording()
    assert after(says("p-asserted-identity", "queue"), call=made) == PAUSED
    assert after(says("remote-party-id", "+31612345678"), call=made) == []  # another header
    assert after(says("p-asserted-identity", "+31612345678"), call=made) == WENT_ON


@pytest.mark.parametrize(
    ("first", "header"),
    [
        ("p-asserted-identity", "p-asserted-identity"),
        ("p-asserted-identity", "p-preferred-identity"),
        ("from", "from"),
    ],
)
def test_a_queue_that_was_there_before_is_still_nobody_when_it_comes_back(first: str, header: str) -> None:
    """Somebody it connected was named in between, by the same header or by another."""
    made = anchored(offered("queue", "201", Side.PBX))
    made.on_event(negotiated(), ANSWER)
    assert after(replace(answered(), identities=()), call=made) == []
    assert after(says(first, "+31612345678", "caller"), call=made) == ["begin", "all"]
    assert after(says(header, "queue", "caller"), call=made) == PAUSED


def test_a_caller_who_goes_on_withholding_who_it_is_is_nobody_new() -> None:
    made = anchored(offered("anonymous", "201", Side.PBX, anonymous=True))
    made.on_event(negotiated(), ANSWER)
    assert after(replace(answered(), identities=()), call=made) == ["begin", "all"]
    assert after(says("p-asserted-identity", "anonymous", "caller"), call=made) == []


def test_a_transfer_suspends_at_the_refer() -> None:
    assert after(REFER) == PAUSED


def test_a_transfer_that_fails_leaves_the_call_as_it_was() -> None:
    assert after(REFER, TransferEnded(CALL, False)) == WENT_ON


def test_a_transfer_that_is_done_is_for_good() -> None:
    made = recording()
    assert after(REFER, TransferEnded(CALL, True), call=made) == ENDED
    assert after(negotiated(), says("p-asserted-identity", "+31612345678"), call=made) == []


def test_a_transfer_to_the_doctor_is_for_good_even_if_it_fails() -> None:
    to = (Identity("callee", "refer-to", "250", "250@pbx.example"),)
    made = recording()
    assert after(CallDisturbed(CALL, Disturbance.REFER, to), call=made) == ENDED
    assert after(TransferEnded(CALL, False), call=made) == []


def test_after_a_failed_transfer_somebody_else_may_be_there() -> None:
    assert after(REFER, says("p-asserted-identity", "queue"), TransferEnded(CALL, False)) == []


def test_hold_during_a_transfer_is_two_doubts() -> None:
    made = recording()
    assert after(held("sendonly", "recvonly"), REFER, TransferEnded(CALL, False), call=made) == []
    assert after(negotiated(), call=made) == WENT_ON


def test_a_call_whose_dialog_is_replaced_is_not_taken_on() -> None:
    assert after(CallDisturbed(CALL, Disturbance.REPLACES, ())) == PAUSED


def test_a_call_that_begins_on_hold_is_recorded_when_both_listen() -> None:
    made = session(offered("201", "+31612345678"))
    made.begin()
    made.media_opened(PORTS)
    assert after(held("sendonly", "recvonly"), answered(), call=made) == []
    assert after(negotiated(), call=made) == ["begin", "all"]


def test_a_paused_call_that_ends_is_sealed_and_stands_as_recorded() -> None:
    made = recording()
    after(held("sendonly", "recvonly"), call=made)
    assert after(CallEnded(CALL, END, "bye", 200), call=made) == ["none", "finish"]
    (note,) = made.on_capture({"event": "sealed", "recording": made.recordings()[0], "seconds": 5.0})
    assert (note.outcome, note.purposes) == ("recorded", ("coaching",))
    assert {"doubtful", "on-hold"} <= set(note.reasons)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (CallDisturbed(CALL, Disturbance.JOIN, ()), "disturbed"),
        (says("p-asserted-identity", "270"), "internal-call"),
    ],
)
def test_what_was_stopped_late_stands_as_recorded_with_the_reason(event: Event, why: str) -> None:
    """Its clip exists: a ledger that calls it suppressed would deny that."""
    made = recording()
    after(event, call=made)
    made.on_capture({"event": "sealed", "recording": made.recordings()[0], "seconds": 5.0})
    (note,) = of_kind(made.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome)
    assert (note.outcome, note.line, note.became["coaching"][0]) == ("recorded", "service", "recorded")
    assert why in note.reasons and why in note.became["coaching"][1]


def test_what_was_stopped_before_anything_was_kept_is_suppressed() -> None:
    made = recording()
    after(CallDisturbed(CALL, Disturbance.JOIN, ()), call=made)
    made.on_capture({"event": "sealed", "recording": made.recordings()[0], "seconds": 0.0})
    (note,) = of_kind(made.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome)
    assert note.outcome == "suppressed"


def test_a_recording_that_capture_gave_up_is_not_running_and_its_tap_is_shut() -> None:
    made = recording()
    effects = made.on_capture({"event": "failed", "recording": made.recordings()[0], "reason": "disk-full"})
    assert did(effects) == ["none"]
    assert (made.summary()["state"], made.summary()["purposes"]) == ("not recorded", [])
    assert after(held("sendonly", "recvonly"), negotiated(), call=made) == []
    assert made.resume_media() == []


def test_taps_of_a_paused_call_stay_shut_when_the_broker_comes_back() -> None:
    made = recording()
    after(REFER, call=made)
    assert made.resume_media() == []
    made.settle(Doubt.TRANSFER, ANSWER)
    assert did(made.resume_media()) == ["all"]


def test_a_capture_that_was_restarted_is_told_that_the_call_is_paused() -> None:
    made = recording()
    after(REFER, call=made)
    assert did(made.on_capture_back(is_restarted=True)) == ["begin", "pause"]


@pytest.mark.parametrize(("phase", "word"), list(product(Phase, Word)))
def test_the_table_keeps_what_a_doubt_or_a_veto_means(phase: Phase, word: Word) -> None:
    then = TABLE[phase][word]
    if phase is Phase.SUPPRESSED or word is Word.NEVER:
        assert then is Phase.SUPPRESSED
    if word is Word.WAIT:
        assert then not in (Phase.RECORDING, Phase.ELIGIBLE)
    if then is Phase.RECORDING:
        assert word is Word.RECORD and phase in (Phase.RECORDING, Phase.PAUSED)


@pytest.mark.parametrize("doubt", list(Doubt))
def test_any_doubt_pauses_until_it_is_settled(doubt: Doubt) -> None:
    made = recording()
    assert did(made.doubt(doubt, ANSWER)) == PAUSED
    assert did(made.settle(doubt, ANSWER)) == WENT_ON


def test_who_was_never_to_be_recorded_is_not_when_a_new_scheme_permits_it_during_the_call() -> None:
    """Also where nothing was recorded yet."""
    made = session(offered("201", "+31612345678"))
    made.begin()
    made.media_opened(PORTS)
    made.on_event(CallProgressed(CALL, "t", 180, (Identity("callee", "diversion", "250", ""),)), ANSWER)
    made.on_policy(policy(CONFIGURATION.replace('numbers = ["250"]', 'numbers = ["251"]')), ANSWER)
    made.on_event(negotiated(), ANSWER)
    assert did(made.on_event(answered(), ANSWER)) == []
