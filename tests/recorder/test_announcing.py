"""The outside party is told first (KSF 6.6): what a session lets be played, and when recording begins."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from recorder.decision import Doubt
from recorder.effects import NoteOutcome, Play, StopPlaying, Tap, TellCapture
from recorder.policy import Announcement
from recorder.said import Heard
from recorder.session import Session
from sip_hooks.events import CallDisturbed, CallEnded, Disturbance, MediaNegotiated, Side
from sip_hooks.identity import Identity
from tests.recorder.schemes import CONFIGURATION
from tests.recorder.test_session import (
    ANSWER,
    CALL,
    END,
    PORTS,
    answered,
    description,
    named,
    negotiated,
    of_kind,
    offered,
    policy,
    session,
)

FILE, OTHER = "ab" * 32, "cd" * 32
EXEMPT = 'announcement_exemption = "told by the welcome message"\n'
TOLD = CONFIGURATION.replace(EXEMPT, f'announcement = "nl.wav"\nannouncement_sha256 = "{FILE}"\n')
SECOND = TOLD[TOLD.index("[purposes.coaching]") : TOLD.index("[[lines]]")].replace("coaching", "assessment")
CALLER, CALLEE = ("192.0.2.31", 4000), ("192.0.2.20", 6000)
LATER = ANSWER + timedelta(seconds=7)
NEXT = "+31687654321"


def two(second: str) -> str:
    """The same line for a second purpose."""
    lines = TOLD.replace('purposes = ["coaching"]', 'purposes = ["coaching", "assessment"]')
    return lines.replace(
        "[[lines]]", SECOND.replace(f'announcement_sha256 = "{FILE}"\n', second) + "[[lines]]"
    )


def begun(text: str = TOLD, **announcements: Announcement) -> tuple[Session, list[Any]]:
    """A call of the agent to a customer up to the answer, and what follows from it."""
    known = {"coaching": Announcement(FILE, True)} | announcements
    made: Session = session(offered("201", "+31612345678"), policy(text, announcements=known))
    made.begin()
    made.media_opened(PORTS)
    made.on_event(negotiated(), ANSWER)
    return made, made.on_event(answered(), ANSWER)


def heard(file: str = FILE, until: datetime = LATER) -> Heard:
    return Heard(file, until - timedelta(seconds=6), until - timedelta(milliseconds=300))


def orders(effects: list[Any]) -> list[dict[str, Any]]:
    return [it.message for it in of_kind(effects, TellCapture) if it.message["op"] != "listen"]


def says(name: str) -> CallDisturbed:
    """Since the answer a header names this party."""
    who = (Identity("callee", "p-asserted-identity", name, f"{name}@pbx.example"),)
    return CallDisturbed(CALL, Disturbance.IDENTITY_CHANGED, who)


def test_after_the_answer_both_hear_it_and_nothing_is_recorded_until_its_end() -> None:
    made, effects = begun()
    (play,) = of_kind(effects, Play)
    assert (play.call, play.number, play.sha256) == (CALL, 1, FILE)
    assert [(it.side, it.place, it.codecs, it.key) for it in play.hearers] == [
        ("b", CALLEE, ((8, "PCMA", 8000),), None),
        ("a", CALLER, ((8, "PCMA", 8000),), None),
    ]
    assert not orders(effects) and not of_kind(effects, Tap)
    assert made.summary()["state"] == "announcing"
    effects = made.on_announced(play.number, heard(), LATER)
    (begin,) = orders(effects)
    assert begin["recordings"][0]["started_at"] == LATER.isoformat()
    proof = (FILE, heard().began.isoformat(), heard().ended.isoformat())
    assert begin["recordings"][0]["announcements"] == [proof]
    assert [it.level for it in of_kind(effects, Tap)] == ["all"]
    assert made.summary()["state"] == "recording"


def test_the_agent_is_left_out_where_the_scheme_says_so() -> None:
    _, effects = begun(coaching=Announcement(FILE, False))
    assert [it.side for it in of_kind(effects, Play)[0].hearers] == ["b"]


def test_of_an_inbound_call_the_caller_is_the_outside_party() -> None:
    announcements = {"coaching": Announcement(FILE, False)}
    made = session(offered("+31612345678", "201", Side.PBX), policy(TOLD, announcements=announcements))
    made.begin()
    made.media_opened(PORTS)
    made.on_event(negotiated(), ANSWER)
    effects = made.on_event(replace(answered(), identities=named("callee", "201")), ANSWER)
    assert [it.side for it in of_kind(effects, Play)[0].hearers] == ["a"]


@pytest.mark.parametrize("cause", [Disturbance.HOLD, Disturbance.REFER, Disturbance.JOIN])
def test_what_comes_in_between_ends_it_and_that_party_is_never_recorded(cause: Disturbance) -> None:
    made, effects = begun()
    (play,) = of_kind(effects, Play)
    effects = made.on_event(CallDisturbed(CALL, cause, ()), LATER)
    assert of_kind(effects, StopPlaying) == [StopPlaying(play.session)]
    assert not orders(effects + made.on_announced(play.number, heard(), LATER))
    for doubt in Doubt:
        effects += made.settle(doubt, LATER)
    assert not orders(effects) and len(of_kind(effects, Play)) == 0
    assert ended(made).outcome == "suppressed"


@pytest.mark.parametrize("port", [4000, 4002])
def test_other_media_ends_it_and_a_refresh_does_not(port: int) -> None:
    made, effects = begun()
    (play,) = of_kind(effects, Play)
    again = MediaNegotiated(
        CALL, "t", description(CALLER[0], port).end, description(*CALLEE).end, True, frozenset()
    )
    effects = made.on_event(again, LATER)
    is_same = port == CALLER[1]
    assert bool(of_kind(effects, StopPlaying)) != is_same
    assert bool(orders(made.on_announced(play.number, heard(), LATER))) == is_same


def ended(made: Session) -> NoteOutcome:
    (note,) = of_kind(made.on_event(CallEnded(CALL, END, "bye", 200), END), NoteOutcome)
    assert isinstance(note, NoteOutcome)
    return note


def test_a_hang_up_during_it_leaves_nothing_but_the_reason() -> None:
    made, effects = begun()
    note = ended(made)
    assert (note.outcome, note.purposes) == ("suppressed", ())
    assert note.became == {"coaching": ("suppressed", ("outside-party-not-told-yet",))}
    assert made.on_announced(of_kind(effects, Play)[0].number, heard(), END) == []


def test_one_that_could_not_be_played_is_not_tried_again_and_the_ledger_says_why() -> None:
    made, effects = begun()
    effects = made.on_announced(of_kind(effects, Play)[0].number, "announcement-failed", LATER)
    assert not of_kind(effects, Play) and not orders(effects)
    assert ended(made).became["coaching"] == (
        "suppressed",
        ("announcement-blocked", "announcement-failed"),
    )


def test_without_a_codec_in_common_nothing_is_played() -> None:
    known = {"coaching": Announcement(FILE, True)}
    made = session(offered("201", "+31612345678"), policy(TOLD, announcements=known))
    made.begin()
    made.media_opened(PORTS)
    caller, callee = description(*CALLER).end, description(*CALLEE, codec=0, name="PCMU").end
    made.on_event(MediaNegotiated(CALL, "t", caller, callee, True, frozenset()), ANSWER)
    assert not of_kind(made.on_event(answered(), ANSWER), Play)


def test_a_new_outside_party_hears_it_before_anything_of_it_is_kept() -> None:
    made, effects = begun()
    made.on_announced(of_kind(effects, Play)[0].number, heard(), LATER)
    effects = made.on_event(says(NEXT), LATER)
    assert [it["op"] for it in orders(effects)] == ["pause"]
    (play,) = of_kind(effects, Play)
    assert made.summary()["state"] == "paused"
    again = heard(until=LATER + timedelta(seconds=10))
    effects = made.on_announced(play.number, again, LATER + timedelta(seconds=10))
    (resumed,) = orders(effects)
    (told,) = resumed["announcements"].values()
    assert (resumed["op"], len(told)) == ("resume", 2)
    assert told[1] == (FILE, again.began.isoformat(), again.ended.isoformat())
    assert made.on_event(says(NEXT), END) == []


def test_who_comes_in_while_it_is_played_hears_it_from_the_beginning() -> None:
    made, effects = begun()
    (first,) = of_kind(effects, Play)
    effects = made.on_event(says(NEXT), LATER)
    (second,) = of_kind(effects, Play)
    assert [type(it) for it in effects if isinstance(it, Play | StopPlaying)] == [StopPlaying, Play]
    assert not orders(made.on_announced(first.number, heard(), LATER))
    assert orders(made.on_announced(second.number, heard(), LATER))


def test_who_comes_in_and_is_known_to_nobody_hears_nothing_and_is_not_recorded() -> None:
    made, _ = begun()
    effects = made.on_event(says("queue"), LATER)
    assert of_kind(effects, StopPlaying) and not of_kind(effects, Play)
    (play,) = of_kind(made.on_event(says(NEXT), LATER), Play)
    assert orders(made.on_announced(play.number, heard(), LATER))


def test_a_new_outside_party_that_hears_it_only_in_part_ends_the_recording() -> None:
    made, effects = begun()
    made.on_announced(of_kind(effects, Play)[0].number, heard(), LATER)
    (play,) = of_kind(made.on_event(says(NEXT), LATER), Play)
    effects = made.on_announced(play.number, "announcement-failed", LATER)
    assert [it["op"] for it in orders(effects)] == ["taint"]


def test_a_call_that_is_kept_out_meanwhile_is_quiet_again() -> None:
    made, _ = begun()
    assert of_kind(made.withhold(LATER), StopPlaying)
    made, _ = begun()
    assert of_kind(made.abandon(LATER), StopPlaying)


def test_two_purposes_with_one_file_are_told_once() -> None:
    text = two(f'announcement_sha256 = "{FILE}"\n')
    made, effects = begun(text, assessment=Announcement(FILE, True))
    (play,) = of_kind(effects, Play)
    (begin,) = orders(made.on_announced(play.number, heard(), LATER))
    assert {it["purpose"] for it in begin["recordings"]} == {"coaching", "assessment"}


def test_two_files_are_played_one_after_the_other_and_proved_each_in_its_own_clip() -> None:
    text = two(f'announcement_sha256 = "{OTHER}"\n')
    made, effects = begun(text, assessment=Announcement(OTHER, True))
    (first,) = of_kind(effects, Play)
    effects = made.on_announced(first.number, heard(), LATER)
    (second,) = of_kind(effects, Play)
    assert (first.sha256, second.sha256) == (FILE, OTHER)
    assert not orders(effects)
    (begin,) = orders(made.on_announced(second.number, heard(OTHER, END), END))
    proved = {it["purpose"]: [proof[0] for proof in it["announcements"]] for it in begin["recordings"]}
    assert proved == {"coaching": [FILE], "assessment": [OTHER]}


def test_while_it_is_played_nothing_is_recorded_for_another_purpose_either() -> None:
    text = two(EXEMPT).replace('announcement = "nl.wav"\n' + EXEMPT, EXEMPT)
    made, effects = begun(text)
    (play,) = of_kind(effects, Play)
    assert not orders(effects)
    effects = made.on_announced(play.number, "announcement-failed", LATER)
    (begin,) = orders(effects)
    assert [it["purpose"] for it in begin["recordings"]] == ["assessment"]


def test_who_asks_on_demand_lets_it_be_played_first() -> None:
    made, effects = begun(TOLD.replace('"Coaching"', '"Coaching"\nmode = "on-demand"'))
    assert not of_kind(effects, Play)
    answer = made.request(["coaching"], LATER)
    assert answer.recorded == ("coaching",)
    (play,) = of_kind(answer.effects, Play)
    assert orders(made.on_announced(play.number, heard(until=END), END))


def test_a_file_of_which_nothing_is_known_is_not_recorded() -> None:
    unknown = TOLD.replace(f'announcement_sha256 = "{FILE}"\n', "")
    made = session(offered("201", "+31612345678"), policy(unknown))
    made.begin()
    assert made.summary()["by_purpose"] == {"coaching": ["announcement-unavailable", "not-answered"]}
