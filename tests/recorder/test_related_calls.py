"""Calls that belong together in any way: the doctor in one of them keeps all of them out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from recorder.calls import Calls
from recorder.decision import decide
from recorder.effects import OpenMedia
from recorder.graph import Taint
from recorder.policy import Policy
from recorder.relations import MOST_REMEMBERED, OUTLIVES, Relations
from sip_hooks.events import (
    CallAnswered,
    CallDisturbed,
    CallEnded,
    CallOffered,
    CallRestored,
    CallsRelated,
    Disturbance,
    Event,
    MediaNegotiated,
    Side,
    TransferEnded,
)
from sip_hooks.identity import Identity
from tests.recorder.schemes import CONFIGURATION
from tests.recorder.test_never_record import ENDED, PAUSED, WENT_ON, did
from tests.recorder.test_session import (
    ANSWER,
    CALL,
    END,
    START,
    description,
    lowest,
    named,
    negotiated,
    of_kind,
    offered,
    policy,
)

DOCTOR, CUSTOMER = "250", "+31612345678"
SECOND = "d" * 32
RECORDED = ["begin", "all"]


def contact(role: Any, user: str, host: str = "192.0.2.31") -> Identity:
    return Identity(role, "contact", user, f"{user}@{host}")


class Site:
    """All calls, and what comes of their events."""

    def __init__(self, in_force: Policy | None = None) -> None:
        drawn = count(1)
        self.calls = Calls(in_force or policy(), lambda size: next(drawn).to_bytes(size), lowest)
        self._ports = count(4000, 2)

    def tell(self, *events: Event) -> list[str]:
        """What the last of these does to tap and capture."""
        effects: list[Any] = []
        for event in events:
            effects = self.calls.on_event(event, ANSWER)
        return did(effects)

    def offer(
        self, call: str, callee: str, user: str = "201", host: str = "192.0.2.31", **changes: Any
    ) -> None:
        event = offered("201", callee, call=call, **{"conversation": call, **changes})
        event = replace(event, identities=(*event.identities, contact("caller", user, host)))
        event = replace(event, description=description("192.0.2.31", next(self._ports)))
        for asked in of_kind(list(self.calls.on_event(event, START)), OpenMedia):
            self.calls.media_opened(call, asked.session, (20000 + 4 * len(self.calls), 20002))

    def answer(self, call: str, callee: str = CUSTOMER, **changes: Any) -> list[str]:
        """The call is answered; only of media that passes through us anything is told."""
        if callee != DOCTOR:
            self.tell(self.media(call))
        return self.tell(CallAnswered(call, ANSWER, "t", named("callee", callee), **changes))

    def media(self, call: str, direction: str = "sendrecv") -> MediaNegotiated:
        event = replace(negotiated(codec=3, name="GSM"), call=call)  # in which no keys are heard
        assert event.caller and event.callee
        port = 6000 if call == CALL else 8000
        caller = replace(event.caller, rtp_port=port, direction=direction)
        return replace(event, caller=caller, callee=replace(event.callee, rtp_port=port + 2))

    def recorded(self, call: str = CALL, **changes: Any) -> Site:
        self.offer(call, CUSTOMER, **changes)
        assert self.answer(call) == ["begin", "all"]
        return self


def test_a_refer_with_replaces_to_the_doctors_call_is_for_good() -> None:
    site = Site().recorded()
    site.offer(SECOND, DOCTOR, user="other")
    site.answer(SECOND, DOCTOR)
    assert site.tell(CallsRelated(CALL, (SECOND,))) == ENDED


def test_a_call_that_takes_over_the_doctors_is_never_recorded() -> None:
    site = Site()
    site.offer(SECOND, DOCTOR, user="other")
    site.answer(SECOND, DOCTOR)
    site.offer(CALL, CUSTOMER, disturbances=(Disturbance.REPLACES,))
    site.tell(CallsRelated(CALL, (SECOND,)))
    assert site.answer(CALL) == []


@pytest.mark.parametrize("is_known", [True, False])
def test_a_call_that_takes_over_another_one_is_held(is_known: bool) -> None:
    """Who takes it over is not who was in it, whatever name the PBX gives."""
    site = Site().recorded(SECOND, user="other")
    site.offer(CALL, CUSTOMER, disturbances=(Disturbance.REPLACES,))
    if is_known:
        site.tell(CallsRelated(CALL, (SECOND,)))
    assert site.answer(CALL) == []


def test_a_join_keeps_both_out() -> None:
    site = Site().recorded()
    assert site.tell(CallDisturbed(CALL, Disturbance.JOIN, ())) == ENDED
    site.offer(SECOND, CUSTOMER, disturbances=(Disturbance.JOIN,))
    assert site.answer(SECOND) == []


def test_a_consultation_is_held_and_the_first_call_goes_on_when_it_is_over() -> None:
    site = Site().recorded()
    assert site.tell(site.media(CALL, "sendonly")) == PAUSED
    site.offer(SECOND, "+31687654321")
    assert site.answer(SECOND, "+31687654321") == []
    site.tell(CallEnded(SECOND, END, "bye", 200))
    assert site.tell(site.media(CALL)) == WENT_ON


def test_a_consultation_of_the_doctor_leaves_the_customers_call_alone() -> None:
    site = Site().recorded()
    site.tell(site.media(CALL, "sendonly"))
    site.offer(SECOND, DOCTOR)
    site.answer(SECOND, DOCTOR)
    site.tell(CallEnded(SECOND, END, "bye", 200))
    assert site.tell(site.media(CALL)) == WENT_ON


def test_a_three_way_call_at_the_telephone_with_the_doctor_keeps_both_out() -> None:
    site = Site().recorded()
    site.tell(site.media(CALL, "sendonly"))
    site.offer(SECOND, DOCTOR)
    site.answer(SECOND, DOCTOR)
    assert site.tell(site.media(CALL))[-2:] == ENDED
    assert site.tell(CallEnded(SECOND, END, "bye", 200), site.media(CALL)) == []


def test_two_telephones_are_not_one() -> None:
    site = Site().recorded()
    site.offer(SECOND, DOCTOR, user="202")
    assert site.answer(SECOND, DOCTOR) == []
    assert site.calls.summaries()[0]["state"] == "recording"


def test_a_telephone_that_was_called_is_known_by_the_contact_of_its_answer() -> None:
    site = Site().recorded()
    site.tell(offered(DOCTOR, "201", Side.PBX, call=SECOND, conversation=SECOND, description=None))
    answer = CallAnswered(SECOND, ANSWER, "t", (*named("callee", "201"), contact("callee", "201")))
    assert site.tell(answer)[-2:] == ENDED


@pytest.mark.parametrize("when", ["offer", "answer"])
def test_a_session_in_common_joins(when: str) -> None:
    ids = frozenset({"ab" * 16})
    site = Site().recorded(session_ids=ids)
    site.offer(SECOND, DOCTOR, user="other", session_ids=ids if when == "offer" else frozenset())
    site.answer(SECOND, DOCTOR, session_ids=ids if when == "answer" else frozenset())
    assert site.calls.summaries() == []


def test_media_in_common_joins() -> None:
    site = Site().recorded()
    event: CallOffered = offered(DOCTOR, "201", Side.PBX, call=SECOND, conversation=SECOND)
    shared = site.media(CALL).caller
    assert shared is not None
    event = replace(event, description=description(shared.address, shared.rtp_port))
    assert site.tell(event) == ENDED


def test_who_cannot_be_read_in_a_related_call_may_be_the_doctor() -> None:
    site = Site().recorded()
    site.offer(SECOND, CUSTOMER, user="other")
    site.tell(CallsRelated(CALL, (SECOND,)))
    assert site.tell(CallDisturbed(SECOND, Disturbance.UNREADABLE, ())) == ENDED


def test_a_conference_is_held() -> None:
    site = Site().recorded()
    assert site.tell(CallDisturbed(CALL, Disturbance.CONFERENCE, ())) == PAUSED


# --- a telephone in two calls at once


def test_who_dials_the_doctor_while_a_call_is_not_on_hold_lets_the_customer_hear() -> None:
    """Some telephones mix: from the ring on, not from the answer on."""
    site = Site().recorded()
    event = offered("201", DOCTOR, call=SECOND, conversation=SECOND)
    event = replace(event, identities=(*event.identities, contact("caller", "201")))
    assert site.tell(event) == ENDED


def test_whom_the_doctor_calls_while_they_talk_is_no_part_of_that_until_it_is_answered() -> None:
    site = Site().recorded()
    site.tell(offered(DOCTOR, "201", Side.PBX, call=SECOND, conversation=SECOND, description=None))
    assert site.calls.summaries()[0]["state"] == "recording"


def test_both_calls_of_a_telephone_are_kept_while_all_are_certain() -> None:
    site = Site().recorded()
    site.offer(SECOND, "+31687654321")
    assert site.answer(SECOND, "+31687654321") == RECORDED
    assert {it["state"] for it in site.calls.summaries()} == {"recording"}


@pytest.mark.parametrize("cause", [Disturbance.REFER, Disturbance.INFO, Disturbance.CONFERENCE])
def test_while_somebody_is_not_certain_in_one_call_of_a_telephone_nobody_is_in_the_others(
    cause: Disturbance,
) -> None:
    site = Site().recorded()
    site.tell(CallDisturbed(CALL, cause, ()))
    site.offer(SECOND, "+31687654321")
    assert site.answer(SECOND, "+31687654321") == []
    assert site.tell(CallEnded(CALL, END, "bye", 200))[:2] == RECORDED


def test_a_call_beside_one_that_becomes_uncertain_waits_for_as_long() -> None:
    site = Site().recorded()
    site.offer(SECOND, "+31687654321")
    site.answer(SECOND, "+31687654321")
    assert site.tell(CallDisturbed(SECOND, Disturbance.REFER, ())) == PAUSED + PAUSED
    assert site.tell(TransferEnded(SECOND, is_done=False)) == WENT_ON + WENT_ON


def test_a_call_on_hold_is_not_beside_another_one() -> None:
    site = Site().recorded()
    site.offer(SECOND, "+31687654321")
    site.answer(SECOND, "+31687654321")
    site.tell(CallDisturbed(SECOND, Disturbance.REFER, ()))
    assert site.tell(site.media(SECOND, "sendonly")) == WENT_ON


def test_what_could_not_be_acted_on_in_one_call_ends_the_recording_of_all_that_belong_to_it() -> None:
    site = Site().recorded()
    site.offer(SECOND, "+31687654321")
    site.answer(SECOND, "+31687654321")
    assert did(site.calls.abandon(CALL, ANSWER)) == ENDED + ENDED
    assert site.calls.abandon("e" * 32, ANSWER) == []


def test_beside_a_call_that_could_not_be_acted_on_nobody_is_certain() -> None:
    site = Site().recorded()
    site.tell(site.media(CALL, "sendonly"))
    site.calls.abandon(CALL, ANSWER)
    site.offer(SECOND, "+31687654321")
    site.tell(site.media(CALL))
    assert site.answer(SECOND, "+31687654321") == []


def test_what_could_not_be_acted_on_ends_what_is_joined_at_another_telephone_too() -> None:
    site = Site().recorded()
    site.offer(SECOND, CUSTOMER, user="other")
    assert site.answer(SECOND) == RECORDED
    site.tell(CallsRelated(CALL, (SECOND,)))
    assert did(site.calls.abandon(CALL, ANSWER)) == ENDED + ENDED


def test_a_new_scheme_that_leaves_one_call_uncertain_holds_the_one_beside_it() -> None:
    site = Site().recorded()
    site.offer(SECOND, "0687654321")
    assert site.answer(SECOND, "0687654321") == RECORDED
    text = CONFIGURATION.replace("[feature_codes]", '[feature_codes]\ndirected_pickup = ["0687"]')
    assert did(site.calls.on_policy(policy(text), ANSWER)) == PAUSED + PAUSED
    assert did(site.calls.on_policy(policy(), ANSWER)) == WENT_ON + WENT_ON


def test_a_telephone_that_is_in_an_emergency_call_too_is_not_recorded() -> None:
    site = Site().recorded()
    site.offer(SECOND, "112")
    assert site.calls.summaries() == []


def test_who_sits_with_the_agent_in_one_call_sits_there_in_the_next() -> None:
    """One of us who is not listed is named on our own side."""
    site = Site().recorded()
    user = Identity("caller", "p-asserted-identity", "240", "240@pbx.example")
    assert site.tell(CallDisturbed(CALL, Disturbance.IDENTITY_CHANGED, (user,))) == ENDED
    site.offer(SECOND, "+31687654321")
    assert site.answer(SECOND, "+31687654321") == []
    assert site.tell(CallEnded(CALL, END, "bye", 200)) == []


def test_one_message_of_a_telephone_with_many_calls_has_each_of_them_weighed_but_not_for_every_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A gateway shows one Contact for all its calls."""
    site, many, asked = Site(), 12, 0
    for number in range(many):
        site.offer(f"{number:032d}", CUSTOMER)
        site.answer(f"{number:032d}")

    def counted(*about: Any) -> Any:
        nonlocal asked
        asked += 1
        return decide(*about)

    monkeypatch.setattr("recorder.judgement.decide", counted)
    site.tell(CallDisturbed(f"{0:032d}", Disturbance.HOLD, ()))
    assert many <= asked <= 4 * many


# --- calls that began before this process


BEFORE = "e" * 32


def says_something(user: str = "201") -> CallDisturbed:
    """A request within a dialog that nobody knows any more: all that it tells is whose telephone it is."""
    return CallDisturbed(BEFORE, Disturbance.IDENTITY_CHANGED, (contact("caller", user),))


def test_what_is_known_of_a_conversation_outlives_its_first_pass() -> None:
    """A PBX that is a proxy sends the doctor's INVITE back, naming nobody, when the caller was told 408."""
    site = Site()
    site.offer("first", DOCTOR)
    site.tell(CallEnded("first", END, "timeout", 408))
    site.offer("second", CUSTOMER, conversation="first")
    assert site.answer("second") == []
    site.tell(CallEnded("second", END, "bye", 200))
    site.recorded(conversation="another")


@pytest.mark.parametrize(
    ("after", "is_kept_out"), [(OUTLIVES, True), (OUTLIVES + timedelta(seconds=1), False)]
)
def test_a_conversation_that_was_kept_out_is_not_remembered_for_ever(
    after: timedelta, is_kept_out: bool
) -> None:
    site = Site()
    site.offer("first", DOCTOR)
    site.tell(CallEnded("first", END, "timeout", 408))
    site.offer("second", CUSTOMER, conversation="first", at=END + after)
    assert (site.answer("second") == []) == is_kept_out


def test_of_a_flood_of_calls_that_are_kept_out_the_first_are_forgotten() -> None:
    relations = Relations()
    for number in range(MOST_REMEMBERED + 1):
        event = offered("201", DOCTOR, call=f"c{number}", conversation=f"c{number}", description=None)
        relations.offer(event)
        relations.taint(event.call, Taint.WITHHELD)
        relations.note(CallEnded(event.call, END, "timeout", 408))
        relations.forget(event.call)
    known = [
        offered("201", CUSTOMER, call=f"late {it}", conversation=f"c{it}", description=None) for it in (0, 1)
    ]
    for event in known:
        relations.offer(event)
    assert [bool(relations.taints(it.call)) for it in known] == [False, True]


def test_a_telephone_that_is_in_a_call_from_before_a_restart_may_let_anybody_be_heard() -> None:
    """It may have put the doctor on hold and mix her in, of which only that call tells."""
    site = Site()
    site.tell(CallRestored(BEFORE, None), says_something())
    site.offer(CALL, CUSTOMER)
    assert site.answer(CALL) == []
    assert site.tell(CallEnded(BEFORE, END, "bye", 200)) == RECORDED


def test_a_call_waits_when_another_one_from_before_a_restart_turns_up_at_its_telephone() -> None:
    site = Site().recorded()
    assert site.tell(CallRestored(BEFORE, None)) == []
    assert site.tell(says_something("202")) == []
    assert site.tell(says_something()) == PAUSED
    assert site.tell(CallEnded(BEFORE, END, "bye", 200)) == WENT_ON
