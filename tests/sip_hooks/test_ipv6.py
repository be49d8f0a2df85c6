"""IPv6 in signalling, and both IP versions in one call: RFC 5118, in messages of our own."""

from __future__ import annotations

import pytest

from sip_hooks.engine import Listener, Packet
from sip_hooks.events import Anchor, CallOffered, Disturbance, MediaNegotiated
from sip_hooks.identity import identities
from sip_hooks.message import parse
from sip_hooks.settings import Address
from tests.fakes.sip import Bench, causes, field_of, invite, only, reply, request, routes_of, sdp

US6: Address = ("2001:db8::1", 5060)
PBX6: Address = ("2001:db8::2", 5060)
PHONE6: Address = ("2001:db8::9", 5070)
PHONE4: Address = ("10.0.0.9", 5070)

SIX = (Listener("six", "both", *US6),)
BESIDE = (Listener("four", "phones", "10.0.0.1", 5060), Listener("six", "both", *US6))
ANCHOR = Anchor(("10.0.0.1", 20000), ("2001:db8::1", 20002), 77)


def sdp6(address: str, port: int = 6000) -> bytes:
    return sdp("10.0.0.8", port).replace(b"IN IP4 10.0.0.8", b"IN IP6 " + address.encode())


def called(bench: Bench, via: str) -> Packet:
    """A call to the PBX; what leaves."""
    message = invite().replace(b"SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKphone1", via.encode())
    bench.receive(message, PHONE6)
    return only(bench.forward())


# --- RFC 5118 §4.1 to 4.10


@pytest.mark.parametrize(
    ("host", "is_taken"),
    [
        ("[2001:db8::10]", True),
        ("2001:db8::10", False),  # §4.2: no brackets
        ("[2001:db8::10:5070]", True),  # §4.3: all of it is the address
        ("[2001:db8::10]:5070", True),  # §4.4
        ("[2001:db8:::192.0.2.1]", True),  # §4.10: three colons
    ],
)
def test_an_ipv6_reference_stands_in_brackets(host: str, is_taken: bool) -> None:
    bench = Bench(SIX, PBX6)
    sent = only(bench.receive(request("REGISTER", f"sip:{host}", sender=("[2001:db8::9]", 5070)), PHONE6))
    assert (sent.destination == PBX6) is is_taken
    if not is_taken:
        assert sent.data.startswith(b"SIP/2.0 400")


@pytest.mark.parametrize(
    ("via", "noted"),
    [
        ("SIP/2.0/UDP [2001:db8::9]:5070;branch=z9hG4bK1", ""),
        ("SIP/2.0/UDP [2001:DB8:0::9];branch=z9hG4bK1", ""),  # another spelling of the same address
        ("SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bK1", ";received=2001:db8::9"),
        ("SIP/2.0/UDP phone.example;branch=z9hG4bK1", ";received=2001:db8::9"),
        ("SIP/2.0/UDP [2001:db8::9];rport;branch=z9hG4bK1", ";received=2001:db8::9"),
        # §4.5: a received parameter in brackets, which the grammar forbids, is read and put right
        ("SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::7];branch=z9hG4bK1", ";received=2001:db8::9"),
        ("SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bK1", ";received=2001:db8::9"),
    ],
)
def test_a_via_says_where_its_request_really_came_from(via: str, noted: str) -> None:
    ours, theirs = field_of(called(Bench(SIX, PBX6), via=via).data, "via")
    assert ours.startswith("SIP/2.0/UDP [2001:db8::1]:5060;branch=")
    assert theirs.partition(";received=")[2] == noted.partition("=")[2]
    if ";rport" in via:
        assert ";rport=5070;" in theirs


def test_vias_of_both_ip_versions_lead_the_answer_back() -> None:
    """§4.7."""
    bench = Bench(SIX, PBX6)
    via = "SIP/2.0/UDP [2001:db8::9]:5070;branch=z9hG4bK1"
    older = "SIP/2.0/UDP 192.0.2.5;branch=z9hG4bK2, SIP/2.0/UDP [::ffff:192.0.2.6];branch=z9hG4bK3"
    sent = called(bench, via=f"{via}, {older}")
    back = only(bench.receive(reply(sent.data, 180), PBX6))
    assert back.destination == PHONE6
    assert ", ".join(field_of(back.data, "via")) == f"{via}, {older}"


def test_media_of_both_ip_versions_are_more_than_one_stream() -> None:
    """§4.8: audio over one, video over the other; the description passes as it is."""
    bench = Bench(SIX, PBX6)
    body = sdp6("2001:db8::9") + b"m=video 6002 RTP/AVP 31\r\nc=IN IP4 10.0.0.9\r\n"
    bench.receive(invite(body=body), PHONE6)
    assert only(bench.forward()).data.endswith(body)


# --- dialogs


def test_an_ipv6_call_comes_back_through_us() -> None:
    bench = Bench(SIX, PBX6)
    bench.receive(invite(body=sdp6("2001:db8::9")), PHONE6)
    media = Anchor(("2001:db8::1", 20000), ("2001:db8::1", 20002), 77)
    sent = only(bench.forward(media=media))
    assert b"c=IN IP6 2001:db8::1\r\nt=0 0\r\nm=audio 20002 " in sent.data
    contact = "Contact: <sip:202@[2001:db8::8]:5080>"
    answer = reply(sent.data, headers=[contact], body=sdp6("2001:db8::8"))
    back = only(bench.receive(answer, PBX6)).data
    assert b"m=audio 20000 " in back
    assert field_of(back, "record-route")[0].startswith("<sip:[2001:db8::1]:5060;lr;db=")
    bye = request("BYE", "sip:202@[2001:db8::8]:5080", callee="<sip:202@x>;tag=b", headers=routes_of(back))
    assert only(bench.receive(bye, PHONE6)).destination == ("2001:db8::8", 5080)


def test_phone_and_pbx_of_two_ip_versions_are_each_told_their_own() -> None:
    bench = Bench(BESIDE, PBX6)
    sent, back = bridged(bench, sdp6("2001:db8::8"))
    (offered,) = bench.of(CallOffered)
    assert offered.families == (4, 6)
    assert (sent.listener, sent.destination) == ("six", PBX6)
    assert b"c=IN IP6 2001:db8::1\r\nt=0 0\r\nm=audio 20002 " in sent.data
    assert (back.listener, back.destination) == ("four", PHONE4)
    assert b"c=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 20000 " in back.data
    assert [route.partition(";")[0] for route in field_of(sent.data, "record-route")] == [
        "<sip:[2001:db8::1]:5060",
        "<sip:10.0.0.1:5060",
    ]
    last = bench.of(MediaNegotiated)[-1]
    assert last.caller and last.callee
    assert (last.caller.address, last.callee.address) == ("10.0.0.9", "2001:db8::8")
    bye = request(
        "BYE", "sip:202@[2001:db8::8]:5080", callee="<sip:202@x>;tag=b", headers=routes_of(back.data)
    )
    left = only(bench.receive(bye, PHONE4, "four"))
    assert (left.listener, left.destination) == ("six", ("2001:db8::8", 5080))


def bridged(bench: Bench, answer: bytes) -> tuple[Packet, Packet]:
    """A call of PHONE4 to an IPv6 PBX up to its 200: the INVITE and the 200 as they leave."""
    bench.receive(invite(), PHONE4, "four")
    sent = only(bench.forward(media=ANCHOR))
    contact = "Contact: <sip:202@[2001:db8::8]:5080>"
    return sent, only(bench.receive(reply(sent.data, headers=[contact], body=answer), PBX6, "six"))


def test_an_answer_in_an_ip_version_that_its_side_lacks_is_not_led_to_us() -> None:
    bench = Bench(BESIDE, PBX6)
    _, back = bridged(bench, sdp("10.0.0.8", 6000))
    assert b"c=IN IP4 10.0.0.8" in back.data
    assert causes(bench) == [Disturbance.UNANCHORED]


@pytest.mark.parametrize("held", [b"IN IP4 0.0.0.0", b"IN IP6 ::"])
def test_hold_in_either_spelling_is_no_change_of_ip_version(held: bytes) -> None:
    bench = Bench(BESIDE, PBX6)
    _, back = bridged(bench, sdp6("2001:db8::8").replace(b"c=IN IP6 2001:db8::8", b"c=" + held))
    assert b"c=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 20000 " in back.data
    assert Disturbance.UNANCHORED not in causes(bench)


def test_a_phone_is_reached_at_the_listener_of_its_ip_version() -> None:
    bench = Bench(BESIDE, PBX6)
    for source, name in ((PHONE4, "four"), (PHONE6, "six")):
        data = request(
            "REGISTER", "sip:pbx.example", call_id=name, headers=["Contact: <sip:201@phone.example>"]
        )
        sent = only(bench.receive(data, source, name))
        contact = field_of(sent.data, "contact")[0].strip("<>")
        assert contact.endswith("@[2001:db8::1]:5060")
        bench.receive(invite(contact, call_id=f"to-{name}"), PBX6, "six")
        left = only(bench.forward())
        assert (left.listener, left.destination) == (name, source)


def test_where_no_listener_speaks_the_ip_version_nothing_leaves() -> None:
    bench = Bench(SIX, PBX6)
    answer = only(bench.receive(invite("sip:201@10.0.0.9:5070"), PBX6))
    assert answer.data.startswith(b"SIP/2.0 404") and answer.destination == PBX6


def test_our_own_media_are_recognised_in_any_spelling() -> None:
    bench = Bench(SIX, PBX6, media_address="2001:db8::1")
    bench.receive(invite(body=sdp6("2001:DB8:0::1", 20010)), PHONE6)
    assert [event.already_anchored for event in bench.of(CallOffered)] == [True]


def test_a_party_is_the_same_in_every_spelling_of_its_host() -> None:
    uris = [b"201@[2001:DB8::9]", b"201@[2001:db8:0:0::9]"]
    messages = [parse(invite(caller=f"<sip:{uri.decode()}>;tag=a")) for uri in uris]
    named = [[it for it in identities(message).named if it.header == "from"] for message in messages]
    assert named[0] == named[1]
