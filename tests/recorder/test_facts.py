"""What is said of a party, and what is only said of others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recorder.decision import CallFacts, Direction, Kind, Reason, decide
from recorder.facts import (
    MOST_NAMES,
    answered,
    disturbed,
    first_facts,
    rung,
    vouched,
    with_identities,
    with_newcomers,
)
from recorder.said import Heard
from sip_hooks.events import Disturbance, Side
from sip_hooks.identity import Identity, Role, identities
from sip_hooks.message import parse
from tests.recorder.test_rules import RULES
from tests.recorder.test_session import END, START, offered


@pytest.mark.parametrize("header", ["diversion", "history-info", "referred-by", "refer-to", "ext", "target"])
def test_what_is_said_of_others_forbids_and_never_permits(header: str) -> None:
    said = [Identity("callee", header, "201", "201@pbx")]
    facts = with_identities(CallFacts(Direction.INBOUND), said)
    assert not facts.inside | facts.outside and facts.everyone == {"201", "201@pbx"}


@pytest.mark.parametrize(
    "line",
    [
        "P-Asserted-Identity: <tel:+31205550000;ext=250>",
        "P-Asserted-Identity: <sip:+31205550000;ext=250@pbx;user=phone>",
        "Diversion: <sip:voicemail@pbx;target=sip:250%40pbx>",
    ],
)
def test_an_extension_behind_a_number_is_vetoed(line: str) -> None:
    raw = (
        "INVITE sip:201@pbx SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:+31612345678@pbx>;tag=1\r\n"
        f"To: <sip:201@pbx>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{line}\r\n\r\n"
    )
    facts = with_identities(CallFacts(Direction.INBOUND), identities(parse(raw.encode())).named)
    assert decide(facts, RULES).kind is Kind.PRIVILEGED


AGENT = "201"
HEARD = Heard("ab" * 32, START, END)


def heard(*said: tuple[str, str], role: Role = "callee") -> tuple[Identity, ...]:
    return tuple(Identity(role, header, name, f"{name}@pbx") for header, name in said)


def offer(*said: tuple[str, str]) -> CallFacts:
    """A call to one of our telephones, of which this is said."""
    identities = (*heard(("from", "+31612345678"), role="caller"), *heard(*said))
    event = replace(offered("+31612345678", AGENT, Side.PBX), identities=identities)
    return first_facts(event, True, False, {})._replace(answered=True)


OPAQUE = ("request-uri", "x7ab9k"), ("to", AGENT)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (OPAQUE, Reason.AGENT_ONLY_CLAIMED),
        ((*OPAQUE, ("p-called-party-id", AGENT)), Reason.AGENT_ONLY_CLAIMED),
        ((*OPAQUE, ("remote-party-id", AGENT)), Reason.AGENT_ONLY_CLAIMED),
        ((*OPAQUE, ("account", "x1000")), Reason.AGENT_ONLY_CLAIMED),  # of nobody who is listed
        ((*OPAQUE, ("account", AGENT)), Reason.LINE_ALLOWS),
        ((*OPAQUE, ("account", "250")), Reason.EXCLUDED),  # the doctor's telephone
        ((*OPAQUE, ("account", "299")), Reason.ANOTHER_OF_US),
        ((("request-uri", AGENT), ("to", AGENT)), Reason.LINE_ALLOWS),
        ((("request-uri", AGENT), ("to", "+31201234567")), Reason.LINE_ALLOWS),
    ],
)
def test_the_caller_alone_cannot_say_that_it_calls_an_agent(
    said: tuple[tuple[str, str], ...], reason: Reason
) -> None:
    """Who calls the doctor by way of a PBX that is a proxy may write into To what they like."""
    assert reason in decide(offer(*said), RULES).reasons


@pytest.mark.parametrize(
    ("header", "is_recorded"),
    [
        ("p-asserted-identity", True),
        ("p-preferred-identity", True),
        ("remote-party-id", True),
        ("contact", False),  # pyVoIP repeats the caller's
        ("to", False),  # which only repeats what the caller wrote
        ("from", False),
        ("x-fs-display-number", False),
    ],
)
def test_a_telephone_may_say_with_its_answer_whose_it_is(header: str, is_recorded: bool) -> None:
    facts = answered(offer(*OPAQUE), "t", heard((header, AGENT)))
    assert bool(decide(facts, RULES).recorded()) is is_recorded


@pytest.mark.parametrize("header", ["to", "from", "request-uri", "remote-party-id", "p-called-party-id"])
def test_what_is_written_later_says_no_more_whose_telephone_it_is(header: str) -> None:
    facts = answered(offer(*OPAQUE), "t", heard(("contact", "x7ab9k")))
    facts = disturbed(facts, Disturbance.IDENTITY_CHANGED, heard((header, AGENT)))
    assert not decide(facts, RULES).recorded()


@pytest.mark.parametrize("header", ["from", "contact", "p-asserted-identity", "remote-party-id"])
def test_a_telephone_that_calls_says_whose_it_is(header: str) -> None:
    said = (*heard((header, AGENT), role="caller"), *heard(("to", "+31612345678")))
    event = replace(offered(AGENT, "+31612345678"), identities=said)
    facts = first_facts(event, True, False, {})._replace(answered=True)
    assert decide(facts, RULES).recorded()


def test_whose_telephone_it_is_stays_known_when_the_answer_repeats_what_the_caller_wrote() -> None:
    facts = offer(("request-uri", AGENT), ("to", AGENT))
    assert decide(answered(facts, "t", heard(("to", AGENT), ("contact", AGENT))), RULES).recorded()


def test_a_caller_who_says_that_it_is_the_agent_itself_has_not_said_whose_telephone_it_is() -> None:
    said = heard(("p-asserted-identity", AGENT), role="caller")
    assert AGENT in with_identities(offer(*OPAQUE), said).claimed


def test_a_fork_that_rang_has_not_said_whose_telephone_answers() -> None:
    facts = rung(offer(*OPAQUE), "other", heard(("p-asserted-identity", AGENT)))
    assert not decide(answered(facts, "t", ()), RULES).recorded()


@pytest.mark.parametrize("is_called", [True, False])
def test_a_phone_that_rings_with_the_contact_of_whoever_called_says_nothing_of_its_own(
    is_called: bool,
) -> None:
    if is_called:
        facts = offer(("request-uri", AGENT), ("to", AGENT))
    else:
        said = (*heard(("from", AGENT), role="caller"), *heard(("to", "+31612345678")))
        facts = first_facts(replace(offered(AGENT, "+31612345678"), identities=said), True, False, {})
    facts = rung(facts, "t", heard(("contact", "+31612345678" if is_called else AGENT)))
    assert decide(answered(facts, "t", ())._replace(answered=True), RULES).recorded()


def test_whoever_answers_under_the_agents_own_number_is_one_of_us() -> None:
    said = (*heard(("from", AGENT), role="caller"), *heard(("to", "+31612345678")))
    facts = first_facts(replace(offered(AGENT, "+31612345678"), identities=said), True, False, {})
    facts = answered(facts, "t", heard(("p-asserted-identity", AGENT)))
    assert Reason.INTERNAL_CALL in decide(facts, RULES).reasons


CUSTOMER, QUEUE = ("p-asserted-identity", "+31687654321"), ("from", "queue")


def connected(*said: tuple[str, str], role: Role = "caller") -> CallFacts:
    """A queue has connected a customer, of whom this is said now; before, something was announced."""
    facts = first_facts(
        replace(
            offered("queue", AGENT, Side.PBX),
            identities=(*heard(QUEUE, role="caller"), *heard(("request-uri", AGENT))),
        ),
        True,
        False,
        {},
    )
    facts = with_newcomers(answered(facts, "t", ()), heard(CUSTOMER, role="caller"))
    return with_newcomers(facts._replace(told=frozenset({HEARD})), heard(*said, role=role))


def test_a_header_that_has_said_all_along_who_was_there_first_brings_nobody_back() -> None:
    """A From stays as it was when somebody else is connected; only what says so anew is followed."""
    assert {(it.side, it.header) for it in connected(QUEUE, CUSTOMER).newcomers} == {("outside", CUSTOMER[0])}


def test_who_comes_into_the_call_on_one_side_brings_nobody_back_on_the_other() -> None:
    """And who is new on our side has not to be told what the other party was told."""
    was_there = connected((CUSTOMER[0], AGENT), role="callee")
    assert {it.side for it in was_there.newcomers} == {"outside"}
    colleague = connected((CUSTOMER[0], "202"), role="callee")
    assert {it.side for it in colleague.newcomers} == {"outside", "inside"}
    assert colleague.told == {HEARD}
    assert connected((CUSTOMER[0], "+31612345678")).told == set()


@pytest.mark.parametrize(
    ("header", "name", "is_new"),
    [
        ("contact", "jan", False),  # which only says where to reach it
        ("p-asserted-identity", "jan", True),
        ("p-asserted-identity", "+31612345678", False),  # a number is the same at every host
        ("p-asserted-identity", "+31612345679", True),
    ],
)
def test_a_name_at_another_host_is_somebody_else_and_a_number_is_not(
    header: str, name: str, is_new: bool
) -> None:
    facts = with_identities(offer(("request-uri", AGENT)), (Identity("caller", "contact", "jan", "jan@one"),))
    facts = with_newcomers(answered(facts, "t", ()), (Identity("caller", header, name, f"{name}@two"),))
    assert bool(facts.newcomers) is is_new


def test_what_is_vouched_for_is_no_claim() -> None:
    event = replace(offered("+31612345678", AGENT, Side.TRUNK), identities=heard(*OPAQUE))
    facts = first_facts(event, True, False, {}, is_trunk_witnessed=True)
    assert AGENT in facts.claimed and AGENT not in vouched(facts, frozenset({AGENT})).claimed


def test_whom_we_call_cannot_say_that_an_agent_calls() -> None:
    said = (*heard(("from", "x7ab9k"), role="caller"), *heard(("to", "+31612345678")))
    facts = first_facts(replace(offered("x7ab9k", "+31612345678"), identities=said), True, False, {})
    facts = answered(facts, "t", heard(("remote-party-id", AGENT), role="caller"))._replace(answered=True)
    assert Reason.AGENT_ONLY_CLAIMED in decide(facts, RULES).reasons


def test_a_room_is_what_the_contact_of_its_focus_calls_it_and_nothing_else_in_the_invite() -> None:
    said = (*heard(("from", "queue"), ("contact", "850"), role="caller"), *heard(("request-uri", AGENT)))
    event = replace(offered("queue", AGENT, Side.PBX), identities=said)
    for cause, rooms in ((Disturbance.CONFERENCE, {"850"}), (Disturbance.HOLD, set())):
        assert first_facts(replace(event, disturbances=(cause,)), True, False, {}).rooms == rooms


def test_a_call_in_which_hundreds_are_named_is_in_doubt_and_weighs_no_more_of_them() -> None:
    facts = CallFacts(Direction.INBOUND)
    for number in range(1000):
        facts = with_identities(facts, [Identity("caller", "from", f"+316{number:08}", "")])
    assert len(facts.everyone) == MOST_NAMES
    assert "unreadable" in facts.disturbances


def test_a_call_that_calls_itself_hundreds_of_rooms_is_in_doubt_and_weighs_no_more_of_them() -> None:
    facts = CallFacts(Direction.INBOUND)
    for number in range(1000):
        rooms = (Identity("caller", "contact", f"room{number}", ""),)
        facts = disturbed(facts, Disturbance.CONFERENCE, rooms)
    assert len(facts.rooms) == MOST_NAMES
    assert "unreadable" in facts.disturbances
