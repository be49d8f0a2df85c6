"""Comparing readings finds a reader that finds somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from fuzz import partner
from fuzz.reading import Reading, differences, forwarded, is_recorded, ours
from fuzz.readings import compare
from fuzz.smuggling import URI
from sip_hooks.errors import MessageError
from sip_hooks.headers import parse_name_addr
from sip_hooks.message import Message

INVITE = (
    b"INVITE " + URI + b" SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.31;branch=z9hG4bKq\r\nMax-Forwards: 70\r\n"
    b"From: <sip:201@pbx.example>;tag=a\r\nTo: <" + URI + b">\r\nCall-ID: q\r\nCSeq: 1 INVITE\r\n"
    b"Contact: <sip:201@192.0.2.31>\r\nP-Asserted-Identity: <sip:201@pbx.example>\r\n"
    b"Content-Type: application/sdp\r\n\r\n"
    b"v=0\r\no=a 1 1 IN IP4 192.0.2.31\r\ns=-\r\nc=IN IP4 192.0.2.31\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"
)
SAME = {
    "request-uri": URI,
    "from": b"sip:201@pbx.example",
    "to": URI,
    "call-id": b"q",
    "p-asserted-identity": b"sip:201@pbx.example",
    "contact": b"sip:201@192.0.2.31",
}
CONTACT = b"sip:+31612345678@192.0.2.77:5060"
SAME_OF_ANSWER = {
    "status": b"183",
    "from": b"sip:201@pbx.example",
    "to": URI,
    "call-id": b"s0@phone.example",
    "contact": CONTACT,
}


def response(status: int = 183) -> bytes:
    return partner.answer(Random(1), forwarded(), status)


def of_us(messages: Sequence[bytes]) -> list[Reading | None]:
    """A reader that reads as we do."""
    read = [ours(it) for it in messages]
    return [None if it is None else _reading(it) for it in read]


def _reading(message: Message) -> Reading:
    found = {"request-uri": message.request_uri, "call-id": message.call_id, "status": b"%d" % message.status}
    for name in ("from", "to"):
        try:
            found[name] = parse_name_addr(message.first(name.encode()) or b"").uri.raw
        except MessageError:
            found[name] = b""
    return found


def misled(messages: Sequence[bytes]) -> list[Reading | None]:
    """One that takes everybody for the doctor."""
    return [None if it is None else {**it, "from": b"sip:250@pbx.example"} for it in of_us(messages)]


def test_the_call_from_which_all_begin_is_recorded_and_read_alike() -> None:
    message = ours(INVITE)
    assert message is not None
    assert differences(message, SAME) == []
    assert is_recorded(INVITE)


@pytest.mark.parametrize("name", SAME)
def test_a_difference_is_seen(name: str) -> None:
    message = ours(INVITE)
    assert message is not None
    assert differences(message, {**SAME, name: b"sip:250@pbx.example"}) == [name]


def test_a_difference_in_a_response_is_seen() -> None:
    message = ours(response())
    assert message is not None
    assert differences(message, SAME_OF_ANSWER) == []
    for name in SAME_OF_ANSWER:
        assert differences(message, {**SAME_OF_ANSWER, name: b"sip:250@pbx.example"}) == [name]


def test_a_reader_who_is_misled_is_found() -> None:
    assert compare(60, 1, {"us": of_us})["faults"] == []
    faults = compare(60, 1, {"misled": misled})["faults"]
    assert {it["index"] % 2 for it in faults} == {0, 1}, "in INVITEs and in responses"
    assert all(it["misled"] == ["from"] for it in faults)


@pytest.mark.parametrize("spoiled", [b"250", b"203", b"2"])
def test_whom_nobody_may_record_is_not(spoiled: bytes) -> None:
    assert not is_recorded(INVITE.replace(b"201@pbx", spoiled + b"@pbx"))


@pytest.mark.parametrize("status", [180, 181, 183, 200])
def test_who_answers_must_not_be_somebody_whom_nobody_may_record(status: int) -> None:
    assert is_recorded(response(status))
    doctor = response(status).replace(CONTACT, b"sip:250@192.0.2.77")
    assert not is_recorded(doctor)
    assert not is_recorded(response(status).replace(CONTACT, b"sip:+31612345678@192.0.2.77>, <sip:250@x"))


def test_a_response_that_reaches_nobody_records_nothing() -> None:
    assert not is_recorded(response().replace(b"branch=z9hG4bK", b"branch=z9hG4bKx"))
