"""Over a connection nothing is repeated (RFC 3261 §17), and what is lost with one is said at once."""

from __future__ import annotations

from sip_hooks.events import CallEnded
from sip_hooks.settings import Address
from tests.fakes.sip import DIALOG, PBX, invite, only, reply, request, sdp
from tests.sip_hooks.test_connections import HERE, NAT, bench, tcp


def test_nothing_is_sent_twice_over_a_connection() -> None:
    on = bench("tcp", "tcp")
    on.stream(tcp(invite()), HERE, "in")
    on.forward()
    on.stream(tcp(request("INFO", branch="z9hG4bKinfo", call_id="call-9")), HERE, "in")
    sent = on.wait(31.0)
    assert [packet.data[:11] for packet in sent] == [b"SIP/2.0 100"]
    assert b"SIP/2.0 408" in only(on.wait(2.0)).data


def test_a_failure_is_not_repeated_over_a_connection_and_its_transactions_end_at_once() -> None:
    on = bench("tcp", "tcp")
    on.connect(PBX, "out")
    on.stream(tcp(invite()), NAT, "in")
    forwarded = only(on.forward()).data
    ack, failure = on.stream(reply(forwarded, 486), PBX, "out")
    assert (ack.data[:4], failure.data[:11]) == (b"ACK ", b"SIP/2.0 486")
    assert on.wait(5.0) == []  # no Timer G
    on.stream(tcp(request("ACK", callee=DIALOG)), NAT, "in")
    on.wait(0.0)  # Timers D and I are zero
    assert on.engine.transactions == 0


def test_a_request_is_over_with_its_answer() -> None:
    on = bench("tcp", "tcp")
    on.connect(PBX, "out")
    forwarded = only(on.stream(tcp(request("INFO")), NAT, "in")).data
    on.stream(reply(forwarded), PBX, "out")
    on.wait(0.0)  # Timers J and K are zero
    assert on.engine.transactions == 0


# --- connections that go


def test_a_pbx_that_cannot_be_connected_to_is_said_at_once() -> None:
    on = bench("udp", "tcp")
    on.receive(invite(), HERE, "in")
    assert only(on.forward()).destination == PBX
    answer = only(on.lose(PBX, "out"))
    assert answer.data.startswith(b"SIP/2.0 503 ")
    assert [(event.cause, event.status) for event in on.of(CallEnded)] == [("error", 503)]
    on.receive(request("REGISTER", "sip:pbx", call_id="r"), HERE, "in")
    assert only(on.lose(PBX, "out")).data.startswith(b"SIP/2.0 503 ")


def test_a_pbx_that_sends_nonsense_is_hung_up_on_and_what_it_did_not_answer_is_lost() -> None:
    on = bench("udp", "tcp")
    on.connect(PBX, "out")
    on.receive(invite(), HERE, "in")
    on.forward()
    assert only(on.stream(b"nonsense\r\n\r\n", PBX, "out")).data.startswith(b"SIP/2.0 503 ")
    assert on.engine.connections_to_close() == [("out", PBX)]


def test_a_call_that_was_cancelled_meanwhile_is_cancelled() -> None:
    on = bench("udp", "tcp")
    on.receive(invite(), HERE, "in")
    on.forward()
    on.receive(request("CANCEL"), HERE, "in")
    assert only(on.lose(PBX, "out")).data.startswith(b"SIP/2.0 487 ")
    assert [event.cause for event in on.of(CallEnded)] == ["cancelled"]


def test_a_call_that_rings_survives_the_connection() -> None:
    """The answer may come over another one (§18.1.2)."""
    on = bench("udp", "tcp")
    on.receive(invite(), HERE, "in")
    forwarded = only(on.forward()).data
    on.connect(PBX, "out")
    on.stream(reply(forwarded, 180), PBX, "out")
    assert on.lose(PBX, "out") == []
    other: Address = (PBX[0], 40404)
    on.connect(other, "out")
    answer = only(on.stream(reply(forwarded, body=sdp()), other, "out"))
    assert answer.data.startswith(b"SIP/2.0 200 ")


def test_an_answer_whose_connection_has_gone_takes_a_new_one_to_where_the_via_leads() -> None:
    on = bench("tcp", "udp")
    on.stream(tcp(invite()), HERE, "in")
    forwarded = only(on.forward()).data
    on.lose(HERE, "in")
    answer = only(on.receive(reply(forwarded, body=sdp()), PBX, "out"))
    assert (answer.destination, answer.listener) == (("10.0.0.9", 5070), "in")


def test_an_answer_for_a_phone_behind_a_nat_is_lost_with_its_connection() -> None:
    on = bench("tcp", "udp")
    on.stream(tcp(invite()), NAT, "in")
    forwarded = only(on.forward()).data
    on.lose(NAT, "in")
    assert on.receive(reply(forwarded, body=sdp()), PBX, "out") == []
