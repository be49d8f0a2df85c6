"""What is remembered of values that were read holds numbers: it must not outlast the calls."""

from __future__ import annotations

import gc

from sip_hooks import reading
from sip_hooks.headers import parse_name_addr
from sip_hooks.message import parse
from sip_hooks.sdp import describe
from sip_hooks.transaction import Transaction
from sip_hooks.uri import parse_uri
from tests.fakes.sip import PBX, Bench, answered, invite, only, reply, request, within


def test_no_number_is_remembered_when_the_last_call_is_forgotten() -> None:
    bench = Bench()
    answered(bench)
    only(bench.receive(within("BYE")))
    assert reading.held() > 0
    bench.wait(40)
    assert bench.engine.calls == 0
    assert reading.held() == 0


def test_what_is_remembered_does_not_grow_without_end() -> None:
    reading.forget()
    for number in range(2 * reading.MOST):
        parse_uri(b"sip:%d@10.0.0.9" % number)
    assert reading.MOST / 2 < reading.held() <= reading.MOST


def test_nobody_can_fill_our_memory_with_long_values_that_are_read_once() -> None:
    reading.forget()
    name = b"sip:%s@10.0.0.9" % (b"9" * reading.LONGEST)
    assert parse_uri(name).user == b"9" * reading.LONGEST
    assert parse_name_addr(b"<%s>" % name, is_strict=True).uri.raw == name
    description = describe(b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n" + b"a=x\r\n" * reading.LONGEST)
    assert description.end is None
    assert reading.held() == 0


def test_what_was_read_longest_ago_is_forgotten_first() -> None:
    reading.forget()
    first, later = b"sip:0@10.0.0.9", b"sip:%d@10.0.0.9" % (reading.MOST // 2)
    kept = {it: parse_uri(it) for number in range(reading.MOST) for it in [b"sip:%d@10.0.0.9" % number]}
    parse_uri(b"sip:one-more@10.0.0.9")
    assert parse_uri(later) is kept[later]
    assert parse_uri(first) is not kept[first]


def test_a_transaction_that_is_over_is_freed_at_once_and_not_when_the_collector_comes_by() -> None:
    bench = Bench()
    before = transactions()
    gc.disable()
    try:
        bench.receive(reply(only(bench.receive(request("OPTIONS"))).data), PBX)
        assert transactions() > before
        bench.wait(70)
        assert transactions() == before
    finally:
        gc.enable()


def transactions() -> int:
    """How many there are in this process."""
    return sum(isinstance(it, Transaction) for it in gc.get_objects())


def test_a_message_that_is_read_again_says_the_same() -> None:
    data = invite()
    assert parse(data).by_name == parse(data).by_name
