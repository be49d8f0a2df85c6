"""Each rule of a transparent proxy, named after the failure it prevents; what leaves is compared bytewise."""

from __future__ import annotations

import pytest

from sip_hooks.events import CallEnded, CallOffered
from sip_hooks.message import parse
from tests.fakes.sip import (
    ANCHOR,
    OTHER,
    PBX,
    PHONE,
    TWO,
    US,
    Bench,
    differences,
    field_of,
    invite,
    only,
    reply,
    request,
    routes_of,
    sdp,
)

DIALOG = "<sip:202@pbx.example>;tag=b"
TARGET = "sip:202@10.0.0.8:5080"


def answered(bench: Bench) -> tuple[bytes, bytes]:
    """A call that the PBX answered; returns the INVITE as the PBX got it and the 200 as the phone got it."""
    bench.receive(invite())
    forwarded = only(bench.forward(media=ANCHOR)).data
    answer = reply(forwarded, body=sdp("10.0.0.8", 6000))
    return forwarded, only(bench.receive(answer, PBX, bench.settings.listeners[-1].name)).data


def within(
    method: str, uri: str = TARGET, number: int = 2, headers: tuple[str, ...] = (), tag: str = "b"
) -> bytes:
    """A request of the caller within the dialog."""
    callee = f"<sip:202@pbx.example>;tag={tag}"
    return request(method, uri, branch=f"z9hG4bK{method}", callee=callee, number=number, headers=headers)


def from_callee(method: str, headers: tuple[str, ...] = (), branch: str = "z9hG4bKpbx") -> bytes:
    """A request of the callee within the dialog."""
    return request(
        method,
        "sip:201@10.0.0.9:5070",
        branch=branch,
        sender=PBX,
        caller="<sip:202@pbx.example>;tag=b",
        callee="<sip:201@pbx.example>;tag=a",
        headers=headers,
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
    assert len(sent.data) - len(data) < 140, "our own headers make datagrams too long"


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


# --- A2, A3: staying in the dialog


def test_a_bye_by_route_is_not_lost() -> None:
    bench = Bench()
    _, answer = answered(bench)
    sent = only(bench.receive(within("BYE", headers=tuple(routes_of(answer)))))
    assert sent.destination == OTHER
    assert field_of(sent.data, "route") == []
    assert [event.cause for event in bench.of(CallEnded)] == ["bye"]


def test_with_two_listeners_each_side_is_told_an_address_it_can_reach() -> None:
    bench = Bench(TWO)
    forwarded, answer = answered(bench)
    assert [route.split(";")[0] for route in field_of(forwarded, "record-route")] == [
        "<sip:10.1.0.1:5060",
        "<sip:10.0.0.1:5060",
    ]
    caller = only(bench.receive(within("INFO", headers=tuple(routes_of(answer))), PHONE, "in"))
    assert (caller.listener, field_of(caller.data, "route")) == ("out", [])
    headers = tuple(f"Route: {value}" for value in field_of(forwarded, "record-route"))
    callee = only(bench.receive(from_callee("BYE", headers), PBX, "out"))
    assert (callee.listener, callee.destination, field_of(callee.data, "route")) == ("in", PHONE, [])


def test_the_routes_of_others_stay() -> None:
    bench = Bench()
    _, answer = answered(bench)
    further = "Route: <sip:10.0.0.3;lr>"
    sent = only(bench.receive(within("BYE", headers=(*routes_of(answer), further))))
    assert sent.destination == ("10.0.0.3", 5060)
    assert field_of(sent.data, "route") == ["<sip:10.0.0.3;lr>"]


def test_a_record_route_that_the_far_end_dropped_is_put_back() -> None:
    bench = Bench(TWO)
    bench.receive(invite(headers=["Record-Route: <sip:10.0.0.7;lr>"]))
    forwarded = only(bench.forward()).data
    answer = only(bench.receive(reply(forwarded, keep_record_route=False), PBX, "out")).data
    assert field_of(answer, "record-route") == field_of(forwarded, "record-route")


def test_a_record_route_that_is_there_is_not_doubled() -> None:
    forwarded, answer = answered(Bench())
    assert field_of(answer, "record-route") == field_of(forwarded, "record-route")


@pytest.mark.parametrize("uri", [TARGET, "sip:201@10.0.0.9:5070", "sip:202@pbx.example"])
def test_a_phone_without_routes_does_not_lose_its_bye(uri: str) -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward(media=ANCHOR)).data
    headers = [f"Contact: <{TARGET}>", "Record-Route: <sip:10.0.0.2;lr>"]
    headers += [f"Record-Route: {value}" for value in field_of(forwarded, "record-route")]
    bench.receive(reply(forwarded, headers=headers, keep_record_route=False), PBX)
    sent = only(bench.receive(within("BYE", uri)))
    assert sent.data.startswith(f"BYE {TARGET} SIP/2.0\r\n".encode())
    assert field_of(sent.data, "route") == ["<sip:10.0.0.2;lr>"]
    assert sent.destination == PBX
    assert [event.cause for event in bench.of(CallEnded)] == ["bye"]


def test_the_bye_of_a_called_pyvoip_is_no_loop_and_is_answered_by_transaction() -> None:
    """It carries the whole Via stack of the INVITE, ours on top, and no Route."""
    bench = Bench()
    uri = registered(bench)
    bench.receive(invite(uri, sender=PBX), PBX)
    forwarded = only(bench.forward()).data
    bench.receive(reply(forwarded, headers=["Contact: <sip:201@10.0.0.9:5070>"]), PHONE)
    vias = [f"Via: {value}" for value in field_of(forwarded, "via")]
    lines = from_callee("BYE").decode().split("\r\n")
    at = next(index for index, line in enumerate(lines) if line.startswith("Via"))
    bye = "\r\n".join([*lines[:at], *vias, *lines[at + 1 :]]).encode()
    sent = only(bench.receive(bye, PHONE))
    assert sent.destination == PHONE  # the caller's Contact: nothing of the PBX's own is in the way
    answer = only(bench.receive(reply(sent.data, tag=""), PBX))
    assert answer.destination == PHONE
    assert [value.partition(";received")[0] for value in field_of(answer.data, "via")] == [
        via.removeprefix("Via: ") for via in vias
    ]


def test_a_random_to_tag_and_the_dialled_uri_in_an_ack_find_the_call() -> None:
    """As pyVoIP does it: prefix included, the INVITE's branch again, no Route."""
    bench = Bench()
    bench.receive(invite("sip:*9202@10.0.0.1"))
    forwarded = only(bench.forward(strip=2)).data
    bench.receive(reply(forwarded), PBX)
    sent = only(bench.receive(request("ACK", "sip:*9202@10.0.0.1", callee="<sip:*9202@10.0.0.1>;tag=random")))
    assert sent.destination == OTHER
    assert sent.data.startswith(b"ACK sip:202@10.0.0.8:5080 SIP/2.0\r\n")


def test_the_prefix_is_stripped_from_every_request_uri_that_carries_it() -> None:
    bench = Bench()
    bench.receive(invite("sip:*9202@pbx.example"))
    forwarded = only(bench.forward(strip=2)).data
    assert forwarded.startswith(b"INVITE sip:202@pbx.example SIP/2.0\r\n")
    answer = only(bench.receive(reply(forwarded, headers=()), PBX)).data
    sent = only(bench.receive(within("ACK", "sip:*9202@pbx.example", 1, tuple(routes_of(answer))))).data
    assert sent.startswith(b"ACK sip:202@pbx.example SIP/2.0\r\n")


def test_a_dialog_that_was_forgotten_still_reaches_the_far_end() -> None:
    _, answer = answered(Bench())
    bench = Bench()  # as after a restart
    assert only(bench.receive(within("BYE", headers=tuple(routes_of(answer))))).destination == OTHER
    assert bench.events == []


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


# --- sides and spirals


def test_a_call_from_the_pbx_to_nobody_is_answered_404() -> None:
    bench = Bench()
    assert parse(only(bench.receive(invite("sip:202@10.0.0.1", sender=PBX), PBX)).data).status == 404
    assert bench.events == []


def test_a_dialog_that_crosses_twice_is_two_passes_and_ends_twice() -> None:
    """Through a PBX that is a proxy and does not record-route: the BYE never sees the PBX."""
    bench = Bench()
    token = registered(bench, OTHER)
    bench.receive(invite())
    outward = only(bench.forward(media=ANCHOR)).data
    bench.receive(
        outward.replace(b"sip:202@pbx.example SIP", token.encode() + b" SIP").replace(
            b"Via", b"Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKreg\r\nVia", 1
        ),
        PBX,
    )
    assert [event.already_anchored for event in bench.of(CallOffered)] == [False, True]
    inward = only(bench.forward())
    assert inward.destination == OTHER
    back = only(bench.receive(reply(inward.data, body=sdp("10.0.0.8", 6000)), OTHER)).data
    answer = only(bench.receive(_without_top_via(back), PBX)).data
    assert parse(answer).body.count(b"m=audio 20000") == 1
    sent = only(bench.receive(within("BYE", headers=tuple(routes_of(answer)))))
    assert sent.destination == OTHER
    assert len(field_of(sent.data, "via")) == 3
    final = only(bench.receive(reply(sent.data, tag=""), OTHER))
    assert (final.destination, len(field_of(final.data, "via"))) == (PHONE, 1)
    calls = [event.call for event in bench.of(CallEnded)]
    assert len(set(calls)) == len(calls) == 2


def _without_top_via(data: bytes) -> bytes:
    before, _, rest = data.partition(b"Via: ")
    return before + rest.partition(b"\r\n")[2]


def registered(bench: Bench, phone: tuple[str, int] = PHONE) -> str:
    """Register a phone; returns its Contact as the PBX knows it."""
    contact = f"Contact: <sip:{201 if phone == PHONE else 202}@{phone[0]}:{phone[1]}>"
    data = request("REGISTER", "sip:pbx.example", sender=phone, call_id="r", headers=[contact])
    return field_of(only(bench.receive(data, phone)).data, "contact")[0].strip("<>")


def test_our_own_address_as_outbound_proxy_is_taken_off() -> None:
    bench = Bench()
    sent = only(bench.receive(request("OPTIONS", headers=[f"Route: <sip:{US[0]};lr>"])))
    assert (sent.destination, field_of(sent.data, "route")) == (PBX, [])
