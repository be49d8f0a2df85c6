"""RFC 5923: a verified PBX may use the connections that we make; nobody's word makes us use another's."""

from __future__ import annotations

import pytest

from sip_hooks.engine import Listener
from sip_hooks.settings import Address, Transport
from tests.fakes.sip import PBX, Bench, field_of, invite, only, reply, request

ONE: Address = ("203.0.113.7", 31000)
OTHER: Address = ("203.0.113.8", 32000)


def bench(phones: Transport = "tls", pbx: Transport = "tls", is_verified: bool = True) -> Bench:
    listeners = (
        Listener("in", "phones", "10.0.0.1", 5061, transport=phones),
        Listener("out", "pbx", "10.1.0.1", 5061, transport=pbx),
    )
    made = Bench(listeners, pbx_transport=pbx, pbx_is_verified=is_verified)
    for phone in (ONE, OTHER):
        made.connect(phone, "in")
    return made


def over(transport: str, data: bytes, sent_by: str = "", more: str = "") -> bytes:
    """The same request as it comes over a connection."""
    data = data.replace(b"SIP/2.0/UDP", b"SIP/2.0/" + transport.encode())
    if sent_by:
        data = data.replace(b"10.0.0.9:5070;branch", f"{sent_by}{more};branch".encode(), 1)
    return data


@pytest.mark.parametrize(
    ("pbx", "is_verified", "expected"),
    [("tls", True, True), ("tls", False, False), ("tcp", True, False), ("udp", True, False)],
)
def test_only_a_pbx_that_is_verified_is_told_that_it_may_use_our_connection(
    pbx: Transport, is_verified: bool, expected: bool
) -> None:
    on = bench(pbx=pbx, is_verified=is_verified)
    sent = only(on.stream(over("TLS", request("REGISTER", "sip:pbx")), ONE, "in"))
    assert field_of(sent.data, "via")[0].endswith(";alias") is expected


def test_a_cancel_has_the_via_of_its_invite_with_all_its_parameters() -> None:
    on = bench()
    on.stream(over("TLS", invite()), ONE, "in")
    sent = only(on.forward())
    on.receive(reply(sent.data, 180), PBX, "out")
    cancelled = on.stream(over("TLS", request("CANCEL", branch="z9hG4bKphone1")), ONE, "in")
    (cancel,) = [it.data for it in cancelled if it.data.startswith(b"CANCEL ")]
    assert field_of(cancel, "via") == field_of(sent.data, "via")[:1]
    assert field_of(cancel, "via")[0].endswith(";alias")


def test_what_the_pbx_sends_over_our_connection_is_heard_and_answered_there() -> None:
    on = bench()
    on.connect(PBX, "out")
    options = request("OPTIONS", "sip:10.1.0.1:5061").replace(b"10.0.0.9:5070", b"10.1.0.2:5061")
    answer = only(on.stream(over("TLS", options), PBX, "out"))
    assert (answer.destination, answer.listener) == (PBX, "out")
    assert answer.data.startswith(b"SIP/2.0 200 ")


def test_a_phone_is_never_told_so() -> None:
    on = bench()
    register = request("REGISTER", "sip:pbx", headers=["Contact: <sip:201@192.168.1.20:5070;transport=tls>"])
    sent = only(on.stream(over("TLS", register), ONE, "in"))
    (told,) = field_of(sent.data, "contact")
    on.receive(reply(sent.data, headers=[f"Contact: {told}"]), PBX, "out")
    on.receive(invite(told.strip("<>"), sender=PBX), PBX, "out")
    ringing = only(on.forward())
    assert ringing.destination == ONE
    assert "alias" not in field_of(ringing.data, "via")[0]


@pytest.mark.parametrize("claimed", [f"{PBX[0]}:{PBX[1]}", f"{PBX[0]}:5061", f"{OTHER[0]}:{OTHER[1]}"])
def test_a_phone_that_calls_its_connection_that_of_another_gets_nothing_that_is_the_others(
    claimed: str,
) -> None:
    on = bench()
    thief = over("TLS", request("REGISTER", "sip:pbx", call_id="thief"), claimed, ";alias")
    only(on.stream(thief, ONE, "in"))
    honest = request("REGISTER", "sip:pbx", call_id="honest", branch="z9hG4bKhonest")
    sent = only(on.stream(over("TLS", honest), OTHER, "in"))
    assert (sent.destination, sent.listener) == (PBX, "out")
    assert only(on.receive(reply(sent.data), PBX, "out")).destination == OTHER
