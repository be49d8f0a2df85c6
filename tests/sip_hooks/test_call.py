"""What a pass reports, and what it does to descriptions, in the order in which messages leave."""

from __future__ import annotations

import pytest

from sip_hooks.events import (
    CallAnswered,
    CallDisturbed,
    CallEnded,
    CallOffered,
    CallProgressed,
    CallRedirected,
    Disturbance,
    Event,
    MediaNegotiated,
    Side,
)
from tests.fakes.sip import (
    ANCHOR,
    PBX,
    TARGET,
    Bench,
    answered,
    causes,
    from_callee,
    invite,
    only,
    reinvite,
    reply,
    routes_of,
    sdp,
    within,
)

ANSWER = sdp("10.0.0.8", 6000)
ICE = "a=candidate:1 1 UDP 1 10.0.0.9 4000 typ host"


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_a_call_is_told_from_offer_to_end() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward(media=ANCHOR)).data
    bench.receive(reply(forwarded, 180), PBX)
    answer = only(bench.receive(reply(forwarded, body=ANSWER), PBX)).data
    bench.receive(within("BYE", headers=tuple(routes_of(answer))))
    assert kinds(bench.events) == [
        "CallOffered",
        "MediaNegotiated",
        "CallProgressed",
        "MediaNegotiated",
        "CallAnswered",
        "CallEnded",
    ]
    (offered,) = bench.of(CallOffered)
    assert (offered.from_side, offered.dialled, offered.anonymous) == (Side.PHONES, "202", False)
    assert not offered.already_anchored and offered.disturbances == ()
    assert {(each.role, each.value) for each in offered.identities} == {("caller", "201"), ("callee", "202")}
    first, second = bench.of(MediaNegotiated)
    assert first.caller and (first.caller.address, first.caller.rtp_port, first.callee) == (
        "10.0.0.9",
        4000,
        None,
    )
    assert second.callee and (second.callee.address, second.callee.rtp_port) == ("10.0.0.8", 6000)
    assert (second.caller, second.to_tag, second.answered) == (first.caller, "b", True)
    assert [event.to_tag for event in bench.of(CallAnswered)] == ["b"]


def test_no_event_tells_a_number_when_it_is_printed() -> None:
    bench = Bench()
    caller = "<sip:0201234567@pbx.example>;tag=a"
    bench.receive(invite("sip:0612345678@pbx.example", caller=caller))
    bench.receive(reply(only(bench.forward(media=ANCHOR)).data, body=ANSWER), PBX)
    assert len(bench.events) == 4
    assert not any(secret in repr(bench.events) for secret in ("0612345678", "0201234567", "10.0.0."))


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        (["Replaces: x;to-tag=1;from-tag=2"], sdp(), {Disturbance.REPLACES}),
        (["Join: x;to-tag=1;from-tag=2"], sdp(), {Disturbance.JOIN}),
        (["Authorization: Digest qop=auth-int"], sdp(), {Disturbance.AUTH_INT}),
        (["Diversion: <<"], sdp(), {Disturbance.UNREADABLE}),
        ([], sdp("0.0.0.0"), {Disturbance.HOLD}),
        ([], sdp(), set()),
    ],
)
def test_an_offer_tells_what_it_carries(headers: list[str], body: bytes, expected: set[Disturbance]) -> None:
    bench = Bench()
    bench.receive(invite(headers=headers, body=body))
    assert set(bench.of(CallOffered)[0].disturbances) == expected


def test_a_late_offer_and_an_anonymous_caller_are_told() -> None:
    bench = Bench()
    bench.receive(invite(body=b"", caller='"Anonymous" <sip:anonymous@anonymous.invalid>;tag=a'))
    (offered,) = bench.of(CallOffered)
    assert offered.description is None and offered.anonymous


def test_a_bye_to_the_fork_that_lost_does_not_end_the_call() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward()).data
    for tag in ("c", "b"):
        answer = only(bench.receive(reply(forwarded, tag=tag), PBX)).data
    bench.receive(within("BYE", headers=tuple(routes_of(answer)), tag="b"))
    assert bench.of(CallEnded) == []
    bench.receive(within("BYE", headers=tuple(routes_of(answer)), tag="c", number=3, branch="z9hG4bKx"))
    assert [event.cause for event in bench.of(CallEnded)] == ["bye"]


@pytest.mark.parametrize(
    "body",
    [
        sdp("10.0.0.9", 4000, "a=sendonly"),
        sdp("10.0.0.9", 4000, "a=inactive"),
        sdp("0.0.0.0", 4000),
        sdp("10.0.0.9", 0),
    ],
)
@pytest.mark.parametrize("media", [ANCHOR, None])
def test_hold_disturbs_in_every_spelling(body: bytes, media: object) -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward(media=ANCHOR if media else None)).data
    answer = only(bench.receive(reply(forwarded, body=ANSWER), PBX)).data
    bench.receive(reinvite(answer, body))
    assert causes(bench) == [Disturbance.HOLD]


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (sdp("10.0.0.9", 4010), (), [Disturbance.REINVITE_CHANGED]),
        (sdp(), ("P-Asserted-Identity: <sip:299@pbx.example>",), [Disturbance.IDENTITY_CHANGED]),
        (sdp(), ("P-Asserted-Identity: <sip:201@pbx.example>",), []),
        (sdp(), ("Replaces: x;to-tag=1;from-tag=2",), [Disturbance.REPLACES]),
        (sdp(), ("Remote-Party-ID: <<",), [Disturbance.UNREADABLE]),
    ],
)
def test_a_re_invite_that_is_no_pure_refresh_disturbs(
    body: bytes, headers: tuple[str, ...], expected: list[Disturbance]
) -> None:
    bench = Bench()
    _, answer = answered(bench)
    bench.receive(reinvite(answer, body, headers=headers))
    assert causes(bench) == expected


def test_an_identity_changed_in_the_answer_to_a_re_invite_disturbs() -> None:
    bench = Bench()
    _, answer = answered(bench)
    sent = only(bench.receive(reinvite(answer, sdp()))).data
    headers = [f"Contact: <{TARGET}>", "P-Asserted-Identity: <sip:doctor@pbx.example>"]
    bench.receive(reply(sent, headers=headers, body=ANSWER), PBX)
    assert causes(bench) == [Disturbance.IDENTITY_CHANGED]
    assert ("callee", "doctor") in {(each.role, each.value) for each in bench.of(CallDisturbed)[0].identities}


def test_the_callees_own_re_invite_speaks_of_the_callee() -> None:
    bench = Bench()
    answered(bench)
    bench.receive(from_callee("UPDATE", ("P-Asserted-Identity: <sip:doctor@pbx.example>",)), PBX)
    assert causes(bench) == [Disturbance.UPDATE, Disturbance.IDENTITY_CHANGED]
    assert ("callee", "doctor") in {(each.role, each.value) for each in bench.of(CallDisturbed)[1].identities}


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("REFER", ("Refer-To: <sip:203@pbx.example>",), [Disturbance.REFER, Disturbance.IDENTITY_CHANGED]),
        ("INFO", ("Info-Package: any",), [Disturbance.INFO]),
        ("UPDATE", (), [Disturbance.UPDATE]),
        ("NOTIFY", ("Event: refer",), []),
        ("MESSAGE", (), []),
    ],
)
def test_a_request_in_the_dialog_disturbs(
    method: str, headers: tuple[str, ...], expected: list[Disturbance]
) -> None:
    bench = Bench()
    _, answer = answered(bench)
    only(bench.receive(within(method, headers=(*routes_of(answer), *headers))))
    assert causes(bench) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Replaces: call-1;to-tag=b;from-tag=a", [Disturbance.REPLACES]),
        ("Replaces: call-1;from-tag=b;to-tag=a", [Disturbance.REPLACES]),
        ("Join: call-1;to-tag=b;from-tag=a", [Disturbance.JOIN]),
        ("Replaces: call-1;to-tag=x;from-tag=a", []),
        ("Replaces: call-1", []),
    ],
)
def test_a_call_that_is_taken_over_is_disturbed_too(header: str, expected: list[Disturbance]) -> None:
    bench = Bench()
    bench.call()
    bench.receive(invite(call_id="call-2", branch="z9hG4bK2", headers=[header]))
    assert causes(bench) == expected


@pytest.mark.parametrize(
    ("status", "kind"),
    [(180, CallProgressed), (183, CallProgressed), (181, CallRedirected), (302, CallRedirected)],
)
def test_progress_and_redirection_name_whom_they_speak_of(status: int, kind: type[CallProgressed]) -> None:
    bench = Bench()
    bench.receive(invite())
    sent = only(bench.forward()).data
    bench.receive(reply(sent, status, headers=["Contact: <sip:203@pbx.example>"]), PBX)
    (event,) = bench.of(kind)
    assert event.status == status
    assert ("contact", "203") in {(each.header, each.value) for each in event.identities}


def test_a_ringing_that_the_answer_has_overtaken_goes_no_further_and_is_looked_at() -> None:
    """It may say that it rang at the doctor's. Whoever has the answer has no use for it (RFC 6026 §7.2)."""
    bench = Bench()
    sent, _ = answered(bench)
    late = ["P-Asserted-Identity: <sip:250@pbx.example>", "Contact: <sip:elsewhere@192.0.2.99>"]
    assert bench.receive(reply(sent, 180, headers=late), PBX) == []
    (event,) = bench.of(CallProgressed)
    assert ("p-asserted-identity", "250") in {(each.header, each.value) for each in event.identities}
    assert bench.receive(reply(sent, 180, headers=late, tag="another"), PBX) == []
    (call,) = bench.engine._proxy.passes._by_call.values()
    assert list(call.dialogs) == [b"b"] and b"elsewhere" not in call.dialogs[b"b"].callee.contact


def test_a_ringing_of_a_reinvite_that_its_answer_has_overtaken_is_looked_at_too() -> None:
    bench = Bench()
    _, answer = answered(bench)
    (again,) = bench.receive(within("INVITE", headers=tuple(routes_of(answer)), branch="z9hG4bK7"))
    bench.receive(reply(again.data, 200), PBX)
    said = causes(bench)
    late = ["P-Asserted-Identity: <sip:250@pbx.example>"]
    assert bench.receive(reply(again.data, 180, headers=late), PBX) == []
    assert causes(bench) == [*said, Disturbance.IDENTITY_CHANGED]


@pytest.mark.parametrize(
    ("status", "cause"), [(486, "rejected"), (401, "rejected"), (302, "rejected"), (487, "cancelled")]
)
def test_a_call_that_is_not_answered_ends_once(status: int, cause: str) -> None:
    bench = Bench()
    bench.receive(invite())
    sent = only(bench.forward()).data
    for _ in range(2):
        bench.receive(reply(sent, status), PBX)
    assert [(event.cause, event.status) for event in bench.of(CallEnded)] == [(cause, status)]


def test_a_call_ends_once_however_often_its_bye_is_repeated() -> None:
    bench = Bench()
    _, answer = answered(bench)
    for branch in ("z9hG4bK1", "z9hG4bK1", "z9hG4bK2"):
        bench.receive(within("BYE", headers=tuple(routes_of(answer)), branch=branch))
    assert len(bench.of(CallEnded)) == 1


def test_a_flood_of_forks_is_bounded() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward()).data
    for number in range(100):
        bench.receive(reply(forwarded, 180, tag=f"t{number}"), PBX)
    (call,) = {event.call for event in bench.of(CallProgressed)}
    known = bench.engine._proxy.passes.named(call)
    assert known is not None
    assert list(known.dialogs)[0::63] == [b"t36", b"t99"]  # what has rung last is what may answer
