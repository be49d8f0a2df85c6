"""What is said of a party, and what is only said of others."""

from __future__ import annotations

import pytest

from recorder.decision import CallFacts, Direction, Kind, decide
from recorder.facts import MOST_NAMES, disturbed, with_identities
from sip_hooks.events import Disturbance
from sip_hooks.identity import Identity, identities
from sip_hooks.message import parse
from tests.recorder.test_rules import RULES


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
