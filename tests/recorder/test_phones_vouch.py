"""Where phones pass here too and the PBX is a proxy, a call on the trunk is vouched for by its own dialog
between PBX and phone: while everything there is certain, and not at once after something has happened.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from recorder.calls import Calls
from recorder.effects import AskForEvidence, Forward, Remind
from recorder.trunk_legs import SETTLED_AFTER
from sip_hooks.events import (
    CallAnswered,
    CallDisturbed,
    CallEnded,
    Disturbance,
    MediaNegotiated,
    Side,
)
from sip_hooks.identity import Identity
from tests.recorder.test_session import (
    ANSWER,
    CALL,
    description,
    ids,
    lowest,
    named,
    negotiated,
    of_kind,
    offered,
    policy,
)
from tests.recorder.test_trunk_calls import said, taps

PHONE, OTHER = "a" * 32, "b" * 32
OURS = ("192.0.2.10", 20002)  # what the trunk's call shows to the PBX
SOON, LATER = ANSWER + SETTLED_AFTER / 2, ANSWER + SETTLED_AFTER + timedelta(seconds=1)


def calls(*, do_phones_vouch: bool = True) -> Calls:
    return Calls(replace(policy(), is_trunk_witnessed=True, do_phones_vouch=do_phones_vouch), ids, lowest)


def from_outside(running: Calls) -> None:
    """A call from the trunk to the business line, whose media passes through us."""
    event = offered("+31612345678", "+31201234567", Side.TRUNK)
    for effect in running.on_event(event, event.at):
        if number := getattr(effect, "session", None):
            running.media_opened(CALL, number, ((20000, OURS[1])))


def to_phone(running: Calls, user: str, call: str = PHONE, **changes: Any) -> list[Any]:
    """The PBX passes it to a phone."""
    event = offered("+31612345678", user, Side.PBX, to_side=Side.PHONES, call=call, already_anchored=True)
    event = replace(event, description=description(*OURS))
    return running.on_event(replace(event, **changes), ANSWER)


def answered(running: Calls, call: str, user: str, to_tag: str = "t", at: datetime = ANSWER) -> list[Any]:
    said = (*named("callee", user), Identity("callee", "contact", user, f"{user}@192.0.2.40:5060"))
    return running.on_event(CallAnswered(call, at, to_tag, said), at)


def connected(running: Calls, user: str = "201", tags: tuple[str, str] = ("t", "t")) -> list[Any]:
    """The call is answered by this phone."""
    from_outside(running)
    to_phone(running, user)
    effects = answered(running, PHONE, user, tags[0])
    effects += running.on_event(negotiated(), ANSWER)
    return effects + answered(running, CALL, user, tags[1])


def recorded() -> Calls:
    running = calls()
    connected(running)
    assert taps(running.on_reminder(CALL, LATER)) == ["all"]
    return running


def test_the_media_of_a_call_that_the_proxy_passes_to_the_phone_passes_through_us_once() -> None:
    running = calls()
    from_outside(running)
    assert of_kind(to_phone(running, "201"), Forward) == [Forward(PHONE, 0, None)]


def test_a_call_that_the_agents_phone_has_answered_is_recorded_a_moment_later() -> None:
    running = calls()
    effects = connected(running)
    assert taps(effects) == []
    (remind,) = {it for it in of_kind(effects, Remind) if it.call == CALL}
    assert timedelta(seconds=remind.seconds) > SETTLED_AFTER
    assert of_kind(effects, AskForEvidence) == []
    assert taps(running.on_reminder(CALL, SOON)) == []
    assert taps(running.on_reminder(CALL, LATER)) == ["all"]


def test_phones_vouch_only_where_that_was_chosen() -> None:
    running = calls(do_phones_vouch=False)
    assert of_kind(connected(running), AskForEvidence)
    assert taps(running.on_reminder(CALL, LATER)) == []


def test_another_policy_takes_nothing_back_that_another_source_has_said() -> None:
    running = calls(do_phones_vouch=False)
    connected(running, tags=("t", "of the PBX"))
    assert taps(said(running, frozenset({"201"}), LATER)) == ["all"]
    assert taps(running.on_policy(running._policy, LATER)) == []


def test_a_phone_that_did_not_answer_this_dialog_vouches_for_nobody() -> None:
    running = calls()
    connected(running, tags=("t", "of the PBX"))
    assert taps(running.on_reminder(CALL, LATER)) == []


def test_a_phone_that_has_not_answered_vouches_for_nobody() -> None:
    running = calls()
    from_outside(running)
    to_phone(running, "201")
    running.on_event(negotiated(), ANSWER)
    answered(running, CALL, "201")
    assert taps(running.on_reminder(CALL, LATER)) == []


@pytest.mark.parametrize("user", ["231", "250", "290"])
def test_a_phone_of_somebody_else_vouches_for_nobody(user: str) -> None:
    running = calls()
    connected(running, user)
    assert taps(running.on_reminder(CALL, LATER)) == []


def test_of_a_dialog_that_two_phones_have_answered_nobody_knows_who_speaks() -> None:
    running = recorded()
    to_phone(running, "201", OTHER)
    assert taps(answered(running, OTHER, "201", at=LATER)) == ["none"]


def test_a_dialog_that_crosses_the_trunk_twice_is_nobodys() -> None:
    running = recorded()
    event = offered("+31612345678", "+31201234567", Side.TRUNK, call=OTHER, already_anchored=True)
    running.on_event(replace(event, description=description(*OURS)), LATER)
    assert taps(answered(running, OTHER, "201", at=LATER)) == ["none"]


@pytest.mark.parametrize(
    "cause",
    [
        Disturbance.REFER,
        Disturbance.REPLACES,
        Disturbance.INFO,
        Disturbance.CONFERENCE,
        Disturbance.UNREADABLE,
    ],
)
def test_a_phone_about_which_there_is_a_doubt_vouches_no_more(cause: Disturbance) -> None:
    running = recorded()
    assert "none" in taps(running.on_event(CallDisturbed(PHONE, cause, ()), LATER))
    assert taps(running.on_reminder(CALL, LATER + timedelta(seconds=9))) == []


def test_where_keys_may_be_codes_of_the_pbx_and_nobody_hears_them_no_phone_vouches() -> None:
    running = recorded()
    assert taps(running.on_policy(replace(running._policy, feature_codes=None), LATER)) == ["none"]


def test_a_phone_that_speaks_with_somebody_unknown_besides_vouches_no_more() -> None:
    running = recorded()
    third = offered("queue", "201", Side.PBX, to_side=Side.PHONES, call=OTHER, conversation="e" * 32)
    third = replace(third, description=description("192.0.2.33", 4004))
    running.on_event(third, LATER)
    assert "none" in taps(answered(running, OTHER, "201", "u", LATER))


def test_a_phone_that_hangs_up_vouches_no_more() -> None:
    running = recorded()
    assert taps(running.on_event(CallEnded(PHONE, LATER, "bye", 200), LATER)) == ["none"]
    assert taps(running.on_reminder(CALL, LATER + timedelta(seconds=9))) == []


def test_a_phone_whose_event_could_not_be_acted_on_vouches_no_more() -> None:
    running = recorded()
    assert taps(running.abandon(PHONE, LATER)) == ["none"]
    assert taps(running.on_reminder(CALL, LATER + timedelta(seconds=9))) == []


@pytest.mark.parametrize("call", [PHONE, CALL])
def test_the_doctor_who_comes_into_the_dialog_ends_it(call: str) -> None:
    running = recorded()
    who = named("callee", "250")
    effects = running.on_event(CallDisturbed(call, Disturbance.IDENTITY_CHANGED, who), LATER)
    assert "none" in taps(effects)
    assert taps(running.on_reminder(CALL, LATER + timedelta(seconds=9))) == []


def test_after_a_discontinuity_the_phone_vouches_anew_once_its_side_must_have_seen_it_too() -> None:
    running = recorded()
    at = LATER + timedelta(seconds=5)
    for call in (CALL, PHONE):
        running.on_event(CallDisturbed(call, Disturbance.REINVITE_CHANGED, ()), at)
    effects = running.on_event(negotiated(), at)
    assert of_kind(effects, Remind)
    assert taps(running.on_reminder(CALL, at + SETTLED_AFTER / 2)) == []
    assert taps(running.on_reminder(CALL, at + SETTLED_AFTER)) == ["all"]


def test_what_the_other_pass_shows_meanwhile_is_in_the_way() -> None:
    running = recorded()
    at = LATER + timedelta(seconds=5)
    running.on_event(negotiated(codec=0, name="PCMU"), at)
    running.on_event(CallDisturbed(PHONE, Disturbance.REFER, ()), at + SETTLED_AFTER / 2)
    assert taps(running.on_reminder(CALL, at + SETTLED_AFTER)) == []


def test_a_call_on_hold_waits_until_both_speak_again() -> None:
    running = recorded()
    media: MediaNegotiated = negotiated()
    assert media.callee is not None
    at = LATER + timedelta(seconds=5)
    held = replace(media, callee=replace(media.callee, direction="inactive"))
    assert taps(running.on_event(held, at)) == ["none"]
    assert taps(running.on_reminder(CALL, at + SETTLED_AFTER)) == []
    at += timedelta(seconds=5)
    assert taps(running.on_event(media, at)) == []
    assert taps(running.on_reminder(CALL, at + SETTLED_AFTER)) == ["all"]


def test_what_is_forgotten_holds_nothing() -> None:
    running = recorded()
    for call in (PHONE, CALL):
        running.on_event(CallEnded(call, LATER, "bye", 200), LATER)
    assert PHONE not in running._dialogs._of
    assert not running._dialogs._passes
