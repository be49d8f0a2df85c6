"""When more arrives than can be done: running and emergency calls go on, new calls are told to come back."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sip_hooks.engine import Packet
from sip_hooks.message import parse
from sip_hooks.overload import LIMITS, MOST_RUNNING, REMEMBERED_SECONDS, SHEDDING_SECONDS
from sip_hooks.settings import Address, Limits
from sip_hooks.urgency import Urgency, urgency
from tests.fakes.sip import (
    DIALOG,
    OTHER,
    PBX,
    PHONE,
    TWO,
    Bench,
    answered,
    field_of,
    from_callee,
    invite,
    only,
    reply,
    request,
    routes_of,
    sdp,
    within,
)

LATE = LIMITS[Urgency.CALL] + 0.01
VERY_LATE = LIMITS[Urgency.OUTSIDE] + 0.01


class Busy(Bench):
    """An engine that is shown messages later than they came."""

    def __init__(self) -> None:
        super().__init__()
        self.engine.is_emergency = lambda user: user.endswith("112")

    def wait_in_line(self, *messages: bytes, source: Address = PHONE, for_seconds: float = 0.0) -> None:
        """These have been waiting for so long."""
        for data in messages:
            self.engine.arrive(data, source, "a", self.now - for_seconds)

    def work(self) -> list[Packet]:
        """Act on everything that waits; returns what leaves, in order."""
        left: list[Packet] = []
        while self.engine.work(self.now):
            left += self.settle()
        return left

    def late(self, *messages: bytes, source: Address = PHONE, by: float = LATE) -> list[Packet]:
        self.wait_in_line(*messages, source=source, for_seconds=by)
        return self.work()


def new_call(number: int, uri: str = "sip:202@pbx.example") -> bytes:
    return invite(uri, call_id=f"new-{number}", branch=f"z9hG4bKnew{number}")


def acknowledgement(refusal: bytes, branch: str = "z9hG4bKnew1") -> bytes:
    return request("ACK", branch=branch, callee=field_of(refusal, "to")[0], call_id="new-1")


def test_a_call_that_waited_for_too_long_is_refused_with_a_time_to_try_again() -> None:
    bench = Busy()
    answer = parse(only(bench.late(new_call(1))).data)
    assert (answer.status, answer.call_id) == (503, b"new-1")
    assert 2 <= int(answer.first(b"retry-after") or b"0") <= 6
    assert bench.events == [], "nobody above hears of it"
    assert (bench.engine.calls, bench.engine.transactions) == (0, 0), "a refusal costs no transaction"
    assert bench.engine.overload.refused["call"] == 1


def test_a_call_that_waited_a_little_is_let_through() -> None:
    bench = Busy()
    assert bench.late(new_call(1), by=LIMITS[Urgency.CALL] - 0.01) == []
    assert len(bench.events) == 1


def test_not_all_who_were_refused_come_back_at_once() -> None:
    bench = Busy()
    refusals = bench.late(*(new_call(number) for number in range(50)))
    assert len({field_of(it.data, "retry-after")[0] for it in refusals}) > 3


def test_the_acknowledgement_of_a_refusal_goes_nowhere() -> None:
    bench = Busy()
    refusal = only(bench.late(new_call(1)))
    assert bench.late(acknowledgement(refusal.data)) == []
    assert bench.engine.counters["stray ACKs"] == 0
    assert bench.engine.counters["ACKs of refusals"] == 1


def test_a_call_that_was_refused_is_not_let_through_when_its_invite_comes_again() -> None:
    """Its phone has given up: whoever answered would find nobody."""
    bench = Busy()
    first = only(bench.late(new_call(1)))
    again = only(bench.late(new_call(1), by=0.0))
    assert parse(again.data).status == 503
    assert parse(again.data).to_tag == parse(first.data).to_tag
    assert bench.events == []
    assert bench.late(new_call(2), by=0.0) == [] and len(bench.events) == 1, "another call is"
    bench.now += REMEMBERED_SECONDS + 1
    bench.late(new_call(1), by=0.0)
    assert len(bench.events) == 2, "and so is this one when it cannot be a repetition any more"


@pytest.mark.parametrize("by", [LATE, 10.0])
def test_whatever_belongs_to_a_running_call_is_let_through_however_late(by: float) -> None:
    bench = Busy()
    _, answer = answered(bench)
    routes = tuple(routes_of(answer))
    body = sdp("10.0.0.9", 4000)
    contact = "Contact: <sip:201@10.0.0.9:5070>"
    passed = [
        bench.late(within("ACK", headers=routes, number=1), by=by),
        bench.late(within("INVITE", headers=(*routes, contact), branch="z9hG4bKre", body=body), by=by),
        bench.late(within("UPDATE", headers=routes, number=3), by=by),
        bench.late(within("PRACK", headers=routes, number=4), by=by),
        bench.late(within("NOTIFY", headers=routes, number=5), by=by),
        bench.late(from_callee("INFO"), source=PBX, by=by),
        bench.late(within("BYE", headers=routes, number=6), by=by),
    ]
    sent = [parse(only(packets).data).method for packets in passed]
    assert sent == [b"ACK", b"INVITE", b"UPDATE", b"PRACK", b"NOTIFY", b"INFO", b"BYE"]


def test_a_response_and_a_cancel_are_let_through_however_late() -> None:
    bench = Busy()
    bench.receive(invite())
    forwarded = only(bench.forward()).data
    assert parse(only(bench.late(reply(forwarded, 180), source=PBX, by=9.0)).data).status == 180
    cancelled = bench.late(request("CANCEL", branch="z9hG4bKphone1"), by=9.0)
    assert [parse(it.data).status or parse(it.data).method for it in cancelled] == [200, b"CANCEL"]


def test_an_invite_that_was_let_through_is_not_refused_when_it_comes_again() -> None:
    bench = Busy()
    bench.receive(invite())
    bench.forward()
    assert bench.late(invite()) == []
    assert bench.engine.overload.refused["call"] == 0


def test_the_second_crossing_of_a_call_is_not_refused() -> None:
    """Through a PBX that is a proxy a call crosses twice: the first crossing was work for nothing else."""
    bench = Busy()
    bench.receive(invite())
    back = only(bench.forward()).data
    contact = "sip:201@10.0.0.9:5070"
    spiral = invite(contact, sender=PBX, branch="z9hG4bKpbx", headers=("Record-Route: <sip:10.0.0.2;lr>",))
    bench.late(spiral, source=PBX)
    assert parse(back).call_id == parse(spiral).call_id
    assert len(bench.events) == 2


@pytest.mark.parametrize(
    "uri",
    ["sip:112@pbx.example", "sip:0112@pbx.example", "tel:112", "urn:service:sos", "urn:service:sos.police"],
)
def test_an_emergency_call_is_never_refused_and_goes_before_the_others(uri: str) -> None:
    bench = Busy()
    bench.wait_in_line(*(new_call(number) for number in range(10)), for_seconds=60.0)
    bench.wait_in_line(invite(uri), for_seconds=60.0)
    assert bench.engine.work(bench.now)
    bench.settle()
    assert len(bench.events) == 1, "it was the first"
    assert [parse(it.data).status for it in bench.work()] == [503] * 10


def test_a_call_back_from_an_emergency_service_is_never_refused() -> None:
    bench = Busy()
    bench.late(invite("sip:201@10.0.0.9:5070", caller="<sip:112@pbx.example>;tag=psap"), source=PBX, by=60.0)
    assert len(bench.events) == 1


def test_running_calls_go_first() -> None:
    bench = Busy()
    _, answer = answered(bench)
    bench.wait_in_line(*(new_call(number) for number in range(10)))
    bench.wait_in_line(within("BYE", headers=tuple(routes_of(answer))))
    assert bench.engine.work(bench.now)
    assert parse(only(bench.settle()).data).method == b"BYE"


def test_a_cancel_does_not_overtake_the_invite_that_waits() -> None:
    """It would find nothing to cancel, and the phone that was to be spared would ring."""
    bench = Busy()
    bench.wait_in_line(new_call(1), request("CANCEL", branch="z9hG4bKnew1", call_id="new-1"))
    assert [parse(it.data).status for it in bench.work()] == [200, 487]


def test_registrations_are_refused_later_than_calls() -> None:
    bench = Busy()
    contact = ["Contact: <sip:201@10.0.0.9:5070>"]
    register = request("REGISTER", "sip:pbx.example", call_id="r", headers=contact)
    assert parse(only(bench.late(register)).data).method == b"REGISTER"
    later = request("REGISTER", "sip:pbx.example", call_id="s", branch="z9hG4bKs", headers=contact)
    assert parse(only(bench.late(later, by=VERY_LATE)).data).status == 503
    assert bench.engine.overload.refused == {"call": 0, "outside": 1, "source": 0}


def test_neither_calls_nor_registrations_keep_the_others_waiting() -> None:
    bench = Busy()
    for number in range(3):
        bench.wait_in_line(new_call(number))
        bench.wait_in_line(
            request("REGISTER", "sip:pbx.example", call_id=f"r{number}", branch=f"z9hG4bKr{number}")
        )
    in_order = []
    while (arrival := bench.engine.overload.take(bench.now)) is not None:
        in_order.append(arrival.urgency)
    assert len(in_order) == 6
    assert all(one is not other for one, other in pairwise(in_order))


def test_what_waits_has_an_end() -> None:
    bench = Busy()
    for number in range(5000):
        bench.wait_in_line(new_call(number))
    assert len(bench.engine.overload) == 4096
    assert bench.engine.counters["dropped in overload"] == 5000 - 4096


def test_who_sends_more_than_it_may_fills_no_memory_and_keeps_no_emergency_out() -> None:
    bench = Busy()
    bench.engine.sources.limits = Limits(1, 10)
    bench.wait_in_line(*(within("BYE", branch=f"z9hG4bK{number}") for number in range(5000)))
    assert len(bench.engine.overload) == 4096
    bench.wait_in_line(new_call(1, "sip:112@pbx.example"))
    bench.wait_in_line(within("BYE", branch="z9hG4bKother"), source=OTHER)
    assert len(bench.engine.overload) == 4098
    assert bench.engine.counters["dropped in overload"] == 5000 - 4096


def test_not_even_what_belongs_to_running_calls_fills_all_memory() -> None:
    bench = Busy()
    bye = within("BYE")
    bench.wait_in_line(*(bye for _ in range(20_000)), source=PBX)
    assert len(bench.engine.overload) == MOST_RUNNING


def test_overload_is_over_when_nothing_was_refused_for_a_while() -> None:
    bench = Busy()
    overload = bench.engine.overload
    assert not overload.is_shedding(bench.now)
    bench.late(new_call(1))
    assert overload.is_shedding(bench.now) and overload.longest_wait(bench.now) == pytest.approx(LATE)
    bench.now += SHEDDING_SECONDS + 0.1
    assert not overload.is_shedding(bench.now)
    bench.now += 2 * SHEDDING_SECONDS
    assert overload.longest_wait(bench.now) == 0.0


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (f"To: {DIALOG}", Urgency.RUNNING),
        (f"t:{DIALOG}", Urgency.RUNNING),
        ("To: <sip:202@pbx.example>\r\n ; TAG = b", Urgency.RUNNING),
        ("To: <sip:202@pbx.example>", Urgency.CALL),
        ('To: "tag" <sip:tag@pbx.example>', Urgency.CALL),
        ("X-To: <sip:202@pbx.example>;tag=b", Urgency.CALL),
    ],
)
def test_a_dialog_is_known_by_the_tag_in_to_however_it_is_written(to: str, expected: Urgency) -> None:
    data = invite().replace(b"To: <sip:202@pbx.example>", to.encode())
    assert urgency(data, lambda user: False) is expected


def test_phones_and_pbx_share_the_line() -> None:
    bench = Bench(TWO)
    bench.engine.arrive(invite(), PHONE, "in", -LATE)
    assert bench.engine.work(0.0)
    assert parse(only(bench.settle()).data).status == 503
