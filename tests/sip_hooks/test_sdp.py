"""A description says where its audio goes, what stands in the way, and is rewritten in three places only."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_hooks.codecs import Codec
from sip_hooks.errors import MessageError
from sip_hooks.sdp import Description, MediaEnd, Obstacle, describe, rewrite

OFFER = (
    b"v=0\r\n"
    b"o=phone 1 2 IN IP4 192.0.2.9\r\n"
    b"s=caf\xe9\r\n"
    b"c=IN IP4 10.0.0.2\r\n"
    b"t=0 0\r\n"
    b"m=audio 4000 RTP/AVP 8 0 96 97 101\r\n"
    b"a=rtpmap:8 PCMA/8000\r\n"
    b"a=rtpmap:96 opus/48000/2\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\n"
    b"a=fmtp:101 0-15\r\n"
    b"a=ptime:20\r\n"
    b"a=sendrecv\r\n"
)
VIDEO = b"m=video 5000 RTP/AVP 31\r\n"
KEY = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b64encode(bytes(30)) + b"\r\n"


def described(old: bytes = b"", new: bytes = b"") -> Description:
    return describe(changed(old, new))


def changed(old: bytes, new: bytes) -> bytes:
    assert not old or OFFER.count(old) == 1
    return OFFER.replace(old, new) if old else OFFER + new


def end_of(description: Description) -> MediaEnd:
    assert description.end is not None
    return description.end


def test_an_offer_is_described() -> None:
    description = describe(OFFER)
    assert description == Description(
        MediaEnd(
            address="10.0.0.2",
            rtp_port=4000,
            rtcp_port=4001,
            codecs=(
                Codec(8, "PCMA", 8000, 1),
                Codec(0, "PCMU", 8000, 1),
                Codec(96, "OPUS", 48000, 2),
                Codec(97, "", 0, 0),
            ),
            telephone_events=frozenset((101,)),
            direction="sendrecv",
            ptime=20,
            rtcp_address="10.0.0.2",
            rtcp_mux=False,
        ),
        frozenset(),
        b"phone 1 2 IN IP4 192.0.2.9",
    )
    assert end_of(description).payload_types == {8, 0, 96, 97, 101}


def test_keys_and_whether_they_must_be_used_are_described() -> None:
    end = end_of(describe(changed(b"RTP/AVP", b"RTP/SAVP") + KEY + KEY.replace(b":1 ", b":2 ")))
    assert ([it.tag for it in end.cryptos], end.is_secured) == ([1, 2], True)
    end = end_of(described(b"", KEY))
    assert ([it.tag for it in end.cryptos], end.is_secured) == ([1], False)
    assert "inline" not in repr(end)
    assert "crypto" not in repr(end)


def test_line_ends_make_no_difference() -> None:
    assert describe(OFFER.replace(b"\r\n", b"\n")) == describe(OFFER) == describe(OFFER.rstrip(b"\r\n"))


def test_the_address_of_the_audio_is_that_of_its_own_section() -> None:
    assert end_of(described(b"97 101\r\n", b"97 101\r\nc=IN IP4 10.0.0.3\r\n")).address == "10.0.0.3"


@pytest.mark.parametrize(
    ("attribute", "port", "address", "is_muxed"),
    [
        (b"", 4001, "10.0.0.2", False),
        (b"a=rtcp:5001\r\n", 5001, "10.0.0.2", False),
        (b"i=rtcp:5001\r\n", 4001, "10.0.0.2", False),
        (b"a=rtcp:5001 IN IP4 10.0.0.8\r\n", 5001, "10.0.0.8", False),
        (b"a=rtcp:4000\r\na=rtcp-mux\r\n", 4000, "10.0.0.2", True),
    ],
)
def test_rtcp_is_where_it_says(attribute: bytes, port: int, address: str, is_muxed: bool) -> None:
    end = end_of(described(b"", attribute))
    assert (end.rtcp_port, end.rtcp_address, end.rtcp_mux) == (port, address, is_muxed)


@pytest.mark.parametrize(
    ("old", "new", "direction", "is_held"),
    [
        (b"a=sendrecv\r\n", b"", "sendrecv", False),
        (b"a=sendrecv", b"a=sendonly", "sendonly", True),
        (b"a=sendrecv", b"a=inactive", "inactive", True),
        (b"a=sendrecv", b"a=recvonly", "recvonly", False),
        (b"audio 4000", b"audio 0", "inactive", True),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP4 0.0.0.0", "sendonly", True),
        (b"a=sendrecv", b"a=recvonly\r\nc=IN IP4 0.0.0.0", "inactive", True),
        (b"t=0 0\r\n", b"t=0 0\r\na=sendonly\r\n", "sendrecv", False),  # the section's own word wins
        (b"101\r\n", b"101\r\ni=sendonly\r\n", "sendrecv", False),  # a title, no attribute
    ],
)
def test_hold_is_seen_in_all_its_spellings(old: bytes, new: bytes, direction: str, is_held: bool) -> None:
    end = end_of(described(old, new))
    assert (end.direction, end.is_held) == (direction, is_held)


def test_a_direction_of_the_session_holds_for_a_section_that_names_none() -> None:
    body = OFFER.replace(b"a=sendrecv\r\n", b"").replace(b"t=0 0\r\n", b"t=0 0\r\na=sendonly\r\n")
    assert end_of(describe(body)).direction == "sendonly"


@pytest.mark.parametrize(
    ("value", "ptime"), [(b"ptime:20", 20), (b"ptime:x", None), (b"ptime:2.5", None), (b"x", None)]
)
def test_a_ptime_that_is_no_number_is_none(value: bytes, ptime: int | None) -> None:
    assert end_of(described(b"a=ptime:20", b"a=" + value)).ptime == ptime


@pytest.mark.parametrize(
    ("old", "new", "obstacles"),
    [
        (b"", VIDEO, set()),
        (b"", VIDEO + b"m=audio 0 RTP/AVP 0\r\n", set()),
        (b"t=0 0\r\n", b"t=0 0\r\na=group:BUNDLE 0\r\n", set()),
        (b"", b"m=audio 6000 RTP/AVP 0\r\n", {Obstacle.SEVERAL_MEDIA}),
        (b"audio 4000", b"audio 4000/2", {Obstacle.SEVERAL_MEDIA}),
        (b"", VIDEO.replace(b"5000", b"0"), set()),
        (b"", VIDEO.replace(b"5000", b"0") + b"a=crypto:1 x inline:y\r\na=candidate:1\r\n", set()),
        (b"", VIDEO.replace(b"5000", b"0") + b"a=bundle-only\r\n", set()),
        (b"", b"m=audio 6000 TCP/RTP/AVP 0\r\n", {Obstacle.SEVERAL_MEDIA}),
        (b"m=audio", b"m=video", {Obstacle.NO_AUDIO}),
        (b"RTP/AVP", b"udptl", {Obstacle.NO_AUDIO}),
        (b"RTP/AVP", b"TCP/RTP/AVP", {Obstacle.NO_AUDIO}),
        (b"audio 4000 RTP/AVP 8", b"audio 0 RTP/AVP 8\r\nm=video 5000 RTP/AVP 31", {Obstacle.NO_AUDIO}),
        (b"", b"a=candidate:1 1 UDP 2130706431 10.0.0.2 4000 typ host\r\n", set()),
        (b"t=0 0\r\n", b"t=0 0\r\na=ice-ufrag:x\r\n", set()),
        (b"t=0 0\r\n", b"t=0 0\r\na=ICE-lite\r\na=fingerprint:sha-256 AA\r\n", {Obstacle.ICE, Obstacle.DTLS}),
        (b"", VIDEO + b"a=candidate:1\r\na=tls-id:x\r\n", {Obstacle.ICE}),
        (b"RTP/AVP", b"RTP/SAVP", {Obstacle.SRTP}),
        (b"RTP/AVP", b"RTP/SAVPF", {Obstacle.SRTP}),
        (b"RTP/AVP", b"RTP/AVPF", set()),
        (b"audio 4000", b"audio 0", set()),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP4 223.255.255.255", set()),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP4 224.0.0.1", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP4 10.0.2", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP4 10.0.0.0.2", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP5 10.0.0.2", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=XX IP4 10.0.0.2", {Obstacle.UNREADABLE}),
        (b"a=ptime:20", b"a=rtpmap:8 PCMU/8000", {Obstacle.UNREADABLE}),
        (b"a=ptime:20", b"a=rtpmap:8 PCMA/8000", set()),
        (b"rtpmap:8 PCMA", b"rtpmap:8 P(A", {Obstacle.UNREADABLE}),
        (b"rtpmap:8 PCMA", b"rtpmap:8 \xe9", {Obstacle.UNREADABLE}),
        (b"", b"a=rtcp:4001\r\na=rtcp:4003\r\n", {Obstacle.UNREADABLE}),
        (b"", b"a=rtcp:4001 IN IP4\r\n", {Obstacle.UNREADABLE}),
        (b"", b"a=rtcp:4001 XX IP4 10.0.0.2\r\n", {Obstacle.UNREADABLE}),
        (b"", b"a=rtcp:4001 IN IP4 10.0.0.2 x\r\n", {Obstacle.UNREADABLE}),
        (b"", b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n", {Obstacle.SRTP}),
        (b"", KEY, set()),
        (b"RTP/AVP", b"RTP/SAVP", {Obstacle.SRTP}),
        (b"a=ptime:20\r\n", b"a=zrtp-hash:1.10 x\r\n" + KEY, {Obstacle.SRTP}),
        (b"a=ptime:20\r\n", KEY + b"a=crypto:2 NEW inline:x\r\n", set()),
        (b"t=0 0\r\n", b"t=0 0\r\n" + KEY, {Obstacle.SRTP}),
        (b"", b"a=zrtp-hash:1.10 x\r\n", {Obstacle.SRTP}),
        (b"t=0 0\r\n", b"t=0 0\r\na=key-mgmt:mikey x\r\n", {Obstacle.SRTP}),
        (b"t=0 0\r\n", b"k=prompt\r\nt=0 0\r\n", {Obstacle.SRTP}),
        (b"", b"a=tcap:1 RTP/SAVP\r\na=pcfg:1 t=1\r\n", {Obstacle.SRTP}),
        (b"t=0 0\r\n", b"t=0 0\r\na=fingerprint:sha-256 AA\r\n", {Obstacle.DTLS}),
        (b"RTP/AVP", b"UDP/TLS/RTP/SAVP", {Obstacle.DTLS, Obstacle.SRTP}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP6 2001:db8::1", set()),
        (b"", b"a=rtcp:4001 IN IP6 2001:db8::1\r\n", set()),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP6 10.0.0.2", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP4 2001:db8::1", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP6 fe80::1%eth0", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP6 fe80::1", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP6 ff15::101/3", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP6 ff15::101", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP6 [2001:db8::1]", {Obstacle.UNREADABLE}),
        (b"", b"a=altc:1 IP6 2001:db8::1 4000\r\n", set()),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP4 phone.example", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP4 010.0.0.2", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP4 10.0.0.256", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP4 \xd9\xa3.0.0.2", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP4 224.2.1.1/127", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP4 255.255.255.255", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2", b"c=ATM NSAP 1", {Obstacle.UNREADABLE}),
        (b"c=IN IP4 10.0.0.2\r\n", b"", {Obstacle.UNREADABLE}),
        (b"t=0 0\r\n", b"c=IN IP4 10.0.0.3\r\n", {Obstacle.UNREADABLE}),
        (b"audio 4000 RTP/AVP 8", b"audio 4000 RTP/AVP 128", {Obstacle.UNREADABLE}),
        (b"audio 4000 RTP/AVP 8", b"audio 4000 RTP/AVP x", {Obstacle.UNREADABLE}),
        (b"a=rtpmap:8 PCMA/8000", b"a=rtpmap:8 PCMA", {Obstacle.UNREADABLE}),
        (b"", b"a=rtcp:70000\r\n", {Obstacle.UNREADABLE}),
        (b"", b"a=rtcp:0\r\n", {Obstacle.UNREADABLE}),
        (b"audio 4000", b"audio 65535", {Obstacle.UNREADABLE}),
        (b"audio 4000", b"audio 65534", set()),
        (b"rtpmap:96 opus", b"rtpmap:96 " + b"x" * 127, set()),
        (b"rtpmap:96 opus", b"rtpmap:96 " + b"x" * 128, {Obstacle.UNREADABLE}),
        (b"", b"a=rtcp:4001 IN\r\n", {Obstacle.UNREADABLE}),
    ],
)
def test_every_obstacle_is_named(old: bytes, new: bytes, obstacles: set[Obstacle]) -> None:
    assert described(old, new).obstacles == obstacles


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"<audio/>",
        b"v=1\r\n",
        b"t=0\r\n",
        OFFER.replace(b" RTP/AVP", b"  RTP/AVP"),
        OFFER[5:],
        OFFER.replace(b"audio 4000", b"audio 65536"),
        OFFER.replace(b"audio 4000", b"audio -1"),
        OFFER.replace(b"audio 4000", b"audio  4000"),
        OFFER.replace(b"m=audio", b"m =audio"),
        OFFER.replace(b"m=audio 4000 RTP/AVP 8 0 96 97 101", b"m=audio 4000 RTP/AVP"),
        OFFER + b"\r\nm=audio 1 RTP/AVP 0\r\n",
        OFFER.replace(b"s=caf\xe9", b"s=x\rc=IN IP4 10.0.0.7"),
        OFFER.replace(b"s=caf\xe9", b"s=x\0"),
    ],
)
def test_what_two_readers_could_read_differently_is_unreadable(body: bytes) -> None:
    assert describe(body) == Description(None, frozenset((Obstacle.UNREADABLE,)), b"")
    with pytest.raises(MessageError):
        rewrite(body, "192.0.2.1", (20000, 20001))


def test_anchoring_changes_address_and_port_and_nothing_else() -> None:
    assert rewrite(OFFER, "192.0.2.1", (20000, 20001)) == OFFER.replace(
        b"c=IN IP4 10.0.0.2", b"c=IN IP4 192.0.2.1"
    ).replace(b"audio 4000", b"audio 20000")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"a=ptime:20", b"a=rtcp:4001", b"a=rtcp:20001"),
        (b"a=ptime:20", b"a=rtcp:5 IN IP4 10.0.0.2", b"a=rtcp:20001 IN IP4 192.0.2.1"),
        (b"a=ptime:20", b"a=rtcp:4001 IN IP4 0.0.0.0", b"a=rtcp:20001 IN IP4 0.0.0.0"),
        (b"a=ptime:20", b"a=rtcp:4000\r\na=rtcp-mux", b"a=rtcp:20000\r\na=rtcp-mux"),
        (b"101\r\n", b"101\r\nc=IN IP4 10.0.0.3\r\n", b"101\r\nc=IN IP4 192.0.2.1\r\n"),
        (b"101\r\n", b"101\r\nc=IN IP4 0.0.0.0\r\n", b"101\r\nc=IN IP4 0.0.0.0\r\n"),
        (b"t=0 0\r\n", b"t=0 0\r\nm=video 0 RTP/AVP 31\r\nc=IN IP4 10.0.0.7\r\n", None),
    ],
)
def test_every_place_that_leads_audio_elsewhere_is_changed(
    old: bytes, new: bytes, expected: bytes | None
) -> None:
    anchored = OFFER.replace(b"IN IP4 10.0.0.2", b"IN IP4 192.0.2.1").replace(b"audio 4000", b"audio 20000")
    assert rewrite(changed(old, new), "192.0.2.1", (20000, 20001)) == anchored.replace(old, expected or new)


def test_a_held_address_stays_and_its_port_moves() -> None:
    body = changed(b"c=IN IP4 10.0.0.2", b"c=IN IP4 0.0.0.0")
    assert rewrite(body, "192.0.2.1", (20000, 20001)) == body.replace(b"audio 4000", b"audio 20000")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"c=IN IP4 192.0.2.1", b"c=IN IP6 2001:db8::1"),
        (b"c=IN IP4 0.0.0.0", b"c=IN IP6 ::"),
        (b"a=rtcp:20001 IN IP4 192.0.2.1", b"a=rtcp:20001 IN IP6 2001:db8::1"),
    ],
)
def test_each_party_is_shown_an_address_of_its_own_ip_version(old: bytes, new: bytes) -> None:
    """Forwards from IPv4 to IPv6, and back again."""
    body = rewrite(changed(b"a=ptime:20", b"a=rtcp:5 IN IP4 10.0.0.2"), "192.0.2.1", (20000, 20001))
    if b"0.0.0.0" in old:
        body = body.replace(b"c=IN IP4 192.0.2.1", old)
    led = rewrite(body, "2001:db8::1", (20000, 20001))
    assert new in led and b"192.0.2.1" not in led
    assert rewrite(led, "192.0.2.1", (20000, 20001)) == body


@pytest.mark.parametrize(
    ("written", "address", "is_held"),
    [
        (b"2001:DB8:0:0::0001", "2001:db8::1", False),
        (b"::ffff:192.0.2.7", "192.0.2.7", False),  # RFC 5118 §4.9
        (b"::", "::", True),
        (b"0:0:0:0:0:0:0:0", "::", True),
    ],
)
def test_an_ipv6_address_has_one_form(written: bytes, address: str, is_held: bool) -> None:
    end = end_of(described(b"c=IN IP4 10.0.0.2", b"c=IN IP6 " + written))
    assert (end.address, end.is_held) == (address, is_held)


def test_a_rejected_stream_stays_as_it_is() -> None:
    body = changed(b"audio 4000", b"audio 0")
    assert end_of(describe(body)).rtcp_port == 0
    assert rewrite(body, "192.0.2.1", (20000, 20001)) == body


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("title", [b"", b"i=x\r\n"])
def test_other_active_media_keep_their_address(line_end: bytes, title: bytes) -> None:
    body = changed(b"101\r\n", b"101\r\n" + title) + VIDEO
    head = b"97 101\r\n" + title
    expected = body.replace(b"audio 4000", b"audio 20000").replace(head, head + b"c=IN IP4 192.0.2.1\r\n")
    body, expected = body.replace(b"\r\n", line_end), expected.replace(b"\r\n", line_end)
    assert rewrite(body, "192.0.2.1", (20000, 20001)) == expected


@pytest.mark.parametrize(
    "video", [VIDEO.replace(b"5000", b"0"), VIDEO + b"c=IN IP4 10.0.0.7\r\n", VIDEO + b"c=IN IP6 ::1\r\n"]
)
def test_an_address_that_no_other_active_media_need_is_changed(video: bytes) -> None:
    assert (
        rewrite(OFFER + video, "192.0.2.1", (20000, 20001))
        == rewrite(OFFER, "192.0.2.1", (20000, 20001)) + video
    )


def test_a_held_address_that_others_share_gets_no_sibling() -> None:
    body = changed(b"c=IN IP4 10.0.0.2", b"c=IN IP4 0.0.0.0") + VIDEO
    assert rewrite(body, "192.0.2.1", (20000, 20001)) == body.replace(b"audio 4000", b"audio 20000")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"m=audio", b"m=video"),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP6 10.0.0.2"),
        (b"c=IN IP4 10.0.0.2", b"c=IN IP4 phone.example"),
        (b"c=IN IP4 10.0.0.2\r\n", b"c=IN IP4 phone.example\r\nm=audio 1 RTP/AVP 0\r\nc=IN IP4 10.0.0.3\r\n"),
        (b"c=IN IP4 10.0.0.2\r\n", b""),
    ],
)
def test_what_has_no_audio_end_cannot_be_rewritten(old: bytes, new: bytes) -> None:
    assert described(old, new).end is None
    with pytest.raises(MessageError):
        rewrite(changed(old, new), "192.0.2.1", (20000, 20001))


def test_no_address_shows_in_a_repr() -> None:
    assert "10.0.0" not in repr(describe(OFFER))


LINES = [
    *OFFER.splitlines(keepends=True),
    VIDEO,
    b"m=audio 0 RTP/AVP 0\n",
    b"c=IN IP4 0.0.0.0\n",
    b"c=IN IP4 10.0.0.5\r\n",
    b"a=rtcp:4001 IN IP4 10.0.0.2\n",
    b"a=rtcp:4000\r\n",
    b"i=x\n",
    b"a=\xff\r\n",
]


@settings(max_examples=400, derandomize=True)
@given(st.lists(st.sampled_from(LINES), max_size=9))
def test_rewriting_touches_three_kinds_of_lines_and_is_its_own_identity(lines: list[bytes]) -> None:
    body = b"v=0\r\nc=IN IP4 10.0.0.2\r\n" + b"".join(lines).replace(b"v=0\r\n", b"")
    before = describe(body)
    if before.end is None:
        return
    after = rewrite(body, "192.0.2.1", (20000, 20001))
    assert rewrite(after, "192.0.2.1", (20000, 20001)) == after
    kept = [[line for line in text.split(b"\n") if line[:2] not in (b"c=", b"m=")] for text in (body, after)]
    assert [x for x in kept[0] if b"rtcp" not in x] == [x for x in kept[1] if b"rtcp" not in x]
    end = end_of(describe(after))
    if before.end.rtp_port:
        assert (end.address, end.rtp_port) in (("192.0.2.1", 20000), ("0.0.0.0", 20000))
    assert (end.codecs, end.direction, end.rtcp_mux) == (
        before.end.codecs,
        before.end.direction,
        before.end.rtcp_mux,
    )
