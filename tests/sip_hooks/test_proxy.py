"""Each rule of a transparent proxy, named after the failure it prevents; what leaves is compared bytewise."""

from __future__ import annotations

import pytest

from sip_hooks.events import CallEnded, CallOffered
from sip_hooks.message import parse
from tests.fakes.sip import (
    ANCHOR,
    DIALOG,
    OTHER,
    PBX,
    PHONE,
    TARGET,
    Bench,
    answered,
    differences,
    field_of,
    invite,
    only,
    registered,
    reply,
    request,
    routes_of,
    sdp,
)

# --- A1, A13: bytes


def test_an_anchored_invite_leaves_with_only_the_listed_edits() -> None:
    odd = ["x-Custom:  kept   as it is ", "Supported: 100rel", "s: latin \xe9", "User-Agent: Phone"]
    bench = Bench()
    data = invite(headers=odd)
    bench.receive(data)
    sent = only(bench.forward(strip=0, media=ANCHOR))
    gone, added = differences(data, sent.data)
    assert sent.destination == PBX
    assert gone == [
        "Max-Forwards: 70",
        f"Content-Length: {len(sdp())}",
        "c=IN IP4 10.0.0.9",
        "m=audio 4000 RTP/AVP 8 0",
    ]
    assert [line.partition(";")[0] for line in added] == [
        "Via: SIP/2.0/UDP 10.0.0.1:5060",
        "Record-Route: <sip:10.0.0.1:5060",
        "Max-Forwards: 69",
        f"Content-Length: {len(sdp()) + 1}",
        "c=IN IP4 10.0.0.1",
        "m=audio 20002 RTP/AVP 8 0",
    ]
    assert len(sent.data) - len(data) < 165, "our own headers make datagrams too long"


def test_an_answer_leaves_with_only_the_listed_edits() -> None:
    bench = Bench()
    bench.receive(invite())
    data = reply(only(bench.forward(media=ANCHOR)).data, body=sdp("10.0.0.8", 6000))
    sent = only(bench.receive(data, PBX))
    gone, added = differences(data, sent.data)
    assert sent.destination == PHONE
    assert [line.partition(";")[0] for line in gone] == [
        "Via: SIP/2.0/UDP 10.0.0.1:5060",
        f"Content-Length: {len(sdp('10.0.0.8', 6000))}",
        "c=IN IP4 10.0.0.8",
        "m=audio 6000 RTP/AVP 8 0",
    ]
    assert added == [
        f"Content-Length: {len(sdp('10.0.0.8', 6000)) + 1}",
        "c=IN IP4 10.0.0.1",
        "m=audio 20000 RTP/AVP 8 0",
    ]


@pytest.mark.parametrize("method", ["OPTIONS", "MESSAGE", "SUBSCRIBE", "PUBLISH", "INFO", "NOTIFY", "X-OWN"])
def test_an_unknown_or_uninteresting_method_is_not_broken(method: str) -> None:
    bench = Bench()
    data = request(method, headers=["Event: x", "Contact: <sip:201@10.0.0.9:5070>"])
    sent = only(bench.receive(data))
    gone, added = differences(data, sent.data)
    assert gone == ["Max-Forwards: 70"]
    new = ["Via"] + ["Record-Route"] * (method == "SUBSCRIBE") + ["Max-Forwards"]
    assert [line.partition(":")[0] for line in added] == new


def test_a_call_without_media_passes_its_descriptions_untouched() -> None:
    bench = Bench()
    bench.receive(invite())
    sent = only(bench.forward(media=None)).data
    assert parse(sent).body == sdp()
    back = only(bench.receive(reply(sent, body=sdp("10.0.0.8", 6000)), PBX)).data
    assert parse(back).body == sdp("10.0.0.8", 6000)


# --- A4, A6: repetitions and ACKs


def test_a_repeated_request_is_forwarded_once_and_answered_again() -> None:
    bench = Bench()
    sent = only(bench.receive(request("OPTIONS")))
    assert bench.receive(request("OPTIONS")) == []
    answer = only(bench.receive(reply(sent.data), PBX))
    assert only(bench.receive(request("OPTIONS"))) == answer


def test_a_branch_used_again_after_a_401_is_a_new_call() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward()).data
    ack, challenge = bench.receive(reply(forwarded, 401), PBX)
    assert ack.destination == PBX and ack.data.startswith(b"ACK sip:202@pbx.example SIP/2.0\r\n")
    assert challenge.destination == PHONE
    assert bench.receive(request("ACK", callee="<sip:202@pbx.example>;tag=x")) == [], "hop by hop"
    bench.receive(invite(number=2, headers=["Authorization: Digest x=y"]))
    assert len(bench.of(CallOffered)) == 2
    assert only(bench.forward()).destination == PBX


def test_the_ack_of_a_2xx_with_the_branch_of_the_invite_reaches_the_far_end() -> None:
    bench = Bench()
    _, answer = answered(bench)
    ack = request("ACK", TARGET, callee=DIALOG, headers=routes_of(answer))
    for _ in range(2):
        assert only(bench.receive(ack)).destination == OTHER


def test_an_ack_is_never_sent_to_ourselves() -> None:
    bench = Bench()
    for uri in ("sip:202@10.0.0.1", "sip:10.0.0.1:5060", "sip:202@pbx.example"):
        assert bench.receive(request("ACK", uri, callee=DIALOG)) == []
        assert bench.receive(request("ACK", uri, callee=DIALOG), PBX) == []
    assert bench.engine.counters["stray ACKs"] == 6


# --- A5, A7, A8


def test_a_100_comes_after_200_ms_and_only_without_another_response() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward()).data
    assert bench.receive(reply(forwarded, 100), PBX) == [], "a 100 is never forwarded"
    assert bench.wait(0.199) == []
    trying = only(bench.wait(0.01))
    assert (parse(trying.data).status, trying.destination) == (100, PHONE)
    quick = Bench()
    quick.receive(invite())
    quick.receive(reply(only(quick.forward()).data, 180), PBX)
    assert quick.wait(10) == []


def test_every_2xx_is_forwarded() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward()).data
    for tag in ("b", "b", "c"):
        assert parse(only(bench.receive(reply(forwarded, tag=tag), PBX)).data).to_tag == tag.encode()


def test_a_cancel_waits_for_a_1xx_and_carries_the_invites_branch() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward()).data
    answer = only(bench.receive(request("CANCEL", headers=['Reason: SIP;cause=200;text="elsewhere"'])))
    assert parse(answer.data).status == 200
    cancel, ringing = bench.receive(reply(forwarded, 180), PBX)
    assert cancel.destination == PBX and parse(ringing.data).status == 180
    assert cancel.data.startswith(b"CANCEL sip:202@pbx.example SIP/2.0\r\n")
    assert field_of(cancel.data, "via") == field_of(forwarded, "via")[:1]
    assert field_of(cancel.data, "reason") == ['SIP;cause=200;text="elsewhere"']
    assert bench.receive(reply(cancel.data), PBX) == []
    ack, final = bench.receive(reply(forwarded, 487), PBX)
    assert ack.data.startswith(b"ACK ") and parse(final.data).status == 487
    assert [(event.cause, event.status) for event in bench.of(CallEnded)] == [("cancelled", 487)]


def test_a_call_cancelled_while_held_is_never_forwarded() -> None:
    bench = Bench()
    bench.receive(invite())
    statuses = [parse(packet.data).status for packet in bench.receive(request("CANCEL"))]
    assert statuses == [200, 487]
    assert bench.forward() == []
    assert [event.cause for event in bench.of(CallEnded)] == ["cancelled"]


def test_a_200_after_a_cancel_is_an_answered_call() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward()).data
    bench.receive(request("CANCEL"))
    assert parse(only(bench.receive(reply(forwarded), PBX)).data).status == 200
    assert bench.of(CallEnded) == []


def test_a_missing_487_leaves_no_phone_ringing() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward()).data
    bench.receive(reply(forwarded, 180), PBX)
    bench.receive(request("CANCEL"))
    statuses = {parse(packet.data).status for packet in bench.wait(33) if packet.destination == PHONE}
    assert statuses == {487}
    assert [event.cause for event in bench.of(CallEnded)] == ["cancelled"]


def test_a_cancel_of_nothing_is_answered_481() -> None:
    assert parse(only(Bench().receive(request("CANCEL"))).data).status == 481


# --- A9, A14, B5, B7, B9, B11


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        ("10.0.0.9:5070;branch=z9hG4bK1", "10.0.0.9:5070;branch=z9hG4bK1"),
        (
            "10.0.0.9:5070;rport;branch=z9hG4bK1",
            "10.0.0.9:5070;rport=31000;branch=z9hG4bK1;received=203.0.113.7",
        ),
        ("192.168.1.2;branch=z9hG4bK1", "192.168.1.2;branch=z9hG4bK1;received=203.0.113.7"),
        ("192.168.1.2;received=6.6.6.6;branch=z9hG4bK1", "192.168.1.2;branch=z9hG4bK1;received=203.0.113.7"),
    ],
)
def test_answers_go_to_the_source_whatever_the_via_says(via: str, expected: str) -> None:
    source = ("203.0.113.7", 31000) if "10.0.0.9:5070;branch" not in via else PHONE
    bench = Bench()
    data = request("OPTIONS").replace(b"10.0.0.9:5070;branch=z9hG4bKphone1", via.encode())
    sent = only(bench.receive(data, source))
    assert field_of(sent.data, "via")[1] == f"SIP/2.0/UDP {expected}"
    assert only(bench.receive(reply(sent.data), PBX)).destination == source


def test_options_to_ourselves_is_answered_and_to_others_forwarded() -> None:
    bench = Bench()
    assert parse(only(bench.receive(request("OPTIONS", "sip:10.0.0.1"))).data).status == 200
    assert only(bench.receive(request("OPTIONS", "sip:pbx.example", branch="z9hG4bK2"))).destination == PBX
    qualify = request("OPTIONS", registered(bench), sender=PBX)
    assert only(bench.receive(qualify, PBX)).destination == PHONE


def test_keep_alives_are_not_mistaken_for_messages() -> None:
    bench = Bench()
    for data in (b"\r\n\r\n", b"\r\n", b"\0\0\0\0", b""):
        assert bench.receive(data) == []
    assert bench.engine.counters == {"keep-alives": 4}


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        (b"Max-Forwards: 70", b"Max-Forwards: 0", 483),
        (b"Max-Forwards: 70", b"Proxy-Require: foo", 420),
        (b"Content-Length: 0", b"Content-Length: 10", 400),
        (b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia", 505),
        (b"OPTIONS sip:", b"OPTIONS http:", 416),
    ],
)
def test_a_bad_request_is_answered_what_it_is_owed(before: bytes, after: bytes, status: int) -> None:
    bench = Bench()
    answer = only(bench.receive(request("OPTIONS").replace(before, after)))
    assert (parse(answer.data).status, answer.destination) == (status, PHONE)
    assert parse(answer.data).to_tag
    assert bench.receive(request("ACK").replace(before, after)) == [], "an ACK is never answered"


def test_an_answer_of_ours_adds_no_second_tag() -> None:
    answer = only(
        Bench().receive(request("BYE", callee=DIALOG).replace(b"Forwards: 70", b"Forwards: 0"))
    ).data
    assert answer.count(b";tag=") == 2 and b"To: " + DIALOG.encode() + b"\r\n" in answer


def test_a_420_names_what_is_not_supported() -> None:
    data = request("OPTIONS", headers=["Proxy-Require: foo, bar"])
    assert field_of(only(Bench().receive(data)).data, "unsupported") == ["foo", "bar"]


def test_max_forwards_is_given_to_who_has_none() -> None:
    sent = only(Bench().receive(request("OPTIONS").replace(b"Max-Forwards: 70\r\n", b"")))
    assert field_of(sent.data, "max-forwards") == ["70"]


def test_a_loop_ends_at_its_first_turn_and_a_spiral_goes_on() -> None:
    bench = Bench()
    token = registered(bench)
    sent = only(bench.receive(request("MESSAGE", token))).data
    assert parse(only(bench.receive(sent.replace(token.encode(), b"sip:201@10.0.0.7"), PBX)).data).is_request
    looping = Bench()
    sent = only(looping.receive(request("MESSAGE", token))).data
    assert parse(only(looping.receive(sent, PBX)).data).status == 482


def test_no_408_to_a_non_invite() -> None:
    bench = Bench()
    bench.receive(request("MESSAGE"))
    assert {packet.destination for packet in bench.wait(100)} == {PBX}
    assert bench.engine.transactions == 0


def test_a_silent_pbx_means_408_for_a_call() -> None:
    bench = Bench()
    bench.receive(invite())
    bench.forward()
    packets = bench.wait(40)
    assert {parse(packet.data).status for packet in packets if packet.destination == PHONE} == {100, 408}
    assert [packet.destination for packet in packets].count(PBX) == 6  # Timer A: seven in all
    assert [(event.cause, event.status) for event in bench.of(CallEnded)] == [("timeout", 408)]


def test_extra_bytes_after_the_body_are_no_part_of_it() -> None:
    bench = Bench()
    bench.receive(invite() + b"trailing")
    assert parse(only(bench.forward(media=ANCHOR)).data).body == sdp("10.0.0.1", 20002).replace(
        b"o=- 1 1 IN IP4 10.0.0.1", b"o=- 1 1 IN IP4 10.0.0.9"
    )
