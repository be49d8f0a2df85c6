"""Asterisk's manager events, and what they say about who speaks inside. Transcripts, not a real Asterisk."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recorder.evidence.ami import AmiReader
from recorder.evidence.statements import Broken
from tests.fakes.asterisk import (
    BANNER,
    CALL,
    START,
    Line,
    channel,
    entered,
    event,
    hung_up,
    left,
    made,
    responses,
)

TRUNK = ("PJSIP/provider-00000001", "1.1")
AGENT = ("PJSIP/201-00000002", "1.2")
AGENTS = frozenset({"201", "+31201234567"})
DOCTOR = ("PJSIP/250-00000003", "1.3")


def talking() -> Line:
    """An inbound call on the trunk that agent 201 has answered."""
    line = Line()
    line.receive(made(*TRUNK, "+31612345678"))
    line.receive(made(*AGENT))
    line.receive(event("NewCallerid", **channel(*AGENT, "+31201234567")))
    line.receive(entered(*AGENT, count=1))
    line.receive(entered(*TRUNK, count=2))
    return line


def test_a_call_between_trunk_and_agent_is_the_agents() -> None:
    assert talking().inside == AGENTS


def test_a_call_that_rings_is_nobodys() -> None:
    line = Line()
    line.receive(made(*TRUNK) + made(*AGENT))
    assert line.inside is None


def test_a_transfer_inside_says_nobody_before_it_says_the_doctor() -> None:
    line = talking()
    said = line.receive(left(*AGENT))
    assert [it.inside for it in said] == [None]
    line.receive(made(*DOCTOR))
    assert line.receive(entered(*DOCTOR))[-1].inside == frozenset({"250"})


def test_an_attended_transfer_needs_to_be_said_anew_although_the_bridge_has_changed_already() -> None:
    line = talking()
    said = line.receive(
        event("AttendedTransfer", Result="Success", **channel(*AGENT, prefix="OrigTransferer"))
    )
    assert [it.inside for it in said] == [None, AGENTS]


def test_who_joins_makes_it_uncertain() -> None:
    line = talking()
    line.receive(made(*DOCTOR))
    assert line.receive(entered(*DOCTOR, count=3))[-1].inside is None
    assert line.receive(left(*DOCTOR, count=2))[-1].inside == AGENTS


def test_a_bridge_in_which_somebody_was_before_we_listened_is_never_certain() -> None:
    line = Line()
    line.receive(made(*TRUNK) + made(*AGENT))
    line.receive(entered(*AGENT, count=2))
    line.receive(entered(*TRUNK, count=3))
    assert line.inside is None


@pytest.mark.parametrize("creator", ["ConfBridge", "MeetMe"])
def test_a_conference_is_never_certain(creator: str) -> None:
    line = Line()
    line.receive(made(*TRUNK) + made(*AGENT))
    line.receive(entered(*AGENT, count=1, creator=creator) + entered(*TRUNK, count=2, creator=creator))
    assert line.inside is None


def test_the_way_through_local_channels_leads_to_the_agent() -> None:
    line = Line()
    one, two = ("Local/201@queue-00000000;1", "1.4"), ("Local/201@queue-00000000;2", "1.5")
    line.receive(made(*TRUNK) + made(*one) + made(*two) + made(*AGENT))
    line.receive(event("LocalBridge", **channel(*one, prefix="LocalOne"), **channel(*two, prefix="LocalTwo")))
    line.receive(entered(*one, "b1", count=1) + entered(*TRUNK, "b1", count=2))
    assert line.inside is None
    line.receive(entered(*two, "b2", count=1) + entered(*AGENT, "b2", count=2))
    assert line.inside == frozenset({"201"})
    line.receive(left(*AGENT, "b2"))
    assert line.inside is None


def test_whoever_listens_in_makes_it_uncertain() -> None:
    line = talking()
    spy = channel("PJSIP/290-00000009", "1.9", prefix="Spyer") | channel(*AGENT, prefix="Spyee")
    assert line.receive(event("ChanSpyStart", **spy))[-1].inside is None
    assert line.receive(event("ChanSpyStop", **spy))[-1].inside == AGENTS


def test_on_hold_nobody_speaks() -> None:
    line = talking()
    assert line.receive(event("Hold", **channel(*AGENT)))[-1].inside is None
    assert line.receive(event("Unhold", **channel(*AGENT)))[-1].inside == AGENTS


@pytest.mark.parametrize("gone", [TRUNK, AGENT])
def test_after_a_hang_up_nobody_is_there(gone: tuple[str, str]) -> None:
    line = talking()
    assert line.receive(hung_up(*gone))[-1].inside is None


def test_a_call_that_goes_out_again_over_the_trunk_is_nobodys() -> None:
    line = Line()
    line.call_ids["PJSIP/provider-00000007"] = ""
    line.receive(made(*TRUNK) + made("PJSIP/provider-00000007", "1.7"))
    line.receive(entered(*TRUNK, count=1) + entered("PJSIP/provider-00000007", "1.7", count=2))
    assert line.inside is None


def test_a_channel_without_a_name_is_nobody() -> None:
    line = Line()
    line.receive(made(*TRUNK) + made("", "1.2"))
    line.receive(entered(*TRUNK, count=1) + entered("", "1.2", count=2))
    assert line.inside is None


def test_two_pings_pass_before_it_is_said_as_of_the_first() -> None:
    line = talking()
    line.answers = False
    asked = line.now
    line.reader.ask(asked)
    first = responses(line.reader.to_send(), {})
    assert line.receive(first) == []
    said = line.receive(responses(b"Action: Ping\r\nActionID: ping-2\r\n\r\n", {}))
    assert [(it.conversation, it.inside, it.at) for it in said] == [(CALL, AGENTS, asked)]


def test_nothing_counts_before_asterisk_lets_us_in() -> None:
    reader = AmiReader("doelband", "secret", ("provider",))
    assert reader.receive(BANNER + made(*TRUNK) + entered(*TRUNK), START) == []
    assert not reader.is_ready
    with pytest.raises(Broken, match="refused"):
        reader.receive(responses(reader.to_send(), {}, refuse=True), START)


@pytest.mark.parametrize("sent", [b"HTTP/1.1 400 Bad Request\r\n", b"SSH-2.0-OpenSSH_10.0\r\n"])
def test_what_is_no_manager_interface_is_left(sent: bytes) -> None:
    with pytest.raises(Broken):
        AmiReader("doelband", "secret", ("provider",)).receive(sent, START)


def test_an_event_without_end_is_not_waited_for() -> None:
    line = Line()
    with pytest.raises(Broken):
        line.receive(b"Event: " + b"x" * 70_000)


def test_it_does_not_matter_how_the_bytes_are_cut() -> None:
    whole, cut = talking(), Line()
    text = made(*TRUNK, "+31612345678") + made(*AGENT, "+31201234567")
    text += entered(*AGENT, count=1) + entered(*TRUNK, count=2)
    for place in range(len(text)):
        cut.receive(text[place : place + 1])
    assert cut.inside == whole.inside


def test_what_is_said_shows_nobody() -> None:
    line = talking()
    assert "201" not in repr(line.said)
    assert "201" not in repr(line.reader)
    assert line.said[-1].at - START < timedelta(minutes=1)
