"""One call's session: which effects follow from which events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recorder.config import parse
from recorder.effects import (
    CloseMedia,
    Effect,
    Forward,
    KeepInMind,
    NoteOutcome,
    NoteWithheld,
    OpenMedia,
    SetRemote,
    Tap,
    TellCapture,
)
from recorder.facts import Lots
from recorder.policy import Policy
from recorder.rules import compile_rules
from recorder.session import Session
from sip_hooks.events import (
    Anchor,
    CallAnswered,
    CallDisturbed,
    CallEnded,
    CallOffered,
    CallProgressed,
    Disturbance,
    MediaNegotiated,
    PassedUntouched,
    Side,
)
from sip_hooks.identity import Identity
from sip_hooks.sdp import describe
from tests.recorder.schemes import CONFIGURATION

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
ANSWER, END = START + timedelta(seconds=8), START + timedelta(seconds=68)
CALL = "c" * 32
PORTS = (20000, 20002)
SDP = (
    "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP {codec}\r\na=rtpmap:{codec} {name}/8000\r\n"
)


def description(address: str, port: int, codec: int = 8, name: str = "PCMA") -> Any:
    return describe(SDP.format(address=address, port=port, codec=codec, name=name).encode())


def policy(text: str = CONFIGURATION, **changes: Any) -> Policy:
    scheme = parse(text, "test.toml", Path("/")).scheme()
    retention = {it.name: it.retention for it in scheme.purposes}
    made = Policy(compile_rules(scheme), True, "ab" * 32, retention, timedelta(seconds=2), {4: "192.0.2.10"})
    return replace(made, feature_codes=scheme.feature_codes, **changes)


def ids(count: int) -> bytes:
    return bytes(range(1, count + 1))


def lowest(below: int) -> int:
    """The lot that is in every sample."""
    return 0


def highest(below: int) -> int:
    """The lot that is in none."""
    return below - 1


def named(role: Any, *names: str) -> tuple[Identity, ...]:
    header = "from" if role == "caller" else "to"
    return tuple(Identity(role, header, name, f"{name}@pbx.example") for name in names)


def offered(caller: str, callee: str, from_side: Side = Side.PHONES, **changes: Any) -> CallOffered:
    event = CallOffered(
        call=CALL,
        at=START,
        from_side=from_side,
        identities=(
            Identity("callee", "request-uri", callee, f"{callee}@192.0.2.31"),
            *named("caller", caller),
            *named("callee", callee),
        ),
        anonymous=False,
        dialled=callee,
        description=description("192.0.2.31", 4000),
        conversation="f" * 32,
        already_anchored=False,
        disturbances=(),
        families=(4, 4),
    )
    return replace(event, **changes)


def session(event: CallOffered, in_force: Policy | None = None, draw: Any = lowest) -> Any:
    return Session(event, in_force or policy(), ids, Lots(draw))


def anchored(event: CallOffered | None = None) -> Any:
    """A call of the agent to a customer whose ports are open and whose media is known."""
    made = session(event or offered("201", "+31612345678"))
    made.begin()
    made.media_opened(PORTS)
    return made


def negotiated(answered: bool = True, codec: int = 8, name: str = "PCMA") -> MediaNegotiated:
    caller = description("192.0.2.31", 4000, codec, name).end
    callee = description("192.0.2.20", 6000, codec, name).end
    return MediaNegotiated(CALL, "t", caller, callee, answered, frozenset())


def answered() -> CallAnswered:
    return CallAnswered(CALL, ANSWER, "t", named("callee", "+31612345678"))


def recording() -> Any:
    made = anchored()
    made.on_event(negotiated(), ANSWER)
    made.on_event(answered(), ANSWER)
    return made


def of_kind(effects: list[Effect], kind: type) -> list[Any]:
    return [it for it in effects if isinstance(it, kind)]


def acts(effects: list[Effect]) -> list[Any]:
    """What is done, without what is kept in mind."""
    return [it for it in effects if not isinstance(it, KeepInMind)]


def test_a_business_call_is_anchored_at_its_first_offer() -> None:
    made = session(offered("201", "+31612345678"))
    (effect,) = acts(made.begin())
    assert isinstance(effect, OpenMedia)
    assert made.media_opened(PORTS) == [
        Forward(CALL, 0, Anchor(("192.0.2.10", PORTS[0]), ("192.0.2.10", PORTS[1]), effect.session))
    ]


@pytest.mark.parametrize(
    ("caller", "callee", "strip"),
    [
        ("201", "250", 0),  # company doctor
        ("201", "*310612345678", 3),  # private prefix
        ("231", "+31612345678", 0),  # unlisted extension
        ("201", "202", 0),  # internal
        ("201", "112", 0),  # emergency
    ],
)
def test_a_call_that_is_certainly_excluded_keeps_its_media_to_itself(
    caller: str, callee: str, strip: int
) -> None:
    assert acts(session(offered(caller, callee)).begin()) == [Forward(CALL, strip, None)]


def test_without_the_councils_approval_media_is_not_touched() -> None:
    made = session(offered("201", "+31612345678"), policy(approved=False))
    assert acts(made.begin()) == [Forward(CALL, 0, None)]
    (note,) = made.on_event(CallEnded(CALL, END, "bye", 200), END)
    assert isinstance(note, NoteOutcome)
    assert (note.outcome, note.reasons[0]) == ("suppressed", "scheme-not-approved")


def test_recording_begins_at_the_answer_and_not_before() -> None:
    made = anchored()
    early = made.on_event(negotiated(answered=False), START)
    assert of_kind(early, Tap) == [] and of_kind(early, TellCapture) == []
    effects = made.on_event(answered(), ANSWER)
    begin, tap = effects
    assert isinstance(begin, TellCapture) and begin.message["op"] == "begin"
    assert tap == Tap(begin.message["session"], "all")
    (plan,) = begin.message["recordings"]
    assert (plan["purpose"], plan["line"], plan["agent"]) == ("coaching", "service", "a-1041")
    assert plan["deadline_day"] == "2026-03-30"
    assert begin.message["agent_side"] == "a"
    assert begin.message["parties"] == {"agent": "201", "outside": "+31612345678"}


def test_the_deadline_counts_from_the_start_of_the_call() -> None:
    late = datetime(2026, 3, 1, 23, 59, 50, tzinfo=UTC)
    made = anchored(offered("201", "+31612345678", at=late))
    made.on_event(negotiated(), late)
    effects = made.on_event(replace(answered(), at=late + timedelta(seconds=30)), late)
    (plan,) = of_kind(effects, TellCapture)[0].message["recordings"]
    assert date.fromisoformat(plan["deadline_day"]) == date(2026, 3, 30)


def test_both_ends_are_made_known_to_the_relay_before_the_answer() -> None:
    first, second = of_kind(anchored().on_event(negotiated(), ANSWER), SetRemote)
    assert (first.side, first.remotes, first.final) == ("a", (("192.0.2.31", 4000, 4001),), True)
    assert (second.side, second.remotes, second.final) == ("b", (("192.0.2.20", 6000, 6001),), True)


def test_an_early_fork_keeps_every_source_until_one_wins() -> None:
    made = anchored()
    other = replace(negotiated(answered=False), to_tag="u", callee=description("192.0.2.22", 7000).end)
    made.on_event(negotiated(answered=False), START)
    (both,) = [it for it in of_kind(made.on_event(other, START), SetRemote) if it.side == "b"]
    assert len(both.remotes) == 2 and not both.final
    won = replace(other, answered=True)
    (winner,) = [it for it in of_kind(made.on_event(won, ANSWER), SetRemote) if it.side == "b"]
    assert winner.remotes == (("192.0.2.22", 7000, 7001),) and winner.final


def test_a_second_answer_does_not_take_the_media_from_the_first() -> None:
    made = recording()
    second = replace(negotiated(), to_tag="u", callee=description("192.0.2.22", 7000).end)
    (both,) = [it for it in of_kind(made.on_event(second, ANSWER), SetRemote) if it.side == "b"]
    assert both.remotes[-1] == ("192.0.2.20", 6000, 6001) and not both.final


FOR_GOOD = (
    *(Disturbance.JOIN, Disturbance.SECOND_ANSWER, Disturbance.AUTH_INT, Disturbance.UNANCHORED),
    *(Disturbance.UNREADABLE, Disturbance.INFO),
)


@pytest.mark.parametrize("cause", FOR_GOOD)
def test_what_cannot_be_made_good_stops_the_recording_for_good(cause: Disturbance) -> None:
    made = recording()
    tap, taint = made.on_event(CallDisturbed(CALL, cause, ()), ANSWER)
    assert isinstance(tap, Tap) and tap.level == "none"
    assert isinstance(taint, TellCapture) and taint.message["op"] == "taint"
    again = made.on_event(negotiated(), ANSWER) + made.on_event(answered(), ANSWER)
    assert of_kind(again, Tap) == []


def test_a_doctor_who_turns_up_later_stops_the_recording() -> None:
    made = recording()
    effects = made.on_event(CallDisturbed(CALL, Disturbance.IDENTITY_CHANGED, named("callee", "250")), ANSWER)
    assert [it.message["op"] for it in of_kind(effects, TellCapture)] == ["taint"]
    made.on_capture({"event": "sealed", "recording": made.recordings()[0]})
    assert of_kind(made.on_event(CallEnded(CALL, END, "bye", 200), END), NoteWithheld) == [
        NoteWithheld(END.date(), "privileged")
    ]


def test_a_withdrawal_of_the_approval_stops_a_running_recording() -> None:
    effects = recording().on_policy(policy(approved=False), ANSWER)
    assert [it.message["op"] for it in of_kind(effects, TellCapture)] == ["taint"]


def test_no_approval_that_comes_later_starts_a_recording_of_an_unanchored_call() -> None:
    made = session(offered("201", "+31612345678"), policy(approved=False))
    made.begin()
    effects = made.on_policy(policy(), START) + made.on_event(answered(), ANSWER)
    assert effects == []
    (note,) = made.on_event(CallEnded(CALL, END, "bye", 200), END)
    assert note.outcome == "failed" and "not-anchored" in note.reasons


def test_the_end_of_the_call_seals_and_gives_the_ports_back() -> None:
    made = recording()
    effects = made.on_event(CallEnded(CALL, END, "bye", 200), END)
    assert [type(it) for it in effects] == [Tap, TellCapture, CloseMedia]
    assert effects[1].message["op"] == "finish"
    assert not made.is_over
    (note,) = made.on_capture({"event": "sealed", "recording": made.recordings()[0], "clip": "d" * 32})
    assert (note.outcome, note.purposes, note.seconds) == ("recorded", ("coaching",), 60.0)
    assert made.is_over


def test_a_capture_that_is_started_anew_begins_nothing_in_a_call_that_is_over() -> None:
    made = recording()
    made.on_event(CallEnded(CALL, END, "bye", 200), END)
    assert of_kind(made.on_capture_back(True), TellCapture) == []


def test_a_recording_that_failed_is_told_as_failed() -> None:
    made = recording()
    made.on_capture({"event": "failed", "recording": made.recordings()[0], "reason": "no-day-key"})
    notes = of_kind(made.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome)
    assert notes[0].outcome == "failed" and "no-day-key" in notes[0].reasons


def test_a_restarted_capture_goes_on_in_a_new_part() -> None:
    made = recording()
    recording_id = made.recordings()[0]
    made.on_capture({"event": "opened", "recording": recording_id, "clip": "d" * 32, "part": 1})
    (begin,) = made.on_capture_back(is_restarted=True)
    (plan,) = begin.message["recordings"]
    assert (plan["part"], plan["previous"], plan["recording"]) == (2, "d" * 32, recording_id)


def test_the_next_part_follows_the_one_that_capture_has_opened_whichever_was_ordered() -> None:
    made = recording()
    made.on_capture({"event": "opened", "recording": made.recordings()[0], "clip": "d" * 32, "part": 2})
    (begin,) = made.on_capture_back(is_restarted=True)
    assert begin.message["recordings"][0]["part"] == 3


def test_a_capture_that_was_only_out_of_reach_goes_on_with_the_same_part() -> None:
    made = recording()
    made.on_capture({"event": "opened", "recording": made.recordings()[0], "clip": "d" * 32, "part": 1})
    (begin,) = made.on_capture_back(is_restarted=False)
    assert begin.message["recordings"][0]["part"] == 1


def test_what_a_losing_fork_says_permits_nothing() -> None:
    made = anchored(offered("201", "sales"))
    ringing = CallProgressed(CALL, "x", 180, named("callee", "+31612345678"))
    made.on_event(ringing, START)
    made.on_event(negotiated(), ANSWER)
    assert of_kind(made.on_event(replace(answered(), identities=()), ANSWER), Tap) == []


def test_a_phone_that_answers_with_the_callers_contact_is_not_taken_for_the_caller() -> None:
    echo = (Identity("callee", "contact", "201", "201@pbx.example"),)
    made = anchored()
    made.on_event(negotiated(), ANSWER)
    effects = made.on_event(replace(answered(), identities=answered().identities + echo), ANSWER)
    assert [it.level for it in of_kind(effects, Tap)] == ["all"]


def test_without_media_ports_the_call_goes_on_and_is_told_as_failed() -> None:
    made = session(offered("201", "+31612345678"))
    made.begin()
    assert made.media_opened(None) == [Forward(CALL, 0, None)]
    made.on_event(answered(), ANSWER)
    (note,) = made.on_event(CallEnded(CALL, END, "bye", 200), END)
    assert note.outcome == "failed" and "no-media-ports" in note.reasons


def test_a_call_that_went_on_untouched_is_never_half_recorded() -> None:
    made = session(offered("201", "+31612345678"))
    (asked,) = acts(made.begin())
    made.media_opened(PORTS)
    assert made.on_event(PassedUntouched(CALL), START) == [CloseMedia(asked.session)]
    assert made.on_event(answered(), ANSWER) == []


def test_a_codec_that_cannot_be_kept_is_relayed_and_not_recorded() -> None:
    made = anchored()
    made.on_event(negotiated(codec=4, name="G723"), ANSWER)
    assert made.on_event(answered(), ANSWER) == []
    notes = of_kind(made.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome)
    assert notes[0].outcome == "failed" and "codec" in notes[0].reasons


def test_of_a_private_call_nothing_is_left_but_a_count_of_the_day() -> None:
    made = session(offered("201", "*310612345678"))
    made.begin()
    made.on_event(answered(), ANSWER)
    assert made.on_event(CallEnded(CALL, END, "bye", 200), END) == [NoteWithheld(END.date(), "private")]
    assert "0612345678" not in repr(made.summary())


def test_a_call_on_no_flagged_line_leaves_nothing() -> None:
    made = session(offered("231", "+31612345678"))
    made.begin()
    assert made.on_event(CallEnded(CALL, END, "bye", 200), END) == []


def test_an_inbound_call_to_the_business_number_is_recorded_with_the_agent_on_side_b() -> None:
    event = offered("+31612345678", "201", Side.PBX)
    made = anchored(event)
    made.on_event(negotiated(), ANSWER)
    effects = made.on_event(replace(answered(), identities=named("callee", "201")), ANSWER)
    assert of_kind(effects, TellCapture)[0].message["agent_side"] == "b"


def test_one_identifier_is_the_calls_on_the_screen_in_its_recordings_and_in_the_ledger() -> None:
    made = recording()
    (begin,) = of_kind(made.on_capture_back(is_restarted=False), TellCapture)
    made.on_capture({"event": "sealed", "recording": made.recordings()[0]})
    (note,) = of_kind(made.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome)
    assert {made.summary()["call"], begin.message["recordings"][0]["call"], note.call} == {made.id}
    assert len(bytes.fromhex(made.id)) == 16
