"""Which keys an INFO tells of, and which INFO may mean anything."""

from __future__ import annotations

import pytest

from sip_hooks.events import CallDisturbed, Disturbance, KeysPressed, KeysTaken
from tests.fakes.sip import PBX, Bench, answered, from_callee, only, reply, routes_of, within

RELAY, PLAIN, NORTEL = "application/dtmf-relay", "application/dtmf", "application/vnd.nortelnetworks.digits"


def info(answer: bytes, body: bytes, *headers: str) -> bytes:
    """An INFO of the caller."""
    data = within("INFO", headers=(*routes_of(answer), *headers), body=body)
    return data.replace(b"Content-Type: application/sdp\r\n", b"")


def told(kind: str, body: bytes, *more: str) -> tuple[list[str], list[Disturbance]]:
    """The keys that an INFO from the caller tells of, and what it disturbs."""
    bench = Bench()
    _, answer = answered(bench)
    types = (f"Content-Type: {kind}",) if kind else ()
    only(bench.receive(info(answer, body, *types, *more)))
    return [it.keys for it in bench.of(KeysPressed)], [it.cause for it in bench.of(CallDisturbed)]


@pytest.mark.parametrize(
    ("kind", "body", "key"),
    [
        (RELAY, b"Signal=5\r\nDuration=160\r\n", "5"),
        (RELAY, b"Duration=160\r\nSignal= *\r\n", "*"),
        (RELAY, b"signal=#\n", "#"),
        (RELAY, b"Signal=10\r\nDuration=160", "*"),
        (RELAY, b"Signal=11\r\n", "#"),
        (RELAY, b"Signal=d\r\n", "D"),
        (RELAY, b"Signal=16\r\n", "!"),
        (RELAY, b"Signal=!\r\n", "!"),
        ("Application/DTMF-Relay;charset=utf-8", b"Signal=7\r\n", "7"),
        (PLAIN, b"#", "#"),
        (PLAIN, b"1\r\n", "1"),
        (PLAIN, b"Signal=2\r\nDuration=250\r\n", "2"),
        (NORTEL, b"p=Digit-Collection\r\ny=Digits\r\nd=9\r\n", "9"),
    ],
)
def test_a_key_is_read_however_a_telephone_writes_it(kind: str, body: bytes, key: str) -> None:
    assert told(kind, body) == ([key], [])


@pytest.mark.parametrize(
    ("kind", "body"),
    [("", b""), ("application/media_control+xml", b"<media_control/>"), (RELAY, b"")],
)
def test_what_only_asks_for_a_picture_or_an_answer_disturbs_nothing(kind: str, body: bytes) -> None:
    assert told(kind, body) == ([], [])


@pytest.mark.parametrize(
    ("kind", "body", "more"),
    [
        ("application/csta+xml", b"<TransferCall/>", ()),
        ("application/x-hookflash", b"", ("Info-Package: flash",)),
        ("text/plain", b"5", ()),
        (RELAY, b"Signal=17\r\n", ()),
        (RELAY, b"Signal=12345\r\n", ()),
        (RELAY, b"Signal=1\r\nSignal=#\r\n", ()),
        (RELAY, b"nothing\r\n", ()),
        (PLAIN, b"1\r\n2\r\n", ()),
        (PLAIN, b"\xd9\xa3", ()),
        (RELAY, b"Signal=1\r\n", ("Content-Encoding: gzip",)),
        (RELAY, b" " * 300 + b"Signal=1\r\n", ()),
    ],
)
def test_an_info_that_may_mean_anything_disturbs(kind: str, body: bytes, more: tuple[str, ...]) -> None:
    assert told(kind, body, *more) == ([], [Disturbance.INFO])


def test_it_is_told_when_the_pbx_has_had_the_key() -> None:
    """Until then a retransmission may bring it late, and the next key with it."""
    bench = Bench()
    _, answer = answered(bench)
    sent = only(bench.receive(info(answer, b"Signal=*\r\n", f"Content-Type: {RELAY}"))).data
    assert bench.of(KeysTaken) == []
    only(bench.receive(reply(sent, 200), PBX))
    assert [it.sender for it in bench.of(KeysTaken)] == ["caller"]


def test_it_is_told_too_of_an_info_that_nobody_answers() -> None:
    bench = Bench()
    _, answer = answered(bench)
    only(bench.receive(info(answer, b"Signal=*\r\n", f"Content-Type: {RELAY}")))
    bench.wait(40)
    assert [it.sender for it in bench.of(KeysTaken)] == ["caller"]


def test_keys_of_the_other_end_are_told_as_its() -> None:
    bench = Bench()
    answered(bench)
    data = from_callee("INFO", (), b"Signal=#\r\n").replace(b"application/sdp", RELAY.encode())
    only(bench.receive(data, PBX))
    assert [it.sender for it in bench.of(KeysPressed)] == ["callee"]


def test_a_key_stands_in_no_text_of_the_event() -> None:
    assert "7" not in repr(KeysPressed("c", "caller", "7"))
