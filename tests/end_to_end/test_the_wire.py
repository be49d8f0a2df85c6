"""The comparison of what came with what left: it undoes what a proxy may do, and sees everything else."""

from __future__ import annotations

import pytest

from tests.end_to_end.peers.wire import Datagram, strange

PROXY, PHONE, PBX = ("127.0.0.1", 5060), ("127.0.0.1", 5070), ("127.0.0.1", 5080)
CAME = (
    "INVITE sip:*31200@pbx.example SIP/2.0\r\n"
    "v: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKa;rport\r\n"
    "Max-Forwards: 70\r\nFrom:<sip:201@pbx.example>;tag=a\r\nTo:  <sip:200@pbx.example>\r\n"
    "Call-ID: 1\r\nCSeq: 1 INVITE\r\nX-Own: kept\r\nContent-Length: 41\r\n\r\n"
    "c=IN IP4 10.0.0.1\r\nm=audio 40 RTP/AVP 8\r\n"
)
LEFT = (
    "INVITE sip:200@pbx.example SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKb\r\n"
    "v: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKa;rport=5070;received=127.0.0.1\r\n"
    "Record-Route: <sip:127.0.0.1:5060;lr>\r\n"
    "Max-Forwards: 69\r\nFrom:<sip:201@pbx.example>;tag=a\r\nTo:  <sip:200@pbx.example>\r\n"
    "Call-ID: 1\r\nCSeq: 1 INVITE\r\nX-Own: kept\r\nContent-Length: 45\r\n\r\n"
    "c=IN IP4 127.0.0.1\r\nm=audio 20000 RTP/AVP 8\r\n"
)


def passed(left: str) -> list[str]:
    seen = [Datagram(PHONE, PROXY, CAME.encode()), Datagram(PROXY, PBX, left.encode())]
    return strange(seen, PROXY, "*31")


def test_the_listed_edits_are_undone() -> None:
    assert passed(LEFT) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sip:200@pbx.example SIP", "sip:201@pbx.example SIP"),
        ("From:<", "From: <"),
        ("X-Own: kept\r\n", ""),
        ("X-Own: kept", "X-Own: kepT"),
        ("Call-ID: 1\r\nCSeq: 1 INVITE", "CSeq: 1 INVITE\r\nCall-ID: 1"),
        ("RTP/AVP 8", "RTP/AVP 0"),
        ("Record-Route: <sip:127.0.0.1:5060;lr>", "Record-Route: <sip:127.0.0.1:5061;lr>"),
        ("branch=z9hG4bKa", "branch=z9hG4bKA"),
    ],
)
def test_any_other_edit_is_found(old: str, new: str) -> None:
    assert LEFT.count(old) == 1
    assert passed(LEFT.replace(old, new))


def test_what_was_swallowed_or_made_up_is_found() -> None:
    came, left = Datagram(PHONE, PROXY, CAME.encode()), Datagram(PROXY, PBX, LEFT.encode())
    assert strange([came], PROXY, "*31")
    assert strange([left], PROXY, "*31")
