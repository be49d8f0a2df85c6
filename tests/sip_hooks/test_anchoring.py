"""Media of an anchored call stays with us through forks, refreshes and failures, or it is said not to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sip_hooks.events import (
    CallAnswered,
    CallEnded,
    CallOffered,
    Disturbance,
    MediaNegotiated,
)
from sip_hooks.message import parse
from tests.fakes.sip import (
    ANCHOR,
    DIALOG,
    PBX,
    PHONE,
    TARGET,
    TWO,
    Bench,
    answered,
    causes,
    field_of,
    from_callee,
    invite,
    only,
    reinvite,
    reply,
    request,
    routes_of,
    sdp,
    within,
)

ANSWER = sdp("10.0.0.8", 6000)


@pytest.mark.parametrize(
    ("offer", "already"),
    [(sdp("10.0.0.1", 20010), True), (sdp("10.0.0.1", 19998), False), (sdp("10.0.0.9", 20010), False)],
)
def test_an_offer_that_names_a_media_port_of_ours_is_already_anchored(offer: bytes, already: bool) -> None:
    bench = Bench()
    bench.receive(invite(body=offer))
    assert [event.already_anchored for event in bench.of(CallOffered)] == [already]


def test_a_late_offer_is_anchored_in_the_200_and_the_ack() -> None:
    bench = Bench()
    bench.receive(invite(body=b""))
    forwarded = only(bench.forward(media=ANCHOR)).data
    answer = only(bench.receive(reply(forwarded, body=ANSWER), PBX)).data
    assert b"m=audio 20000 " in answer
    ack = request("ACK", TARGET, branch="z9hG4bKa", callee=DIALOG, headers=routes_of(answer), body=sdp())
    assert b"m=audio 20002 " in only(bench.receive(ack)).data
    last = bench.of(MediaNegotiated)[-1]
    assert last.caller and last.callee and last.answered


@pytest.mark.parametrize(
    ("who", "method", "shown"),
    [
        ("caller", "UPDATE", b"m=audio 20002 "),
        ("callee", "UPDATE", b"m=audio 20000 "),
        ("caller", "PRACK", b"m=audio 20002 "),
        ("callee", "INVITE", b"m=audio 20000 "),
    ],
)
def test_every_later_description_shows_the_same_port(who: str, method: str, shown: bytes) -> None:
    bench = Bench()
    forwarded, answer = answered(bench)
    if who == "caller":
        data, source = within(method, headers=tuple(routes_of(answer)), body=sdp("10.0.0.9", 4010)), PHONE
        other = b"m=audio 20000 "
    else:
        routes = tuple(f"Route: {value}" for value in field_of(forwarded, "record-route"))
        data, source = from_callee(method, routes, body=sdp("10.0.0.8", 6010)), PBX
        other = b"m=audio 20002 "
    sent = only(bench.receive(data, source))
    assert shown in sent.data and b"10.0.0.1" in parse(sent.data).body
    back = only(bench.receive(reply(sent.data, body=sdp("10.0.0.7", 7000)), sent.destination))
    assert other in back.data


@pytest.mark.parametrize(("is_behind_nat", "told"), [(True, (PHONE[0], "")), (False, ("", ""))])
def test_where_the_sip_of_a_telephone_behind_a_nat_comes_from_is_told(
    is_behind_nat: bool, told: tuple[str, str]
) -> None:
    bench = Bench(listeners=(replace(TWO[0], is_behind_nat=is_behind_nat), TWO[1]))
    answered(bench)
    assert {event.hidden_at for event in bench.of(MediaNegotiated)} == {told}


def test_each_fork_is_anchored_and_told_apart() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward(media=ANCHOR)).data
    for tag, status in (("b", 183), ("c", 183), ("c", 200), ("b", 200), ("b", 200)):
        body = sdp("10.0.0.8", 6000 if tag == "b" else 6100)
        sent = only(bench.receive(reply(forwarded, status, tag=tag, body=body), PBX))
        assert b"m=audio 20000 " in sent.data
    told = [
        (event.to_tag, event.callee and event.callee.rtp_port, event.answered)
        for event in bench.of(MediaNegotiated)
    ]
    assert told == [
        ("", None, False),
        ("b", 6000, False),
        ("c", 6100, False),
        ("c", 6100, True),
        ("b", 6000, True),
    ]
    assert [event.to_tag for event in bench.of(CallAnswered)] == ["c"]
    assert causes(bench) == [Disturbance.SECOND_ANSWER]


def test_a_refresh_disturbs_nobody_and_gives_the_same_bytes() -> None:
    bench = Bench()
    forwarded, answer = answered(bench)
    told = len(bench.events)
    sent = only(bench.receive(reinvite(answer, sdp()))).data
    assert parse(sent).body == parse(forwarded).body
    back = only(bench.receive(reply(sent, body=ANSWER), PBX)).data
    assert parse(back).body == parse(answer).body
    assert bench.events[told:] == []


def test_a_refused_re_invite_leaves_media_as_it_was() -> None:
    bench = Bench()
    _, answer = answered(bench)
    before = bench.of(MediaNegotiated)[-1]
    sent = only(bench.receive(reinvite(answer, sdp("10.0.0.9", 4010)))).data
    bench.receive(reply(sent, 183, body=sdp("10.0.0.8", 6010)), PBX)
    bench.receive(reply(sent, 491), PBX)
    assert bench.of(MediaNegotiated)[-1] == before
    assert bench.of(CallEnded) == []


def test_a_re_invite_that_nobody_answers_leaves_media_as_it_was() -> None:
    bench = Bench()
    _, answer = answered(bench)
    before = bench.of(MediaNegotiated)[-1]
    bench.receive(reinvite(answer, sdp("10.0.0.9", 4010)))
    bench.wait(40)
    assert bench.of(MediaNegotiated)[-1] == before
    assert bench.of(CallEnded) == []


@pytest.mark.parametrize("kind", ["multipart/mixed;boundary=y", "application/pkcs7-mime", "text/plain"])
def test_a_body_that_is_no_plain_description_passes_untouched(kind: str) -> None:
    body = b"--x\r\nContent-Type: application/sdp\r\n\r\n" + sdp() + b"--x--\r\n"
    bench = Bench()
    data = invite(body=body).replace(
        b"application/sdp\r\nContent-Length", kind.encode() + b"\r\nContent-Length"
    )
    bench.receive(data)
    assert parse(only(bench.forward(media=ANCHOR)).data).body == body


def test_a_body_protected_by_digest_is_not_rewritten() -> None:
    bench = Bench()
    bench.receive(invite(headers=['Proxy-Authorization: Digest username="201", qop=auth-int']))
    sent = only(bench.forward(media=ANCHOR)).data
    assert parse(sent).body == sdp()
    assert parse(only(bench.receive(reply(sent, body=ANSWER), PBX)).data).body == ANSWER
    assert causes(bench) == [Disturbance.AUTH_INT]


@pytest.mark.parametrize(("qop", "expected"), [("auth-int", [Disturbance.AUTH_INT]), ("auth,auth-int", [])])
def test_a_challenge_that_demands_body_protection_is_told(qop: str, expected: list[Disturbance]) -> None:
    bench = Bench()
    bench.receive(invite())
    sent = only(bench.forward(media=ANCHOR)).data
    bench.receive(reply(sent, 407, headers=[f'Proxy-Authenticate: Digest realm="x", qop="{qop}"']), PBX)
    assert causes(bench) == expected
    assert [(event.cause, event.status) for event in bench.of(CallEnded)] == [("rejected", 407)]
