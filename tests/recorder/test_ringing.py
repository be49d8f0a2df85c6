"""Who is named while it rings, or on a display: that permits nothing, and forbids all the same."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.decision import Reason
from recorder.facts import MOST_NAMES
from sip_hooks.events import CallAnswered, CallDisturbed, CallProgressed, CallRedirected, Disturbance, Side
from sip_hooks.identity import Identity
from tests.recorder.test_never_record import ENDED, PAUSED, did
from tests.recorder.test_session import ANSWER, CALL, START, anchored, named, negotiated, offered

COLLEAGUE, CUSTOMER, PAI = "202", "+31612345678", "p-asserted-identity"
RECORDED = ["begin", "all"]


def says(header: str, name: str, role: Any = "callee") -> Identity:
    return Identity(role, header, name, f"{name}@pbx.example")


def ringing(*said: Identity, tag: str = "t") -> CallProgressed:
    return CallProgressed(CALL, tag, 180, said)


def answer(made: Any, *said: Identity) -> list[str]:
    """What the answer of the fork "t" does."""
    made.on_event(negotiated(), ANSWER)
    return did(made.on_event(CallAnswered(CALL, ANSWER, "t", (*named("callee", CUSTOMER), *said)), ANSWER))


@pytest.mark.parametrize(
    ("rung", "answered", "expected"),
    [
        (ringing(says(PAI, CUSTOMER)), (), RECORDED),
        (ringing(says(PAI, COLLEAGUE)), (), []),
        (ringing(says("contact", COLLEAGUE)), (says("contact", "pbx"),), []),
        (ringing(says(PAI, COLLEAGUE)), (says("remote-party-id", CUSTOMER),), []),
        (ringing(says(PAI, COLLEAGUE)), (says(PAI, CUSTOMER),), RECORDED),
        (ringing(says(PAI, COLLEAGUE), tag="another"), (), RECORDED),
        (ringing(says(PAI, COLLEAGUE), tag=""), (), []),
        (ringing(says("diversion", COLLEAGUE)), (), RECORDED),
        (CallRedirected(CALL, 181, (says(PAI, COLLEAGUE),)), (), RECORDED),
        (CallDisturbed(CALL, Disturbance.IDENTITY_CHANGED, (says(PAI, COLLEAGUE),)), (), []),
    ],
)
def test_whom_the_fork_that_answers_named_while_it_rang_counts(
    rung: Any, answered: tuple[Identity, ...], expected: list[str]
) -> None:
    made = anchored()
    made.on_event(rung, START)
    assert answer(made, *answered) == expected


def test_what_rings_says_who_our_own_side_is_too() -> None:
    """A call that comes in rings at somebody else than the agent who answers it."""
    made = anchored(offered(CUSTOMER, "201", Side.PBX))
    made.on_event(ringing(says(PAI, "240")), START)
    made.on_event(negotiated(), ANSWER)
    assert did(made.on_event(CallAnswered(CALL, ANSWER, "t", named("callee", "201")), ANSWER)) == []


def test_a_phone_that_rings_with_the_callers_contact_is_not_taken_for_the_caller() -> None:
    made = anchored()
    made.on_event(ringing(Identity("callee", "contact", "201", "201@pbx.example")), START)
    assert answer(made) == RECORDED


@pytest.mark.parametrize("tag", ["t", ""])
def test_what_comes_after_the_answer_that_has_overtaken_it_counts(tag: str) -> None:
    made = anchored()
    assert answer(made) == RECORDED
    assert did(made.on_event(ringing(says(PAI, COLLEAGUE), tag="another"), ANSWER)) == []
    assert did(made.on_event(ringing(says(PAI, COLLEAGUE), tag=tag), ANSWER)) == ENDED


def test_one_of_us_whom_a_second_answer_names_makes_the_call_one_among_us() -> None:
    """Not only a disturbed one: what belongs to it is kept out with it."""
    made = anchored()
    assert answer(made) == RECORDED
    second = CallDisturbed(CALL, Disturbance.SECOND_ANSWER, (says(PAI, COLLEAGUE),))
    assert did(made.on_event(second, ANSWER)) == ENDED and made.withholds


def test_a_display_that_shows_one_of_us_keeps_the_call_out() -> None:
    shown = says("x-fs-display-number", COLLEAGUE)
    assert answer(anchored(), shown) == []
    made = anchored()
    assert answer(made) == RECORDED
    assert did(made.on_event(CallDisturbed(CALL, Disturbance.IDENTITY_CHANGED, (shown,)), ANSWER)) == ENDED


def test_a_display_that_shows_what_it_has_shown_before_tells_of_nobody_new() -> None:
    made, shown = anchored(), says("x-fs-display-number", "sales")
    assert answer(made, shown) == RECORDED
    again = CallDisturbed(CALL, Disturbance.IDENTITY_CHANGED, (shown, says(PAI, "+31687654321")))
    assert did(made.on_event(again, ANSWER)) == []
    other = CallDisturbed(CALL, Disturbance.IDENTITY_CHANGED, (says("x-fs-display-number", "somebody-else"),))
    assert did(made.on_event(other, ANSWER)) == PAUSED


def test_a_display_is_no_evidence() -> None:
    made = anchored(offered("201", "sales"))
    made.on_event(negotiated(), ANSWER)
    shown = says("x-fs-display-number", CUSTOMER)
    assert did(made.on_event(CallAnswered(CALL, ANSWER, "t", (shown,)), ANSWER)) == []
    assert Reason.OUTSIDE_UNKNOWN.value in made.summary()["reasons"]


def test_forks_without_number_are_not_kept() -> None:
    made = anchored()
    for number in range(2 * MOST_NAMES):
        made.on_event(ringing(says(PAI, CUSTOMER), tag=f"t{number}"), START)
    assert len(made.facts.rung) == MOST_NAMES
    assert answer(made) == []
