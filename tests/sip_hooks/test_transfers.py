"""What becomes of a REFER within a dialog, as far as signalling tells (RFC 3515)."""

from __future__ import annotations

import pytest

from sip_hooks.events import CallDisturbed, Disturbance, MediaKept, TransferEnded
from tests.fakes.sip import (
    PBX,
    PHONE,
    Bench,
    answered,
    causes,
    from_callee,
    only,
    reply,
    routes_of,
    sdp,
    within,
)

NOTIFY = ("Event: refer", "Content-Type: message/sipfrag")


def referred(bench: Bench) -> tuple[bytes, bytes]:
    """A call whose caller has sent a REFER; the 200 of the call, and the REFER as the PBX got it."""
    _, answer = answered(bench)
    return answer, refer(bench, answer)


def refer(bench: Bench, answer: bytes, number: int = 2) -> bytes:
    headers = (*routes_of(answer), "Refer-To: <sip:203@pbx.example>")
    return only(
        bench.receive(within("REFER", number=number, headers=headers, branch=f"z9hG4bKr{number}"))
    ).data


def notify(bench: Bench, fragment: bytes, headers: tuple[str, ...] = NOTIFY, branch: bytes = b"") -> None:
    data = from_callee("NOTIFY", headers, fragment).replace(b"Content-Type: application/sdp\r\n", b"")
    only(bench.receive(data.replace(b"z9hG4bKpbx", b"z9hG4bKn" + branch), PBX))


def ends(bench: Bench) -> list[bool]:
    return [event.is_done for event in bench.of(TransferEnded)]


@pytest.mark.parametrize("status", [403, 481, 603])
def test_a_refer_that_is_refused_comes_to_nothing(status: int) -> None:
    bench = Bench()
    _, sent = referred(bench)
    assert causes(bench)[0] is Disturbance.REFER and ends(bench) == []
    bench.receive(reply(sent, status, headers=[]), PBX)
    assert ends(bench) == [False]


def test_a_challenge_is_no_refusal() -> None:
    bench = Bench()
    answer, sent = referred(bench)
    bench.receive(reply(sent, 407, headers=[]), PBX)
    assert ends(bench) == []
    again = refer(bench, answer, 3)
    bench.receive(reply(again, 202, headers=[]), PBX)
    notify(bench, b"SIP/2.0 486 Busy Here\r\n")
    assert ends(bench) == [False]


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        (b"SIP/2.0 100 Trying\r\n", []),
        (b"SIP/2.0 180 Ringing\r\n", []),
        (b"SIP/2.0 200 OK\r\n", [True]),
        (b"SIP/2.0 486 Busy Here\r\n", [False]),
        (b"SIP/2.0 503\r\n", [False]),
        (b"SIP/2.0 4860 What\r\n", []),
        (b"486 Busy Here\r\n", []),
        (b"", []),
    ],
)
def test_a_notify_tells_what_became_of_it(fragment: bytes, expected: list[bool]) -> None:
    bench = Bench()
    _, sent = referred(bench)
    bench.receive(reply(sent, 202, headers=[]), PBX)
    notify(bench, fragment)
    assert ends(bench) == expected


def test_only_whoever_was_referred_can_say_that_it_failed() -> None:
    """Else the agent's own phone could have the recording go on with whoever is there now."""
    bench = Bench()
    answer, sent = referred(bench)
    bench.receive(reply(sent, 202, headers=[]), PBX)
    data = within("NOTIFY", number=3, headers=(*routes_of(answer), *NOTIFY), body=b"SIP/2.0 486 Busy\r\n")
    only(bench.receive(data.replace(b"Content-Type: application/sdp\r\n", b""), PHONE))
    assert ends(bench) == []


def test_of_two_transfers_one_failure_says_nothing() -> None:
    bench = Bench()
    answer, sent = referred(bench)
    bench.receive(reply(sent, 202, headers=[]), PBX)
    second = refer(bench, answer, 3)
    notify(bench, b"SIP/2.0 486 Busy Here\r\n")
    assert ends(bench) == []
    bench.receive(reply(second, 403, headers=[]), PBX)
    assert ends(bench) == []
    notify(bench, b"SIP/2.0 486 Busy Here\r\n", branch=b"2")
    assert ends(bench) == [False]


def test_a_notify_of_something_else_says_nothing() -> None:
    bench = Bench()
    referred(bench)
    notify(bench, b"SIP/2.0 486 Busy Here\r\n", ("Event: dialog", "Content-Type: message/sipfrag"))
    assert ends(bench) == []


def test_a_fragment_names_others_and_not_the_parties() -> None:
    """The agent is still the agent, whoever it was that was busy; a doctor in it is a doctor all the same."""
    bench = Bench()
    _, sent = referred(bench)
    bench.receive(reply(sent, 202, headers=[]), PBX)
    notify(bench, b"SIP/2.0 486 Busy Here\r\nTo: <sip:250@pbx.example>\r\n")
    told = [it for it in bench.of(CallDisturbed) if it.cause is Disturbance.IDENTITY_CHANGED]
    assert {it.header for it in told[-1].identities if it.value == "250"} == {"sipfrag"}


@pytest.mark.parametrize(("method", "status"), [("INVITE", 488), ("INVITE", 491), ("UPDATE", 500)])
def test_an_offer_that_is_refused_leaves_media_as_it_was(method: str, status: int) -> None:
    bench = Bench()
    _, answer = answered(bench)
    held = sdp("10.0.0.9", 4000, "a=sendonly")
    data = within(method, headers=tuple(routes_of(answer)), body=held)
    sent = only(bench.receive(data)).data
    assert Disturbance.HOLD in causes(bench) and bench.of(MediaKept) == []
    bench.receive(reply(sent, status, headers=[]), PBX)
    assert len(bench.of(MediaKept)) == 1
