"""TCP and TLS through the engine: who is reached over which connection, and what the neighbours are told."""

from __future__ import annotations

import pytest

from sip_hooks.engine import Listener
from sip_hooks.events import CallEnded, CallOffered
from sip_hooks.settings import Address, Packet, Transport
from tests.fakes.sip import (
    DIALOG,
    PBX,
    TARGET,
    Bench,
    field_of,
    invite,
    only,
    reply,
    request,
    routes_of,
    sdp,
    within,
)

NAT: Address = ("203.0.113.7", 31000)
AGAIN: Address = ("203.0.113.7", 31999)  # the same phone, connected anew
HERE: Address = ("10.0.0.9", 41000)  # a phone that no NAT hides: its Contact says 10.0.0.9:5070
BEHIND_NAT = "sip:201@192.168.1.20:5070;transport=tcp"
REACHABLE = "sip:201@10.0.0.9:5070;transport=tcp"


def listeners(phones: Transport, pbx: Transport) -> tuple[Listener, ...]:
    return (
        Listener("in", "phones", "10.0.0.1", 5060, transport=phones),
        Listener("other", "phones", "10.0.0.1", 5062, transport="udp"),
        Listener("out", "pbx", "10.1.0.1", 5060, transport=pbx),
    )


def bench(phones: Transport = "tcp", pbx: Transport = "udp") -> Bench:
    made = Bench(listeners(phones, pbx), pbx_transport=pbx)
    if phones != "udp":
        made.connect(NAT, "in")
        made.connect(HERE, "in")
    return made


def tcp(data: bytes) -> bytes:
    return data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP")


def register(
    on: Bench, source: Address = NAT, contact: str = BEHIND_NAT, status: int = 200, account: str = "201"
) -> str:
    """Register over a connection; returns the Contact that the PBX was told."""
    lines = [f"Contact: <{contact}>"]
    callee, branch = f"<sip:{account}@pbx>", f"z9hG4bK{source[1]}"
    data = request("REGISTER", "sip:pbx", headers=lines, callee=callee, branch=branch, call_id="r")
    sent = only(on.stream(tcp(data), source, "in"))
    told = field_of(sent.data, "contact")[0].strip("<>")
    back = reply(sent.data, status, headers=[f"Contact: <{told}>"])
    answer = only(on.receive(back, PBX, "out"))
    assert (answer.destination, answer.listener) == (source, "in")
    assert field_of(answer.data, "contact") == [f"<{contact}>"]
    return told


def ring(on: Bench, uri: str) -> list[Packet]:
    """A call from the PBX."""
    sent = on.receive(invite(uri, sender=PBX), PBX, "out")
    return sent if sent else on.forward()


# --- over which connection


def test_a_response_goes_back_over_the_connection_of_its_request() -> None:
    on = bench()
    data = tcp(request("OPTIONS", "sip:10.0.0.1:5060"))
    answer = only(on.stream(data, NAT, "in"))
    assert (answer.destination, answer.listener) == (NAT, "in")
    assert answer.data.startswith(b"SIP/2.0 200 ")
    assert field_of(answer.data, "via") == [
        "SIP/2.0/TCP 10.0.0.9:5070;branch=z9hG4bKphone1;received=203.0.113.7"
    ]


@pytest.mark.parametrize(("body", "length"), [(b"", "0"), (sdp(), str(len(sdp())))])
def test_what_came_over_udp_without_its_length_is_measured_for_a_stream(body: bytes, length: str) -> None:
    """linphone leaves Content-Length out over UDP; the caller over TCP would wait for the end for ever."""
    on = bench()
    on.stream(tcp(invite("sip:202@10.0.0.1:5060")), NAT, "in")
    sent = only(on.forward())
    ringing = reply(sent.data, 183, body=body)
    cut = b"\r\n".join(line for line in ringing.split(b"\r\n") if not line.startswith(b"Content-Length"))
    answer = only(on.receive(cut, PBX, "out"))
    assert field_of(answer.data, "content-length") == [length]
    assert answer.data.partition(b"\r\n\r\n")[2] == body


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_phone_is_reached_over_the_connection_on_which_it_registered(transport: Transport) -> None:
    on = bench(transport)
    sent = only(ring(on, register(on)))
    assert (sent.destination, sent.listener) == (NAT, "in")
    assert sent.data.startswith(f"INVITE {BEHIND_NAT} SIP/2.0\r\n".encode())
    assert field_of(sent.data, "via")[0].startswith(f"SIP/2.0/{transport.upper()} 10.0.0.1:5060;")


def test_a_phone_that_connects_anew_is_the_same_to_the_pbx_and_is_reached_over_the_new_connection() -> None:
    on = bench()
    told = register(on)
    on.lose(NAT, "in")
    on.connect(AGAIN, "in")
    assert register(on, AGAIN) == told
    assert only(ring(on, told)).destination == AGAIN


def test_a_late_end_of_the_old_connection_does_not_lose_the_new_one() -> None:
    on = bench()
    told = register(on)
    on.connect(AGAIN, "in")
    register(on, AGAIN)
    on.lose(NAT, "in")
    assert only(ring(on, told)).destination == AGAIN


def test_a_phone_behind_a_nat_whose_connection_has_gone_cannot_be_reached() -> None:
    on = bench()
    told = register(on)
    on.lose(NAT, "in")
    sent = only(ring(on, told))
    assert sent.data.startswith(b"SIP/2.0 480 ")
    assert (sent.destination, on.of(CallOffered)) == (PBX, [])


def test_a_phone_that_no_nat_hides_is_connected_to_where_its_contact_leads() -> None:
    on = bench()
    told = register(on, HERE, REACHABLE)
    on.lose(HERE, "in")
    sent = only(ring(on, told))
    assert (sent.destination, sent.listener) == (("10.0.0.9", 5070), "in")


def test_a_phone_is_not_connected_to_over_tls() -> None:
    """Its certificate, if it has one, names nobody that we know."""
    on = bench("tls")
    told = register(on, HERE, REACHABLE)
    on.lose(HERE, "in")
    assert only(ring(on, told)).data.startswith(b"SIP/2.0 480 ")


def test_a_registration_that_was_refused_leads_no_call_to_its_connection() -> None:
    on = bench()
    told = register(on)
    on.connect(AGAIN, "in")
    assert register(on, AGAIN, status=401) == told
    assert only(ring(on, told)).destination == NAT


def test_another_account_with_the_same_contact_behind_the_same_nat_gets_none_of_its_calls() -> None:
    on = bench()
    told = register(on)
    on.connect(AGAIN, "in")
    assert register(on, AGAIN, account="202") != told
    assert only(ring(on, told)).destination == NAT


def test_a_phone_over_udp_calls_one_over_tcp() -> None:
    on = bench()
    told = register(on)
    on.receive(invite(), ("10.0.0.8", 5080), "other")
    forwarded = only(on.forward()).data
    routes = field_of(forwarded, "record-route")
    assert [route.split(";lr")[0] for route in routes] == ["<sip:10.1.0.1:5060", "<sip:10.0.0.1:5062"]
    back = invite(told, sender=PBX, branch="z9hG4bKback", call_id="call-2")
    on.receive(back, PBX, "out")
    sent = only(on.forward())
    assert sent.destination == NAT
    assert [route.split(";lr")[0] for route in field_of(sent.data, "record-route")] == [
        "<sip:10.0.0.1:5060;transport=tcp",
        "<sip:10.1.0.1:5060",
    ]


# --- what is written


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_the_pbx_is_told_to_come_back_over_its_transport(transport: Transport) -> None:
    on = bench("udp", transport)
    lines = ["Contact: <sip:201@10.0.0.9:5070>"]
    sent = only(on.receive(request("REGISTER", "sip:pbx", headers=lines), HERE, "in"))
    assert (sent.destination, sent.listener) == (PBX, "out")
    assert field_of(sent.data, "via")[0].startswith(f"SIP/2.0/{transport.upper()} 10.1.0.1:5060;branch=")
    assert field_of(sent.data, "contact")[0].endswith(f"@10.1.0.1:5060;transport={transport}>")


def test_a_call_over_tls_on_both_sides_comes_back_by_its_routes() -> None:
    on = bench("tls", "tls")
    on.stream(invite(), NAT, "in")
    forwarded = only(on.forward()).data
    routes = field_of(forwarded, "record-route")
    assert [route.split(";lr")[0] for route in routes] == [
        "<sip:10.1.0.1:5060;transport=tls",
        "<sip:10.0.0.1:5060;transport=tls",
    ]
    on.connect(PBX, "out")
    contact = "Contact: <sip:202@10.0.0.2:5060;transport=tls>"
    answer = only(on.stream(reply(forwarded, headers=[contact], body=sdp()), PBX, "out"))
    assert answer.destination == NAT
    bye = within("BYE", "sip:202@10.0.0.2:5060;transport=tls", headers=tuple(routes_of(answer.data)))
    sent = only(on.stream(bye, NAT, "in"))
    assert (sent.destination, sent.listener, field_of(sent.data, "route")) == (PBX, "out", [])
    assert [event.cause for event in on.of(CallEnded)] == ["bye"]


def test_the_pbx_hangs_up_over_the_connection_of_the_phone() -> None:
    on = bench()
    on.stream(tcp(invite()), NAT, "in")
    forwarded = only(on.forward()).data
    on.receive(reply(forwarded, body=sdp()), PBX, "out")
    routes = tuple(f"Route: {route}" for route in field_of(forwarded, "record-route"))
    bye = request(
        "BYE",
        "sip:201@10.0.0.9:5070",
        sender=PBX,
        branch="z9hG4bKpbx",
        caller=DIALOG,
        callee="<sip:201@pbx.example>;tag=a",
        headers=routes,
    )
    sent = only(on.receive(bye, PBX, "out"))
    assert (sent.destination, sent.listener) == (NAT, "in")


def test_a_request_within_the_call_shows_the_phones_new_connection() -> None:
    on = bench()
    on.stream(tcp(invite()), NAT, "in")
    forwarded = only(on.forward()).data
    answer = only(on.receive(reply(forwarded, body=sdp()), PBX, "out")).data
    on.lose(NAT, "in")
    on.connect(AGAIN, "in")
    on.stream(within("INFO", headers=tuple(routes_of(answer))), AGAIN, "in")
    routes = tuple(f"Route: {route}" for route in field_of(forwarded, "record-route"))
    info = request(
        "INFO",
        "sip:201@192.168.1.20",
        sender=PBX,
        branch="z9hG4bKpbx",
        caller=DIALOG,
        callee="<sip:201@pbx.example>;tag=a",
        headers=routes,
    )
    assert only(on.receive(info, PBX, "out")).destination == AGAIN


# --- SIPS


def test_a_sips_call_leaves_over_tls_with_sips_in_its_record_routes() -> None:
    on = bench("tls", "tls")
    on.stream(invite("sips:202@pbx.example"), NAT, "in")
    sent = only(on.forward())
    assert sent.listener == "out"
    assert [route.split(";")[0] for route in field_of(sent.data, "record-route")] == [
        "<sips:10.1.0.1:5060",
        "<sips:10.0.0.1:5060",
    ]
    bench_again = only(on.receive(within("BYE", "sips:202@10.0.0.8:5080"), NAT, "in"))
    assert bench_again.listener == "out"


def test_a_sips_call_does_not_leave_in_the_clear() -> None:
    on = bench("tls", "udp")
    sent = only(on.stream(invite("sips:202@pbx.example"), NAT, "in"))
    assert sent.data.startswith(b"SIP/2.0 480 SIPS Not Allowed\r\n")
    assert on.of(CallOffered) == []


@pytest.mark.parametrize(("pbx", "expected"), [("tls", "sips:"), ("udp", "sip:")])
def test_a_sips_contact_is_told_as_sips_only_over_tls(pbx: Transport, expected: str) -> None:
    on = bench("tls", pbx)
    lines = ["Contact: <sips:201@192.168.1.20:5071>"]
    sent = only(on.stream(request("REGISTER", "sip:pbx", headers=lines), NAT, "in"))
    (told,) = field_of(sent.data, "contact")
    assert told.startswith(f"<{expected}") and "transport=" not in told


# --- streams


def test_a_ping_gets_its_pong() -> None:
    on = bench()
    assert only(on.stream(b"\r\n\r\n", NAT, "in")) == Packet(b"\r\n", NAT, "in")
    assert on.stream(b"\r\n", NAT, "in") == []


def test_without_content_length_the_sender_gets_400_and_the_connection_is_closed() -> None:
    on = bench()
    data = tcp(request("OPTIONS", "sip:10.0.0.1:5060")).replace(b"Content-Length: 0\r\n", b"")
    answer = only(on.stream(data + data, NAT, "in"))
    assert answer.data.startswith(b"SIP/2.0 400 Bad Request (Content-Length is missing)\r\n")
    assert answer.destination == NAT
    assert on.engine.connections_to_close() == [("in", NAT)]
    assert on.stream(tcp(request("OPTIONS", "sip:10.0.0.1:5060")), NAT, "in") == []


@pytest.mark.parametrize(
    "data", [b"ACK sip:a SIP/2.0\r\nVia: x\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n", b"\0\r\n\r\n"]
)
def test_what_cannot_be_answered_is_only_hung_up_on(data: bytes) -> None:
    on = bench()
    assert on.stream(data, NAT, "in") == []
    assert on.engine.connections_to_close() == [("in", NAT)]


def test_a_message_that_is_never_finished_ends_its_connection_and_a_slow_stream_does_not() -> None:
    on = bench()
    data = tcp(request("OPTIONS", "sip:10.0.0.1:5060"))
    for _ in range(4):
        on.stream(data[-10:] + data[:-10] if on.now else data[:-10], NAT, "in")
        on.wait(20.0)
    assert on.engine.connections_to_close() == []
    on.wait(11.9)
    assert on.engine.connections_to_close() == []
    on.wait(0.1)
    assert on.engine.connections_to_close() == [("in", NAT)]


def test_a_pbx_over_udp_beside_our_tcp_port_is_not_ourselves() -> None:
    pbx: Address = ("10.0.0.1", 5060)
    on = Bench(listeners("tcp", "udp"), pbx)
    on.connect(NAT, "in")
    sent = only(on.stream(tcp(request("INFO")), NAT, "in"))
    assert (sent.destination, sent.listener) == (pbx, "out")


def test_on_a_listener_for_both_a_connection_of_the_pbx_may_come_from_any_port() -> None:
    on = Bench((Listener("a", "both", "10.0.0.1", 5060, transport="tcp"),), pbx_transport="tcp")
    source: Address = (PBX[0], 40404)
    on.connect(source, "a")
    on.stream(invite("sip:201@10.0.0.9:5070;transport=tcp", sender=source), source, "a")
    assert [event.from_side for event in on.of(CallOffered)] == ["pbx"]


def test_targets_and_routes_choose_the_transport() -> None:
    listeners = (
        Listener("udp", "both", "10.0.0.1", 5060),
        Listener("tcp", "both", "10.0.0.1", 5060, transport="tcp"),
    )
    on = Bench(listeners)
    on.receive(invite(), HERE, "udp")
    forwarded = only(on.forward()).data
    contact = "Contact: <sip:202@10.0.0.2:5060;transport=tcp>"
    answer = only(on.receive(reply(forwarded, headers=[contact], body=sdp()), PBX, "udp")).data
    sent = only(
        on.receive(within("BYE", f"{TARGET};transport=tcp", headers=tuple(routes_of(answer))), HERE, "udp")
    )
    assert (sent.listener, field_of(sent.data, "via")[0][:11]) == ("tcp", "SIP/2.0/TCP")
