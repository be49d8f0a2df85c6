"""A telephone whose Contact changes during a call stays the same telephone, in all its calls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recorder.graph import Taint
from recorder.relations import Relations
from sip_hooks.events import CallAnswered, CallDisturbed, CallEnded, CallRestored, ContactChanged, Disturbance
from sip_hooks.identity import Identity
from tests.recorder.test_never_record import ENDED, PAUSED, WENT_ON
from tests.recorder.test_related_calls import BEFORE, CUSTOMER, DOCTOR, SECOND, Site, contact, says_something
from tests.recorder.test_session import ANSWER, CALL, END, offered

ELSEWHERE = "192.0.2.99"
MOVED = ContactChanged(CALL, "caller", f"201@{ELSEWHERE}")


def test_a_telephone_that_moves_during_a_call_stays_the_same_telephone() -> None:
    """It got another address, told so in a re-INVITE, and calls the doctor from there without hold."""
    site = Site().recorded()
    assert site.tell(MOVED) == []
    site.offer(SECOND, DOCTOR, host=ELSEWHERE)
    assert site.calls.summaries() == []


def test_a_telephone_that_moved_is_in_the_calls_that_it_began_there_before() -> None:
    """The second call says first where it is now."""
    site = Site().recorded()
    site.offer(SECOND, DOCTOR, host=ELSEWHERE)
    site.answer(SECOND, DOCTOR)
    assert site.calls.summaries()[0]["state"] == "recording"
    assert site.tell(MOVED)[-2:] == ENDED


def test_a_contact_of_the_other_party_moves_no_telephone() -> None:
    site = Site().recorded()
    site.tell(replace(MOVED, sender="callee"))
    site.offer(SECOND, DOCTOR, host=ELSEWHERE)
    assert site.calls.summaries()[0]["state"] == "recording"


def test_a_telephone_that_moved_twice_and_back_is_known_by_all_its_places() -> None:
    for host in (ELSEWHERE, "192.0.2.98", "192.0.2.31"):
        site = Site().recorded()
        site.tell(MOVED, replace(MOVED, address="201@192.0.2.98"), replace(MOVED, address="201@192.0.2.31"))
        site.offer(SECOND, DOCTOR, host=host)
        assert site.calls.summaries() == []


class Telephones:
    """What is known of who is at which telephone, without what comes of it."""

    def __init__(self) -> None:
        self.relations = Relations()

    def speaks(self, call: str, host: str) -> None:
        event = replace(offered("201", CUSTOMER, call=call, conversation=call), description=None)
        self.relations.offer(replace(event, identities=(contact("caller", "201", host),)))
        self.relations.note(CallAnswered(call, ANSWER, "t", ()))

    def moves(self, call: str, host: str) -> None:
        self.relations.note(ContactChanged(call, "caller", f"201@{host}"))

    def ends(self, call: str) -> None:
        self.relations.note(CallEnded(call, END, "bye", 200))
        self.relations.forget(call)

    def beside(self, call: str) -> list[str]:
        return self.relations.company(call)[0]


def test_where_a_telephone_was_another_one_may_be_once_all_its_calls_are_over() -> None:
    site = Telephones()
    site.speaks("a", "one")
    site.speaks("b", "one")
    site.moves("a", "two")
    site.ends("a")
    site.speaks("c", "two")
    assert site.beside("c") == ["b", "c"]
    site.ends("b")
    site.ends("c")
    site.speaks("d", "two")
    site.speaks("e", "one")
    assert site.beside("d") == ["d"]


def test_two_telephones_that_turn_out_to_be_one_are_one_under_all_names_of_both() -> None:
    site = Telephones()
    site.speaks("a", "one")
    site.speaks("b", "two")
    site.moves("b", "three")
    assert site.beside("a") == ["a"]
    site.moves("a", "three")
    assert site.beside("a") == ["a", "b"]
    site.speaks("c", "three")
    assert site.beside("c") == ["a", "b", "c"]


def test_a_telephone_that_moved_may_be_in_a_call_from_before_a_restart() -> None:
    site = Site()
    site.tell(CallRestored(BEFORE, None), says_something())
    site.offer(CALL, CUSTOMER, user="other")
    assert site.answer(CALL) == ["begin", "all"]
    back = replace(MOVED, address="201@192.0.2.31")
    assert site.tell(back) == PAUSED
    assert site.tell(MOVED, back, replace(MOVED, address="other@192.0.2.31")) == []
    assert site.tell(CallEnded(BEFORE, END, "bye", 200)) == WENT_ON


def test_a_call_from_before_a_restart_may_be_of_a_telephone_that_moved() -> None:
    site = Site().recorded()
    site.tell(MOVED, CallRestored(BEFORE, None))
    there = CallDisturbed(BEFORE, Disturbance.IDENTITY_CHANGED, (contact("caller", "201", ELSEWHERE),))
    assert site.tell(there) == PAUSED


def test_a_call_from_before_a_restart_is_forgotten_when_it_is_over() -> None:
    """And of one that nobody knows nothing is noted."""
    site = Telephones()
    site.speaks("a", "one")
    there = CallDisturbed(BEFORE, Disturbance.IDENTITY_CHANGED, (contact("caller", "201", "one"),))
    assert site.relations.go_on(there) == [] and not site.relations.is_beside_strangers("a")
    site.relations.restore(BEFORE)
    assert site.relations.go_on(there) == ["a"] and site.relations.is_beside_strangers("a")
    assert site.relations.go_on(CallEnded(BEFORE, END, "bye", 200)) == ["a"]
    assert site.relations.go_on(there) == [] and not site.relations.is_beside_strangers("a")


def test_of_two_calls_from_before_a_restart_the_last_one_ends_the_doubt() -> None:
    site = Telephones()
    site.speaks("a", "one")
    for call in ("x", "y"):
        site.relations.restore(call)
        site.relations.go_on(
            CallDisturbed(call, Disturbance.IDENTITY_CHANGED, (contact("caller", "201", "one"),))
        )
    for call, is_beside in (("x", True), ("y", False)):
        site.relations.go_on(CallEnded(call, END, "bye", 200))
        assert site.relations.is_beside_strangers("a") is is_beside


@pytest.mark.parametrize(
    "said", [Identity("caller", "from", "201", "201@one"), Identity("caller", "contact", "one", "")]
)
def test_only_a_contact_with_a_user_tells_which_telephone_is_in_a_call_from_before_a_restart(
    said: Identity,
) -> None:
    site = Telephones()
    site.speaks("a", "one")
    site.relations.restore(BEFORE)
    assert site.relations.go_on(CallDisturbed(BEFORE, Disturbance.IDENTITY_CHANGED, (said,))) == []
    assert not site.relations.is_beside_strangers("a")
    assert not site.relations.is_beside_strangers("one whose telephone is not known")


def test_where_an_ended_call_had_its_media_the_next_one_may_have_its_own() -> None:
    relations = Relations()
    relations.offer(offered("201", CUSTOMER))
    relations.note(CallEnded(CALL, END, "bye", 200))
    relations.offer(offered("202", DOCTOR, call=SECOND, conversation=SECOND))
    relations.taint(SECOND, Taint.WITHHELD)
    assert relations.taints(CALL) == set()
