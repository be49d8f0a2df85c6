"""A PBX of several servers: one that fails is passed over, and what was asked of it is asked of the next."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from sip_hooks.message import parse
from sip_hooks.settings import Address, Listener, Transport
from sip_hooks.targets import PATIENCE_SECONDS, REST_SECONDS, UNKNOWN, Record, Targets, in_order
from tests.fakes.sip import OTHER, PHONE, TWO, Bench, invite, only, reply, request, sdp

ONE: Address = ("10.1.0.11", 5060)
NEXT: Address = ("10.1.0.12", 5060)
LAST: Address = ("10.1.0.13", 5060)


class Cluster(Bench):
    """An engine whose PBX has a name that stands for three servers."""

    def __init__(self, *order: Address) -> None:
        super().__init__(TWO, UNKNOWN)
        self.engine.aim(order or (ONE, NEXT, LAST), self.now)

    def register(self, number: int = 1) -> Address:
        """A phone registers; returns where that goes."""
        data = request("REGISTER", "sip:pbx", call_id=f"r{number}", branch=f"z9hG4bKr{number}")
        return only(self.receive(data)).destination


def failover(bench: Bench, seconds: float = PATIENCE_SECONDS + 0.1) -> list[tuple[Address, bytes]]:
    """What leaves within that time for somebody else than before."""
    sent = bench.wait(seconds)
    return [(it.destination, it.data) for it in sent if it.destination not in (ONE, PHONE)]


def test_the_first_server_gets_everything_while_it_works() -> None:
    bench = Cluster()
    assert [bench.register(number) for number in range(3)] == [ONE] * 3


@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "OPTIONS"])
def test_a_server_that_is_silent_gives_way_to_the_next_which_is_asked_under_a_new_branch(method: str) -> None:
    bench = Cluster()
    sent = bench.receive(invite() if method == "INVITE" else request(method))
    first = (sent or bench.forward())[0]
    assert first.destination == ONE
    (where, data), *_ = failover(bench)
    again = parse(data)
    assert (where, again.method) == (NEXT, method.encode())
    assert again.top_via.branch != parse(first.data).top_via.branch
    assert again.body == parse(first.data).body
    answer = only(bench.receive(reply(data), NEXT, "out"))
    assert (parse(answer.data).status, answer.destination) == (200, PHONE)
    assert bench.register(9) == NEXT, "the next one asks there at once"


def test_a_server_that_has_no_room_gives_way_and_is_told_that_its_answer_came() -> None:
    bench = Cluster()
    bench.receive(invite())
    first = only(bench.forward())
    acknowledged, again = bench.receive(reply(first.data, 503), ONE, "out")
    assert (parse(acknowledged.data).method, acknowledged.destination) == (b"ACK", ONE)
    assert (parse(again.data).method, again.destination) == (b"INVITE", NEXT)


def test_when_all_have_failed_the_caller_is_told() -> None:
    bench = Cluster(ONE, NEXT)
    bench.receive(invite())
    first = only(bench.forward())
    _, again = bench.receive(reply(first.data, 503), ONE, "out")
    _, answer = bench.receive(reply(again.data, 503), NEXT, "out")
    assert (parse(answer.data).status, answer.destination) == (503, PHONE)


def test_a_call_that_rings_stays_where_it_is() -> None:
    bench = Cluster()
    bench.receive(invite())
    first = only(bench.forward())
    bench.receive(reply(first.data, 180), ONE, "out")
    assert failover(bench) == []
    _, answer = bench.receive(reply(first.data, 503), ONE, "out")
    assert (parse(answer.data).status, answer.destination) == (503, PHONE)


def test_a_call_that_was_given_up_is_not_tried_elsewhere() -> None:
    bench = Cluster()
    bench.receive(invite())
    bench.forward()
    bench.receive(request("CANCEL", branch="z9hG4bKphone1"))
    assert [data[:6] for _, data in failover(bench, 40)] == []


def test_what_belongs_to_a_call_goes_to_the_server_that_has_it_and_to_no_other() -> None:
    bench = Cluster()
    bench.receive(invite())
    first = only(bench.forward())
    contact = [f"Contact: <sip:202@{ONE[0]}:{ONE[1]}>"]
    bench.receive(reply(first.data, headers=contact, body=sdp("10.1.0.11")), ONE, "out")
    bye = request(
        "BYE",
        f"sip:202@{ONE[0]}:{ONE[1]}",
        callee="<sip:202@pbx.example>;tag=b",
        number=2,
        branch="z9hG4bKbye",
    )
    assert only(bench.receive(bye)).destination == ONE
    assert failover(bench, 40) == []


def test_what_comes_from_any_of_the_servers_comes_from_the_pbx() -> None:
    targets = Targets(UNKNOWN)
    assert not targets.includes(ONE)
    targets.set((ONE, NEXT), 0.0)
    targets.set((LAST,), 1.0)
    assert all(targets.includes(it) for it in (ONE, NEXT, LAST)), "those of before have calls still"
    assert not targets.includes(OTHER) and targets.includes((ONE[0], 1), any_port=True)


def test_a_server_that_failed_is_tried_again_after_a_while() -> None:
    targets = Targets(UNKNOWN)
    targets.set((ONE, NEXT), 0.0)
    assert targets.after(ONE, 10.0) == NEXT == targets.current
    targets.set((ONE, NEXT), 10.0 + REST_SECONDS - 1)
    assert targets.current == NEXT
    targets.set((), 10.0 + REST_SECONDS + 1)
    assert targets.current == ONE


def test_before_the_name_is_resolved_callers_are_told_to_come_back() -> None:
    bench = Bench(TWO, UNKNOWN)
    assert parse(only(bench.receive(request("REGISTER"))).data).status == 503


def test_a_pbx_is_spoken_to_over_what_its_name_says_last() -> None:
    out = Listener("out-tcp", "pbx", "10.1.0.1", 5060, transport="tcp")
    bench = Bench((*TWO, out), UNKNOWN)
    said: tuple[Transport | None, ...] = (None, "tcp", None, "udp")
    left = []
    for number, transport in enumerate(said):
        bench.engine.aim((ONE,), bench.now, transport)
        data = request("REGISTER", "sip:pbx", call_id=f"r{number}", branch=f"z9hG4bKr{number}")
        left.append(only(bench.receive(data)).listener)
    assert left == ["out", "out-tcp", "out-tcp", "out"], "no news changes nothing"


def test_a_single_server_has_all_the_time_of_the_standard() -> None:
    bench = Cluster(ONE)
    bench.register()
    assert failover(bench, 31) == []


def test_servers_are_tried_by_priority_and_share_by_weight() -> None:
    records = [Record(LAST, 20, 0), Record(ONE, 10, 30), Record(NEXT, 10, 10)]
    chance = Random(7)
    firsts = Counter(in_order(records, lambda below: chance.randrange(below))[0] for _ in range(2000))
    assert firsts.keys() == {ONE, NEXT}
    assert 0.68 < firsts[ONE] / 2000 < 0.82
    assert in_order(records, lambda below: 0)[-1] == LAST == in_order(records, lambda below: below - 1)[-1]
