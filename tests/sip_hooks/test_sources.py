"""One source on the phones' side cannot take what belongs to all, nor does it lose the calls it has."""

from __future__ import annotations

import pytest

from sip_hooks.message import parse
from sip_hooks.settings import Address, EngineSettings, Limits, Listener, Trunk
from sip_hooks.sources import Sources, source_of
from tests.fakes.sip import (
    OTHER,
    PBX,
    PHONE,
    Bench,
    answered,
    invite,
    only,
    request,
    routes_of,
    within,
)


class Limited(Bench):
    """An engine with limits: a request and three messages a second, and four seconds' worth at once."""

    def __init__(self, requests: int = 1, messages: int = 3) -> None:
        super().__init__()
        self.engine.sources.limits = Limits(requests, messages)
        self.engine.is_emergency = lambda user: user == "112"


def another(number: int, method: str = "REGISTER") -> bytes:
    return request(method, "sip:pbx.example", call_id=f"{number}", branch=f"z9hG4bK{method}{number}")


def test_what_is_over_the_limit_of_its_source_is_told_to_come_back() -> None:
    bench = Limited()
    sent = [parse(only(bench.receive(another(number))).data) for number in range(6)]
    assert [it.method or it.status for it in sent] == [b"REGISTER"] * 4 + [503, 503]
    assert sent[-1].first(b"retry-after")
    assert bench.engine.overload.refused["source"] == 2
    assert not bench.engine.overload.is_shedding(bench.now), "one source is no overload"


def test_another_source_is_not_held_to_account() -> None:
    bench = Limited()
    for number in range(6):
        bench.receive(another(number))
    assert parse(only(bench.receive(another(9), OTHER)).data).method == b"REGISTER"


def test_the_pbx_has_no_limit() -> None:
    bench = Limited()
    for number in range(20):
        bench.receive(another(number, "OPTIONS"), PBX)
    assert bench.engine.overload.refused["source"] == 0


def test_a_source_that_pauses_may_send_again() -> None:
    bench = Limited()
    for number in range(6):
        bench.receive(another(number))
    bench.now += 1.0
    assert parse(only(bench.receive(another(8))).data).method == b"REGISTER"
    assert parse(only(bench.receive(another(9))).data).status == 503


def test_a_running_call_goes_on_though_its_source_sends_too_much() -> None:
    bench = Limited()
    _, answer = answered(bench)
    for number in range(40):
        bench.receive(
            request("BYE", call_id=f"x{number}", branch=f"z9hG4bKx{number}", callee="<sip:b@c>;tag=1")
        )
    dropped = bench.engine.counters["dropped over the limit of a source"]
    assert dropped > 20, "what belongs to nothing is dropped"
    sent = only(bench.receive(within("BYE", headers=tuple(routes_of(answer)))))
    assert parse(sent.data).method == b"BYE"
    assert bench.engine.counters["dropped over the limit of a source"] == dropped


def test_an_emergency_call_gets_through_though_its_source_sends_too_much() -> None:
    bench = Limited()
    for number in range(40):
        bench.receive(another(number))
    bench.receive(invite("sip:112@pbx.example"))
    assert len(bench.events) == 1


def test_a_stranger_at_the_trunks_listener_is_held_to_the_limit_and_the_trunk_is_not() -> None:
    trunk: Address = ("198.51.100.5", 5060)
    bench = Bench(
        (
            Listener("outer", "trunk", "10.2.0.1", 5060),
            Listener("inner", "pbx", "10.1.0.1", 5090, leads_to="trunk"),
        ),
        trunk=Trunk(trunk),
    )
    bench.engine.sources.limits = Limits(1, 3)
    sources = [OTHER] * 6 + [trunk] * 6
    sent = [bench.receive(another(number, "OPTIONS"), source) for number, source in enumerate(sources)]
    said = [parse(only(it).data) for it in sent]
    assert [it.method or it.status for it in said] == [403] * 4 + [503] * 2 + [b"OPTIONS"] * 6


def test_a_limit_of_nothing_is_no_limit() -> None:
    bench = Limited(0, 0)
    for number in range(3000):
        bench.receive(another(number))
    assert bench.engine.overload.refused["source"] == 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_an_ipv6_network_is_one_source(one: str, other: str, is_same: bool) -> None:
    assert (source_of(one) == source_of(other)) is is_same


def test_forged_sources_fill_no_memory() -> None:
    sources = Sources(Limits())
    for number in range(70_000):
        sources.allows(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", True, 0.0)
    assert len(sources) == 65536


def test_the_limits_come_with_the_settings() -> None:
    bench = Bench()
    assert bench.settings.limits == Limits() == EngineSettings((), PBX, frozenset(), (1, 2), b"").limits
    for number in range(300):
        bench.receive(another(number), PHONE)
    assert bench.engine.overload.refused["source"] == 300 - 4 * Limits().requests_per_second
