"""What the two ends agree upon between themselves passes, whatever the proxy in their midst makes of it."""

from __future__ import annotations

import pytest

from sip_hooks.events import CallEnded, CallOffered, Disturbance, MediaNegotiated
from sip_hooks.message import parse
from sip_hooks.settings import Listener
from tests.fakes.sip import (
    ANCHOR,
    DIALOG,
    OTHER,
    PBX,
    PHONE,
    TARGET,
    Bench,
    answered,
    causes,
    differences,
    field_of,
    from_callee,
    invite,
    only,
    registered,
    reply,
    request,
    routes_of,
    sdp,
    within,
)

RELIABLE = ["Contact: <sip:202@10.0.0.8:5080>", "Require: 100rel", "RSeq: 7"]


def left(packet: bytes, arrived: bytes) -> list[str]:
    """Which lines of a message did not leave as they arrived, by the names of their headers."""
    gone, _ = differences(arrived, packet)
    return sorted({line.partition(":")[0] for line in gone})


# --- A1, A11, B2, B3, B4: every byte that is not ours


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("INVITE", ["Session-Expires: 1800;refresher=uac", "Min-SE: 90", "Supported: timer,100rel,replaces"]),
        ("INVITE", ["Replaces: 4@10.0.0.8;to-tag=1;from-tag=2;early-only", "Require: replaces"]),
        ("INVITE", ["Target-Dialog: x;local-tag=1;remote-tag=2", "Join: x;to-tag=1;from-tag=2"]),
        ("REFER", ["Refer-To: <sip:203@pbx.example?Replaces=4%4010.0.0.8%3Bto-tag%3D1%3Bfrom-tag%3D2>"]),
        ("NOTIFY", ["Event: refer;id=1", "Subscription-State: terminated;reason=noresource"]),
        ("UPDATE", ["Session-Expires: 1800;refresher=uac"]),
        ("OPTIONS", ["User-Agent: Phone/1.0  (two spaces)", "Accept-Language: nl, en;q=0.5"]),
    ],
)
def test_what_the_ends_tell_each_other_passes_byte_for_byte(method: str, headers: list[str]) -> None:
    bench = Bench()
    if method == "INVITE":
        data = invite(headers=headers)
        bench.receive(data)
        sent = only(bench.forward()).data
    else:
        answered(bench)
        data = within(method, headers=(*headers, "Contact: <sip:201@10.0.0.9:5070>"))
        sent = only(bench.receive(data)).data
    assert left(sent, data) == ["Max-Forwards"]


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("FROBNICATE", ["Require: what-nobody-knows", "X-Thing: 1"]),
        ("MESSAGE", ["Content-Encoding: gzip", "Content-Language: x-none"]),
        ("PUBLISH", ["Event: nobody-knows", "SIP-If-Match: 1"]),
        ("INVITE", ["Require: what-nobody-knows", "Proxy-Require:"]),
    ],
)
def test_what_we_do_not_know_and_need_not_understand_goes_on(method: str, headers: list[str]) -> None:
    bench = Bench()
    data = invite(headers=headers) if method == "INVITE" else request(method, headers=headers)
    sent = bench.receive(data) or bench.forward()
    assert only(sent).destination == PBX
    assert left(only(sent).data, data) == ["Max-Forwards"]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (302, ["Contact: <sip:203@10.0.0.7>;q=0.7, <tel:+31201234567>"]),
        (
            401,
            ['WWW-Authenticate: Digest realm="a",nonce="n=="', 'WWW-Authenticate: Digest realm="b",nonce=""'],
        ),
        (407, ['Proxy-Authenticate: Digest realm="pbx", qop="auth"']),
        (420, ["Unsupported: 100rel"]),
        (422, ["Min-SE: 120"]),
        (486, ["Retry-After: 60", "Reason: Q.850;cause=17"]),
        (494, ["Security-Server: tls;q=0.2"]),
    ],
)
def test_a_refusal_passes_byte_for_byte(status: int, headers: list[str]) -> None:
    bench = Bench()
    bench.receive(invite())
    answer = reply(only(bench.forward()).data, status, headers=headers)
    ack, sent = bench.receive(answer, PBX)
    assert parse(ack.data).method == b"ACK"
    assert left(sent.data, answer) == ["Via"]


# --- A2


def test_a_route_that_names_our_advertised_address_is_ours() -> None:
    """Behind a NAT of our own the phones know us by another address than the one we are bound to."""
    listeners = (
        Listener("in", "phones", "10.0.0.1", 5060, "198.51.100.1", 15060),
        Listener("out", "pbx", "10.1.0.1", 5060),
    )
    bench = Bench(listeners)
    _, answer = answered(bench)
    routes = routes_of(answer)
    assert "198.51.100.1:15060" in routes[0]
    sent = only(bench.receive(within("BYE", headers=tuple(routes)), PHONE, "in"))
    assert (sent.destination, field_of(sent.data, "route")) == (OTHER, [])
    assert [event.cause for event in bench.of(CallEnded)] == ["bye"]


# --- A7, A12: forks


def test_a_bye_to_a_fork_that_lost_does_not_end_the_call() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward(media=ANCHOR)).data
    winner = only(bench.receive(reply(forwarded, tag="b", body=sdp("10.0.0.8", 6000)), PBX)).data
    loser = reply(forwarded, tag="c", headers=["Contact: <sip:9@10.0.0.7:5090>"], body=sdp("10.0.0.7", 7000))
    assert parse(only(bench.receive(loser, PBX)).data).to_tag == b"c", "a 2xx was not forwarded"
    bye = within("BYE", "sip:9@10.0.0.7:5090", tag="c", headers=tuple(routes_of(winner)))
    assert only(bench.receive(bye)).destination == ("10.0.0.7", 5090)
    assert bench.of(CallEnded) == []
    bench.receive(within("BYE", headers=tuple(routes_of(winner)), branch="z9hG4bKb"))
    assert [event.cause for event in bench.of(CallEnded)] == ["bye"]


# --- A8: a CANCEL that crosses a response


def test_a_cancel_that_comes_after_the_200_changes_nothing() -> None:
    bench = Bench()
    _, answer = answered(bench)
    assert parse(only(bench.receive(request("CANCEL"))).data).status == 200
    assert bench.of(CallEnded) == []
    sent = only(bench.receive(request("ACK", TARGET, callee=DIALOG, headers=routes_of(answer))))
    assert sent.destination == OTHER


def test_a_cancel_that_comes_after_the_refusal_changes_nothing() -> None:
    bench = Bench()
    bench.receive(invite())
    bench.receive(reply(only(bench.forward()).data, 486), PBX)
    assert [parse(packet.data).status for packet in bench.receive(request("CANCEL"))] == [200]
    assert [(event.cause, event.status) for event in bench.of(CallEnded)] == [("rejected", 486)]


def test_a_cancel_that_is_sent_again_is_answered_again_and_forwarded_once() -> None:
    bench = Bench()
    bench.receive(invite())
    bench.receive(reply(only(bench.forward()).data, 180), PBX)
    first = bench.receive(request("CANCEL"))
    assert sorted(packet.destination for packet in first) == [PBX, PHONE]
    assert [packet.destination for packet in bench.receive(request("CANCEL"))] == [PHONE]


# --- A13


def test_a_message_that_grows_beyond_the_mtu_stays_on_udp() -> None:
    """A PBX that listens on UDP would never hear it over TCP (RFC 3261 §18.1.1 is not for us)."""
    bench = Bench()
    bench.receive(invite(headers=[f"X-Long: {'x' * 1200}"]))
    sent = only(bench.forward())
    assert len(sent.data) > 1500 and sent.destination == PBX
    assert field_of(sent.data, "via")[0].startswith("SIP/2.0/UDP ")


# --- B1: PRACK in an early dialog


@pytest.mark.parametrize("has_routes", [True, False])
def test_a_prack_reaches_the_fork_that_it_acknowledges(has_routes: bool) -> None:
    bench = Bench()
    bench.receive(invite(headers=["Supported: 100rel"]))
    forwarded = only(bench.forward()).data
    for tag, contact in (("b", "sip:1@10.0.0.7:5090"), ("c", "sip:2@10.0.0.6:5100")):
        early = reply(forwarded, 183, tag=tag, headers=[f"Contact: <{contact}>", *RELIABLE[1:]])
        sent = only(bench.receive(early, PBX)).data
        assert left(sent, early) == ["Via"]
    routes = tuple(routes_of(sent)) if has_routes else ()
    data = within("PRACK", "sip:1@10.0.0.7:5090", headers=(*routes, "RAck: 7 1 INVITE"))
    prack = only(bench.receive(data))
    assert prack.destination == ("10.0.0.7", 5090)
    assert field_of(prack.data, "rack") == ["7 1 INVITE"]
    assert only(bench.receive(reply(prack.data), ("10.0.0.7", 5090))).destination == PHONE
    assert bench.of(CallEnded) == [] and causes(bench) == []


# --- B5: a PBX that sends a call back


def test_a_call_that_the_pbx_sends_back_to_another_phone_is_a_spiral_and_no_loop() -> None:
    bench = Bench()
    token = registered(bench)
    bench.receive(invite())
    forwarded = only(bench.forward(media=ANCHOR)).data
    hairpin = forwarded.replace(b"INVITE sip:202@pbx.example", b"INVITE " + token.encode())
    assert bench.receive(hairpin, PBX) == []
    assert len(bench.of(CallOffered)) == 2
    assert only(bench.forward()).destination == PHONE


def test_a_call_that_the_pbx_sends_back_to_the_pbx_is_ended_before_it_melts() -> None:
    bench = Bench()
    bench.receive(invite(f"sip:202@{PBX[0]}"))
    looping = only(bench.forward()).data
    (answer,) = bench.receive(looping, PHONE)
    assert parse(answer.data).status == 482


# --- B7


@pytest.mark.parametrize("method", ["BYE", "UPDATE", "INFO", "PRACK", "REFER"])
def test_a_request_within_the_call_that_nobody_answers_gets_no_408_of_ours(method: str) -> None:
    bench = Bench()
    _, answer = answered(bench)
    bench.receive(within(method, headers=tuple(routes_of(answer))))
    assert PHONE not in {packet.destination for packet in bench.wait(100)}


def test_a_request_of_the_callee_within_an_early_dialog_reaches_the_caller() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward(media=ANCHOR)).data
    bench.receive(reply(forwarded, 183, headers=RELIABLE, body=sdp("10.0.0.8", 6000)), PBX)
    routes = tuple(f"Route: {value}" for value in field_of(forwarded, "record-route"))
    sent = only(bench.receive(from_callee("UPDATE", routes, body=sdp("10.0.0.8", 6010)), PBX))
    assert sent.destination == PHONE and b"m=audio 20000 " in sent.data
    bench.receive(reply(sent.data, body=sdp()))
    last = bench.of(MediaNegotiated)[-1]
    assert last.callee and last.callee.rtp_port == 6010 and not last.answered
    assert causes(bench) == [Disturbance.UPDATE, Disturbance.REINVITE_CHANGED]
