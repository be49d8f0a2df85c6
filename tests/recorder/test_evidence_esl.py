"""FreeSWITCH's events, and what they say about who speaks inside. Transcripts, not a real FreeSWITCH."""

from __future__ import annotations

import pytest

from recorder.evidence.esl import EslReader
from recorder.evidence.statements import Broken
from tests.fakes.freeswitch import CALL, GREETING, START, Line, between, phone, replies, reply, trunk

AGENT = frozenset({"201"})


def talking() -> Line:
    """An inbound call on the trunk that agent 201 has answered."""
    line = Line()
    line.receive(trunk("CHANNEL_CREATE") + phone("CHANNEL_CREATE") + phone("CHANNEL_ANSWER"))
    line.receive(trunk("CHANNEL_ANSWER") + between())
    return line


def test_a_call_between_trunk_and_agent_is_the_agents() -> None:
    assert talking().inside == AGENT


def test_an_agent_who_called_is_who_it_says_and_not_whom_it_called() -> None:
    line = Line()
    called = {
        "Call_Direction": "inbound",
        "Caller_Caller_ID_Number": "201",
        "Caller_Destination_Number": "0612345678",
    }
    line.receive(phone("CHANNEL_CREATE", **called) + trunk("CHANNEL_CREATE", Call_Direction="outbound"))
    line.receive(between())
    assert line.inside == AGENT


def test_a_transfer_inside_says_nobody_before_it_says_the_doctor() -> None:
    line = talking()
    assert line.receive(between("CHANNEL_UNBRIDGE"))[-1].inside is None
    line.receive(phone("CHANNEL_CREATE", "250"))
    assert line.receive(between(extension="250"))[-1].inside == frozenset({"250"})


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        (phone("CHANNEL_HOLD"), phone("CHANNEL_UNHOLD")),
        (
            phone("MEDIA_BUG_START", Media_Bug_Function="eavesdrop", Media_Bug_Target="uuid-290"),
            phone("MEDIA_BUG_STOP", Media_Bug_Function="eavesdrop", Media_Bug_Target="uuid-290"),
        ),
    ],
)
def test_on_hold_and_while_somebody_listens_in_it_is_uncertain(begins: bytes, ends: bytes) -> None:
    line = talking()
    assert line.receive(begins)[-1].inside is None
    assert line.receive(ends)[-1].inside == AGENT


def test_a_recording_of_freeswitch_itself_listens_and_is_nobody() -> None:
    line = talking()
    assert (
        line.receive(phone("MEDIA_BUG_START", Media_Bug_Function="session_record", Media_Bug_Target="f"))
        == []
    )


@pytest.mark.parametrize("gone", [phone("CHANNEL_DESTROY"), trunk("CHANNEL_DESTROY")])
def test_after_a_hang_up_nobody_is_there(gone: bytes) -> None:
    assert talking().receive(gone)[-1].inside is None


def test_a_phone_that_was_there_before_we_listened_is_nobody_we_know() -> None:
    line = Line()
    line.receive(trunk("CHANNEL_CREATE") + between())
    assert line.inside is None


def test_what_is_asked_is_said_as_of_then() -> None:
    line = talking()
    asked = line.now
    line.reader.ask(asked)
    said = line.receive(b"\n")
    assert [(it.conversation, it.inside, it.at) for it in said] == [(CALL, AGENT, asked)]


def test_nothing_counts_before_freeswitch_lets_us_in() -> None:
    reader = EslReader("wrong", ("external",))
    reader.receive(GREETING, START)
    assert not reader.is_ready
    with pytest.raises(Broken, match="refused"):
        reader.receive(replies(reader.to_send(), refuse=True), START)


@pytest.mark.parametrize(
    "sent",
    [
        b"Content-Type: text/rude-rejection\nContent-Length: 5\n\nsorry",
        b"Content-Type: text/disconnect-notice\n\n",
        b"HTTP/1.1 400 Bad Request\n\n",
        b"Content-Length: -1\n\n",
        b"Content-Length: 2\nContent-Type: text/event-json\n\n{]",
        b"Content-Length: 2\nContent-Type: text/event-json\n\n[]",
        reply("-ERR no such event"),
        b"x" * 1_000_001,
    ],
)
def test_what_is_no_event_socket_is_left(sent: bytes) -> None:
    with pytest.raises(Broken):
        Line().receive(sent)


def test_it_does_not_matter_how_the_bytes_are_cut() -> None:
    cut = Line()
    text = trunk("CHANNEL_CREATE") + phone("CHANNEL_CREATE") + between()
    for place in range(len(text)):
        cut.receive(text[place : place + 1])
    assert cut.inside == AGENT
