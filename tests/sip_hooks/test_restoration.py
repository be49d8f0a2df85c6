"""Signalling died and was started again: calls in progress go on, through the same media ports."""

from __future__ import annotations

import pytest

from sip_hooks.dialog_token import Crossing, DialogTokens
from sip_hooks.events import CallEnded, CallRestored, MediaNegotiated, Side
from sip_hooks.message import parse
from sip_hooks.settings import Address
from tests.fakes.sip import (
    ANCHOR,
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
    registered,
    reinvite,
    reply,
    request,
    routes_of,
    sdp,
    within,
)

HOLD = sdp("10.0.0.9", 4000, "a=sendonly")
NAT: Address = ("203.0.113.7", 31000)


def restarted(before: Bench) -> Bench:
    """Another engine with the same key, and what the relay has told it."""
    bench = Bench(before.settings.listeners)
    bench.engine.restore({ANCHOR.reference: ANCHOR})
    return bench


def routes_of_callee(forwarded: bytes) -> tuple[str, ...]:
    return tuple(f"Route: {value}" for value in field_of(forwarded, "record-route"))


def test_the_caller_holds_and_resumes_and_the_media_stays_with_us() -> None:
    before = Bench()
    _, answer = answered(before)
    bench = restarted(before)
    for number, offer in ((2, HOLD), (3, sdp())):
        sent = only(bench.receive(reinvite(answer, offer, number)))
        assert sent.destination == OTHER
        assert b"c=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 20002 " in sent.data
        back = only(bench.receive(reply(sent.data, body=sdp("10.0.0.8", 6000)), PBX))
        assert back.destination == PHONE
        assert b"c=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 20000 " in back.data
    first, *others = bench.events
    assert first == CallRestored(bench.of(MediaNegotiated)[0].call, ANCHOR)
    assert not any(isinstance(it, CallRestored) for it in others)
    last = bench.of(MediaNegotiated)[-1]
    assert last.caller and last.callee and last.answered
    assert (last.caller.address, last.callee.address) == ("10.0.0.9", "10.0.0.8")


def test_the_callee_holds_and_the_media_stays_with_us() -> None:
    before = Bench()
    forwarded, _ = answered(before)
    bench = restarted(before)
    sent = only(bench.receive(from_callee("INVITE", routes_of_callee(forwarded), sdp("10.0.0.8", 6000)), PBX))
    assert sent.destination == PHONE
    assert b"m=audio 20000 " in sent.data
    assert b"m=audio 20002 " in only(bench.receive(reply(sent.data, body=sdp()))).data
    last = bench.of(MediaNegotiated)[-1]
    assert last.caller and last.caller.address == "10.0.0.9"


@pytest.mark.parametrize("is_caller", [True, False])
def test_a_bye_reaches_the_other_party_and_ends_the_call(is_caller: bool) -> None:
    before = Bench(TWO)
    forwarded, answer = answered(before)
    bench = restarted(before)
    if is_caller:
        sent = only(bench.receive(within("BYE", headers=tuple(routes_of(answer))), PHONE, "in"))
        assert (sent.listener, sent.destination) == ("out", OTHER)
    else:
        sent = only(bench.receive(from_callee("BYE", routes_of_callee(forwarded)), PBX, "out"))
        assert (sent.listener, sent.destination) == ("in", PHONE)
    restored, *_, ended = bench.events
    assert isinstance(restored, CallRestored) and restored.media == ANCHOR
    assert isinstance(ended, CallEnded) and (ended.call, ended.cause) == (restored.call, "bye")


def test_a_phone_behind_a_nat_is_reached_where_it_was() -> None:
    before = Bench()
    before.receive(invite(), NAT)
    forwarded = only(before.forward(media=ANCHOR)).data
    before.receive(reply(forwarded, body=sdp("10.0.0.8", 6000)), PBX)
    bench = restarted(before)
    assert only(bench.receive(from_callee("BYE", routes_of_callee(forwarded)), PBX)).destination == NAT


def test_media_that_is_gone_is_named_no_more() -> None:
    before = Bench()
    _, answer = answered(before)
    bench = Bench()
    sent = only(bench.receive(reinvite(answer, HOLD)))
    assert sent.data.endswith(HOLD)
    (restored,) = bench.of(CallRestored)
    assert restored.media is None
    assert not bench.of(MediaNegotiated)


def test_a_call_that_was_not_anchored_goes_on_untouched() -> None:
    before = Bench()
    before.receive(invite())
    forwarded = only(before.forward()).data
    answer = only(before.receive(reply(forwarded, body=sdp("10.0.0.8", 6000)), PBX)).data
    bench = restarted(before)
    assert only(bench.receive(reinvite(answer, HOLD))).data.endswith(HOLD)
    assert [it.media for it in bench.of(CallRestored)] == [None]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Call-ID: call-1", b"Call-ID: call-2"),
        (b";tag=a", b";tag=c"),
        (b";db=", b";db=a"),
    ],
)
def test_a_token_opens_no_other_dialog(old: bytes, new: bytes) -> None:
    before = Bench()
    _, answer = answered(before)
    bench = restarted(before)
    bench.receive(reinvite(answer, HOLD).replace(old, new))
    assert bench.events == []


def test_a_call_that_is_over_does_not_come_back_with_its_media() -> None:
    """Its number is not among those that were there before this engine."""
    bench = Bench()
    _, answer = answered(bench)
    bye = within("BYE", headers=tuple(routes_of(answer)))
    bench.receive(reply(only(bench.receive(bye)).data), OTHER)
    bench.wait(100)
    assert bench.engine.calls == 0
    bench.receive(bye.replace(b"z9hG4bKBYE", b"z9hG4bKagain"))
    assert [it.media for it in bench.of(CallRestored)] == [None]


def test_both_passes_of_a_dialog_come_back() -> None:
    """Through a PBX that is a proxy and does not record-route: one of them has the media."""
    before = Bench()
    token = registered(before, OTHER)
    before.receive(invite())
    outward = only(before.forward(media=ANCHOR)).data
    again = outward.replace(b"sip:202@pbx.example SIP", token.encode() + b" SIP")
    via = b"Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKreg\r\nVia"
    before.receive(again.replace(b"Via", via, 1), PBX)
    inward = only(before.forward()).data
    answer = only(before.receive(reply(inward, body=sdp("10.0.0.8", 6000)), OTHER)).data
    passed = only(before.receive(answer.partition(b"Via: ")[0] + answer.partition(b"reg\r\n")[2], PBX)).data
    bench = restarted(before)
    sent = only(bench.receive(reinvite(passed, HOLD)))
    assert sent.destination == OTHER
    assert b"m=audio 20002 " in sent.data
    assert [it.media for it in bench.of(CallRestored)] == [ANCHOR, None]
    assert parse(sent.data).field(b"route") is None


ADDRESSES = [PHONE, PBX, ("2001:db8::7", 65535)]


@pytest.mark.parametrize("caller", ADDRESSES)
@pytest.mark.parametrize("callee", ADDRESSES)
@pytest.mark.parametrize("media", [None, 0, 2**64 - 1])
def test_a_token_gives_back_what_it_was_made_of(caller: Address, callee: Address, media: int | None) -> None:
    tokens = DialogTokens(b"k" * 32, PBX)
    crossing = Crossing((Side.PHONES, Side.PBX), caller, callee, media)
    token = tokens.seal(crossing, b"call-1", b"a", b"\0\1\2\3")
    opened = tokens.open(token)
    assert opened is not None and opened.crossing == crossing
    assert opened.sender_of(parse(request("BYE", callee="<sip:202@pbx.example>;tag=b"))) == "caller"
    assert opened.sender_of(parse(from_callee("BYE"))) == "callee"
    assert DialogTokens(b"j" * 32, PBX).open(token) is None


@pytest.mark.parametrize("token", [b"", b"a", b"abc", b"1", b"\xff", b"0123456789abcdef", b"a" * 63])
def test_what_is_no_token_opens_nothing(token: bytes) -> None:
    assert DialogTokens(b"k" * 32, PBX).open(token) is None
