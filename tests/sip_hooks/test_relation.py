"""What messages say of other dialogs and sessions, and of conferences."""

from __future__ import annotations

import pytest

from sip_hooks.events import CallAnswered, CallDisturbed, CallOffered, CallsRelated, Disturbance
from tests.fakes.sip import (
    ANCHOR,
    PBX,
    Bench,
    answered,
    causes,
    from_callee,
    invite,
    only,
    reply,
    routes_of,
    sdp,
    within,
)

ID, NIL = "ab30317f1a784dc48ff824d0d3715d86", "0" * 32
KNOWN = "call-1;to-tag=b;from-tag=a"


def second(bench: Bench, *headers: str) -> None:
    bench.receive(invite(call_id="call-2", branch="z9hG4bKtwo", headers=headers))


@pytest.mark.parametrize("header", [f"Replaces: {KNOWN}", f"Join: {KNOWN}", f"Target-Dialog: {KNOWN}"])
def test_a_new_call_is_related_to_the_dialog_that_it_names(header: str) -> None:
    bench = Bench()
    answered(bench)
    second(bench, header)
    first, new = bench.of(CallOffered)
    assert bench.of(CallsRelated) == [CallsRelated(new.call, (first.call,))]


def test_a_dialog_that_is_not_known_is_related_to_nobody() -> None:
    bench = Bench()
    answered(bench)
    second(bench, "Replaces: call-9;to-tag=b;from-tag=a")
    assert bench.of(CallsRelated) == []
    assert Disturbance.REPLACES in bench.of(CallOffered)[-1].disturbances


def test_an_early_dialog_can_be_taken_over_too() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward(media=ANCHOR)).data
    bench.receive(reply(forwarded, 180, tag="b"), PBX)
    second(bench, f"Replaces: {KNOWN};early-only")
    assert len(bench.of(CallsRelated)) == 1


def test_a_refer_names_the_dialog_that_is_to_be_taken_over() -> None:
    bench = Bench()
    _, answer = answered(bench)
    second(bench)
    forwarded = only(bench.forward()).data
    bench.receive(reply(forwarded, tag="x", body=sdp("10.0.0.8", 6000)), PBX)
    to = "Refer-To: <sip:203@pbx.example?Replaces=call-2%3Bto-tag%3Dx%3Bfrom-tag%3Da>"
    only(bench.receive(within("REFER", headers=(*routes_of(answer), to))))
    first, consultation = bench.of(CallOffered)
    assert bench.of(CallsRelated) == [CallsRelated(first.call, (consultation.call,))]
    taken = [it.call for it in bench.of(CallDisturbed) if it.cause is Disturbance.REPLACES]
    assert taken == [consultation.call]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"Session-ID: {ID};remote={NIL}", {ID}),
        (f"Session-ID: {ID.upper()};remote=1{ID[1:]}", {ID, "1" + ID[1:]}),
        (f"Session-ID: {NIL}", set()),
        ("Session-ID: short", set()),
    ],
)
def test_a_session_is_known_by_its_identifiers(header: str, expected: set[str]) -> None:
    bench = Bench()
    bench.receive(invite(headers=[header]))
    assert bench.of(CallOffered)[0].session_ids == expected
    forwarded = only(bench.forward()).data
    bench.receive(reply(forwarded, headers=["Contact: <sip:202@10.0.0.8>", header]), PBX)
    assert bench.of(CallAnswered)[0].session_ids == expected


def test_a_conference_is_told_whenever_a_contact_says_so() -> None:
    focus = "Contact: <sip:202@10.0.0.8:5080>;isfocus"
    bench = Bench()
    bench.receive(invite(headers=[focus]))
    assert Disturbance.CONFERENCE in bench.of(CallOffered)[0].disturbances
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward()).data
    bench.receive(reply(forwarded, headers=[focus], body=sdp("10.0.0.8", 6000)), PBX)
    assert causes(bench) == [Disturbance.CONFERENCE]
    bench = Bench()
    answered(bench)
    bench.receive(from_callee("UPDATE", (focus,)), PBX)
    assert Disturbance.CONFERENCE in causes(bench)
