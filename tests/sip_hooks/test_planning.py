"""A dialog stays with us until its end, whatever the phones leave out; a request goes where it should."""

from __future__ import annotations

import pytest

from sip_hooks.events import CallEnded, CallOffered
from sip_hooks.message import parse
from tests.fakes.sip import (
    ANCHOR,
    OTHER,
    PBX,
    PHONE,
    TARGET,
    TWO,
    US,
    Bench,
    answered,
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


def test_an_escaped_prefix_is_stripped_by_its_characters() -> None:
    bench = Bench()
    bench.receive(invite("sip:%2331202@pbx.example"))
    forwarded = only(bench.forward(strip=3)).data
    assert forwarded.startswith(b"INVITE sip:202@pbx.example SIP/2.0\r\n")


def test_a_request_uri_that_names_us_within_a_dialog_goes_to_the_pbx() -> None:
    bench = Bench()
    bench.receive(invite("sip:202@10.0.0.1"))
    answer = only(bench.receive(reply(only(bench.forward()).data, headers=()), PBX)).data
    for headers in ((), tuple(routes_of(answer))):
        assert only(bench.receive(within("ACK", "sip:202@10.0.0.1", 1, headers))).destination == PBX


def test_only_the_dialled_user_is_stripped() -> None:
    bench = Bench()
    bench.receive(invite("sip:*9202@pbx.example"))
    answer = only(bench.receive(reply(only(bench.forward(strip=2)).data), PBX)).data
    sent = only(bench.receive(within("INFO", "sip:*9203@10.0.0.8", 2, tuple(routes_of(answer))))).data
    assert sent.startswith(b"INFO sip:*9203@10.0.0.8 SIP/2.0\r\n")


def test_a_dialog_that_was_forgotten_still_reaches_the_far_end() -> None:
    _, answer = answered(Bench())
    bench = Bench()  # as after a restart
    elsewhere = tuple(routes_of(answer.replace(b";db=", b";db=x")))  # as if made with another key
    assert only(bench.receive(within("BYE", headers=elsewhere))).destination == OTHER
    assert bench.events == []


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


def test_our_own_address_as_outbound_proxy_is_taken_off() -> None:
    bench = Bench()
    sent = only(bench.receive(request("OPTIONS", headers=[f"Route: <sip:{US[0]};lr>"])))
    assert (sent.destination, field_of(sent.data, "route")) == (PBX, [])
