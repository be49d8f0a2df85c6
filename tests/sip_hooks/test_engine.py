"""The engine forgets what is over, holds no longer than it may, and survives whatever arrives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_hooks.events import CallEnded, CallOffered, ForwardCall, MediaNegotiated, PassedUntouched
from sip_hooks.message import parse
from sip_hooks.settings import Listener
from sip_hooks.timer import Timed, Timer, TimerQueue
from tests.fakes.sip import (
    ANCHOR,
    BOTH,
    PBX,
    PHONE,
    Bench,
    answered,
    from_callee,
    invite,
    only,
    reply,
    request,
    routes_of,
    sdp,
    within,
)


def test_an_invite_waits_100_ms_and_then_goes_on_untouched() -> None:
    bench = Bench()
    assert bench.receive(invite()) == []
    assert bench.wait(0.099) == []
    sent = only(bench.wait(0.002))
    assert (sent.destination, parse(sent.data).body) == (PBX, sdp())
    assert [type(event) for event in bench.events] == [CallOffered, PassedUntouched]
    assert bench.forward(media=ANCHOR) == []
    assert bench.engine.counters["late commands"] == 1


def test_a_command_for_nobody_is_ignored() -> None:
    bench = Bench()
    bench.engine.execute(ForwardCall("no such call"), 0.0)
    assert bench.settle() == []


def test_a_repeated_invite_is_offered_once() -> None:
    bench = Bench()
    for _ in range(3):
        bench.receive(invite())
    assert len(bench.of(CallOffered)) == 1
    only(bench.forward())
    assert bench.receive(invite()) == []


def test_events_are_there_before_the_packet_they_are_about() -> None:
    bench = Bench()
    bench.receive(invite())
    (offered,) = bench.of(CallOffered)
    bench.engine.execute(ForwardCall(offered.call, 0, ANCHOR), 0.0)
    assert isinstance(bench.engine.next_event(), MediaNegotiated)
    assert len(bench.engine.packets_to_send()) == 1


def test_what_is_over_is_forgotten() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward()).data
    for status in (180, 200):
        answer = only(bench.receive(reply(forwarded, status), PBX)).data
    sent = only(bench.receive(within("BYE", headers=tuple(routes_of(answer)))))
    bench.receive(reply(sent.data), sent.destination)
    assert (bench.engine.calls, bench.engine.transactions) == (1, 4)
    bench.wait(70)
    assert (bench.engine.calls, bench.engine.transactions) == (0, 0)
    assert bench.engine.next_timer() is None


def test_a_dialog_that_says_nothing_ends_and_one_that_speaks_does_not() -> None:
    bench = Bench()
    answered(bench)
    limit = bench.settings.silent_limit_seconds
    bench.wait(limit - 10)
    assert bench.engine.calls == 1
    bench.receive(from_callee("INFO"), PBX)
    bench.wait(limit - 10)
    assert bench.of(CallEnded) == []
    bench.wait(100)
    assert [(event.cause, event.status) for event in bench.of(CallEnded)] == [("timeout", 408)]
    assert (bench.engine.calls, bench.engine.transactions) == (0, 0)


@pytest.mark.parametrize("status", [180, 183])
def test_a_phone_that_rings_for_ever_is_cancelled(status: int) -> None:
    bench = Bench()
    bench.receive(invite())
    bench.receive(reply(only(bench.forward()).data, status), PBX)
    left = bench.wait(400)
    methods = {(parse(it.data).method, it.destination) for it in left if parse(it.data).is_request}
    assert methods == {(b"CANCEL", PBX)}
    finals = {parse(it.data).status for it in left if it.destination == PHONE}
    assert finals == {408}, "the caller is told"
    assert len(bench.of(CallEnded)) == 1
    bench.wait(100)
    assert (bench.engine.calls, bench.engine.transactions) == (0, 0)


def test_a_caller_who_is_told_now_and_then_that_it_rings_may_wait_for_an_hour() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward()).data
    for _ in range(30):
        bench.receive(reply(forwarded, 182), PBX)
        assert bench.wait(120) == []
    assert parse(only(bench.receive(reply(forwarded), PBX)).data).status == 200


def test_a_refusal_that_nobody_acknowledges_is_repeated_and_then_forgotten() -> None:
    bench = Bench()
    bench.receive(invite())
    bench.receive(reply(only(bench.forward()).data, 486), PBX)
    repeated = [packet for packet in bench.wait(100) if packet.destination == PHONE]
    assert len(repeated) == 10  # Timer G: 0.5, 1, 2, then every 4 seconds until Timer H
    assert (bench.engine.calls, bench.engine.transactions) == (0, 0)


def test_a_request_that_is_worked_on_is_repeated_more_slowly() -> None:
    bench = Bench()
    sent = only(bench.receive(request("MESSAGE")))
    bench.receive(reply(sent.data, 100), PBX)
    assert [len(bench.wait(seconds)) for seconds in (0.6, 3.8, 4.0, 4.0)] == [1, 0, 1, 1]


def test_a_malformed_response_is_dropped_and_the_next_one_counts() -> None:
    bench = Bench()
    good = reply(only(bench.receive(request("OPTIONS"))).data)
    without_our_peer = good.replace(b"Via: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKphone1\r\n", b"")
    too_short = good.replace(b"Content-Length: 0", b"Content-Length: 9")
    for bad in (without_our_peer, too_short):
        assert bad != good
        assert bench.receive(bad, PBX) == []
    assert bench.engine.counters["malformed responses"] == 2
    assert len(bench.receive(good, PBX)) == 1


def test_nothing_is_reported_after_the_end() -> None:
    bench = Bench()
    _, answer = answered(bench)
    for number, method in enumerate(("BYE", "REFER", "INFO"), 2):
        only(bench.receive(within(method, number=number, headers=tuple(routes_of(answer)))))
    assert isinstance(bench.events[-1], CallEnded)


def test_calls_that_are_over_are_not_held_by_their_longest_timer() -> None:
    queue = TimerQueue()
    for number in range(100_000):
        owner = Timed()
        queue.start(owner, Timer.SILENCE, 43_200.0 + number)
        owner.due.clear()
    assert len(queue) <= 1024


def test_a_side_without_a_listener_is_a_configuration_fault() -> None:
    with pytest.raises(ValueError, match="one listener must face"):
        Bench((Listener("in", "phones", "10.0.0.1", 5060),))


SAMPLES = [
    invite(headers=["Record-Route: <sip:10.0.0.1;lr;db=1>", "Replaces: a;to-tag=b;from-tag=c"]),
    request("ACK", headers=["Route: <sip:10.0.0.1;lr;db=0000000000000003>, <sip:10.0.0.3;lr>"]),
    request("CANCEL"),
    request("REGISTER", headers=["Contact: <sip:201@10.0.0.9>;expires=1, *"]),
    within("BYE"),
    within("UPDATE", body=sdp("0.0.0.0")),
    reply(invite(), 200, body=sdp()),
    reply(invite(), 183),
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 8), st.binary(max_size=6)), max_size=4),
    st.sampled_from([PHONE, PBX]),
)
def test_no_datagram_raises(
    sample: bytes, cuts: list[tuple[int, int, bytes]], source: tuple[str, int]
) -> None:
    bench = Bench(BOTH)
    answered(bench)
    for at, length, new in cuts:
        sample = sample[:at] + new + sample[at + length :]
    bench.receive(sample, source)
    if bench.of(CallOffered)[1:]:
        bench.forward(strip=1, media=ANCHOR)
    bench.wait(600)
    assert bench.engine.transactions == 0, "something stays for ever"
