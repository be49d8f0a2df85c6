"""Whatever a message within the dialog says of either party reaches those above, once it is new."""

from __future__ import annotations

from itertools import product

import pytest

from sip_hooks.events import CallAnswered, CallDisturbed, ContactChanged, Disturbance
from tests.fakes.sip import (
    PBX,
    PHONE,
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
CHANGED = [Disturbance.IDENTITY_CHANGED]
HEADERS = (
    "Diversion: <sip:250@pbx.example>",
    "History-Info: <sip:250@pbx.example>;index=1",
    "Remote-Party-ID: <sip:250@pbx.example>;party=called",
    "Remote-Party-ID: <sip:250@pbx.example>;party=calling",
    "Remote-Party-ID: <sip:250@pbx.example>",
    "P-Asserted-Identity: <tel:+31201234500;ext=250>",
    "P-Preferred-Identity: <sip:250@pbx.example>",
    "P-Called-Party-ID: <sip:250@pbx.example>",
    "Refer-To: <sip:250@pbx.example>",
    "Referred-By: <sip:250@pbx.example>",
    "X-FS-Display-Number: 250",
    "Contact: <sip:250@10.0.0.77>",
)
METHODS = ("ACK", "PRACK", "NOTIFY", "OPTIONS", "MESSAGE")


def send(bench: Bench, answer: bytes, sender: str, headers: tuple[str, ...] = ()) -> bytes:
    """A re-INVITE of one party that changes nothing but what its headers say; returns it as it left."""
    if sender == "caller":
        return only(bench.receive(reinvite(answer, sdp(), headers=headers))).data
    return only(bench.receive(from_callee("INVITE", headers, ANSWER), PBX)).data


def told(bench: Bench) -> set[str]:
    return {each.value for event in bench.of(CallDisturbed) for each in event.identities}


@pytest.mark.parametrize(("header", "sender"), list(product(HEADERS, ("caller", "callee"))))
def test_a_request_tells_of_both_parties(header: str, sender: str) -> None:
    bench = Bench()
    _, answer = answered(bench)
    send(bench, answer, sender, (header,))
    assert causes(bench) == CHANGED
    assert "250" in told(bench)


@pytest.mark.parametrize(("header", "sender"), list(product(HEADERS, ("caller", "callee"))))
def test_a_2xx_tells_of_both_parties(header: str, sender: str) -> None:
    bench = Bench()
    _, answer = answered(bench)
    sent = send(bench, answer, sender)
    assert causes(bench) == []
    by_phone = sender == "callee"
    body = sdp() if by_phone else ANSWER
    only(bench.receive(reply(sent, headers=[header], body=body), PHONE if by_phone else PBX))
    assert causes(bench) == CHANGED
    assert "250" in told(bench)


def contacts(bench: Bench) -> list[tuple[str, str]]:
    return [(it.sender, it.address) for it in bench.of(ContactChanged)]


def test_a_telephone_that_is_reached_elsewhere_from_now_on_is_told_and_is_nobody_new() -> None:
    bench = Bench()
    _, answer = answered(bench)
    for host in ("10.0.0.9", "10.0.0.10", "10.0.0.10", "10.0.0.9"):
        bench.receive(within("ACK", headers=(*routes_of(answer), f"Contact: <sip:201@{host}>")))
    assert contacts(bench) == [("caller", "201@10.0.0.10"), ("caller", "201@10.0.0.9")]
    only(bench.receive(from_callee("INVITE", ("Contact: <sip:202@10.0.0.99>",), ANSWER), PBX))
    assert contacts(bench)[2:] == [("callee", "202@10.0.0.99")]
    assert causes(bench) == []


def test_a_header_that_names_whom_another_one_has_replaced_is_news() -> None:
    """A PBX that says in one header that somebody else is connected may take that back in another."""
    bench = Bench()
    _, answer = answered(bench)
    back, connected = "P-Asserted-Identity: <sip:201@pbx>", "P-Preferred-Identity: <sip:250@pbx>"
    for header, changes in ((back, 0), (connected, 1), (connected, 1), (back, 2), (back, 2), (connected, 2)):
        bench.receive(within("ACK", headers=(*routes_of(answer), header)))
        assert causes(bench) == CHANGED * changes, header


def test_a_header_that_says_the_same_beside_one_that_brings_news_is_none_later() -> None:
    bench = Bench()
    _, answer = answered(bench)
    both = "P-Preferred-Identity: <sip:250@pbx.example>", "P-Asserted-Identity: <sip:201@pbx.example>"
    for _ in range(2):
        bench.receive(within("ACK", headers=(*routes_of(answer), *both)))
    assert causes(bench) == CHANGED


@pytest.mark.parametrize("party", [b"From: <sip:201@", b"To: <sip:202@"])
def test_a_changed_from_or_to_is_news(party: bytes) -> None:
    bench = Bench()
    _, answer = answered(bench)
    bench.receive(reinvite(answer, sdp()).replace(party, party[:-4] + b"250@"))
    assert causes(bench) == CHANGED and "250" in told(bench)


@pytest.mark.parametrize(("method", "header"), list(product(METHODS, HEADERS[:6])))
def test_any_other_request_tells_too(method: str, header: str) -> None:
    bench = Bench()
    _, answer = answered(bench)
    only(bench.receive(within(method, headers=(*routes_of(answer), header))))
    assert causes(bench) == CHANGED and "250" in told(bench)


@pytest.mark.parametrize("method", [it for it in METHODS if it != "ACK"])
def test_the_2xx_of_any_other_request_tells_too(method: str) -> None:
    bench = Bench()
    _, answer = answered(bench)
    sent = only(bench.receive(within(method, headers=tuple(routes_of(answer))))).data
    bench.receive(reply(sent, headers=[HEADERS[0]]), PBX)
    assert causes(bench) == CHANGED and "250" in told(bench)


def test_a_fragment_in_a_notify_tells_who_was_reached() -> None:
    bench = Bench()
    answered(bench)
    fragment = b"SIP/2.0 200 OK\r\nTo: <sip:250@pbx.example>\r\n"
    headers = ("Event: refer", "Content-Type: message/sipfrag")
    data = from_callee("NOTIFY", headers, fragment).replace(b"Content-Type: application/sdp\r\n", b"")
    only(bench.receive(data, PBX))
    assert causes(bench) == CHANGED and "250" in told(bench)


def test_a_request_that_cannot_be_read_disturbs_whatever_its_method() -> None:
    bench = Bench()
    _, answer = answered(bench)
    bench.receive(within("MESSAGE", headers=(*routes_of(answer), "P-Asserted-Identity: <<")))
    assert causes(bench) == [Disturbance.UNREADABLE]


def test_a_repeated_answer_that_names_somebody_else_is_told() -> None:
    bench = Bench()
    forwarded, _ = answered(bench)
    bench.receive(reply(forwarded, body=ANSWER), PBX)
    assert causes(bench) == []
    bench.receive(reply(forwarded, headers=["Contact: <sip:250@10.0.0.8>"], body=ANSWER), PBX)
    assert causes(bench) == CHANGED and "250" in told(bench)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("P-Asserted-Identity: <sip:230@pbx.example>", CHANGED),  # only a hop had this name, or a fork
        ("P-Asserted-Identity: <sip:201@pbx.example>", CHANGED),  # only the other party had it
        ("Diversion: <sip:230@pbx.example>", []),
        ("P-Asserted-Identity: <sip:202@elsewhere.example>", []),  # a number is the same at every host
    ],
)
@pytest.mark.parametrize("was", ["diverted", "ringing"])
def test_what_was_said_of_others_is_not_known_of_the_party(
    was: str, header: str, expected: list[Disturbance]
) -> None:
    bench = Bench()
    bench.receive(invite(headers=["Diversion: <sip:230@pbx.example>"] if was == "diverted" else []))
    forwarded = only(bench.forward()).data
    bench.receive(reply(forwarded, 180, tag="c", headers=["Contact: <sip:230@10.0.0.7>"]), PBX)
    bench.receive(reply(forwarded, body=ANSWER), PBX)
    assert len(bench.of(CallAnswered)) == 1
    bench.receive(from_callee("INVITE", (header,), ANSWER), PBX)
    assert causes(bench) == expected


def test_a_name_is_somebody_else_at_another_host() -> None:
    bench = Bench()
    bench.receive(invite(headers=["P-Asserted-Identity: <sip:doctor@pbx.example>"]))
    forwarded = only(bench.forward()).data
    answer = only(bench.receive(reply(forwarded, body=ANSWER), PBX)).data
    send(bench, answer, "caller", ("P-Asserted-Identity: <sip:doctor@pbx.example>",))
    assert causes(bench) == []
    bench.receive(within("ACK", headers=(*routes_of(answer), "P-Asserted-Identity: <sip:doctor@example.nl>")))
    assert causes(bench) == CHANGED


@pytest.mark.parametrize(
    ("uri", "headers"),
    [
        (TARGET, ()),
        ("sip:202@pbx.example", ()),  # phones whose ACK goes to the To URI
        ("sip:202@10.0.0.8:9999", ("Contact: <sip:201@10.0.0.99:9>",)),
        (TARGET, ("P-Asserted-Identity: <sip:201@pbx.example>",)),
        (TARGET, ("Remote-Party-ID: <sip:202@pbx.example>;party=called",)),
        (TARGET, ("Contact: <sip:202@10.0.0.8:5080>",)),  # pyVoIP repeats the other's
    ],
)
@pytest.mark.parametrize("method", ["ACK", "INVITE", "OPTIONS"])
def test_what_is_only_repeated_disturbs_nothing(method: str, uri: str, headers: tuple[str, ...]) -> None:
    bench = Bench()
    _, answer = answered(bench)
    body = sdp() if method == "INVITE" else b""
    sent = bench.receive(within(method, uri, headers=(*routes_of(answer), *headers), body=body))
    if method != "ACK":
        bench.receive(reply(only(sent).data, body=ANSWER if body else b""), PBX)
    assert causes(bench) == []


def test_the_acknowledgement_of_a_ringing_fork_disturbs_nothing() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward()).data
    contact = ["Contact: <sip:fork@10.0.0.8:5080>"]
    ringing = only(bench.receive(reply(forwarded, 183, headers=contact), PBX)).data
    sent = bench.receive(within("PRACK", "sip:fork@10.0.0.8:5080", headers=tuple(routes_of(ringing))))
    bench.receive(reply(only(sent).data, headers=[]), PBX)
    bench.receive(reply(forwarded, headers=contact, body=ANSWER), PBX)
    assert len(bench.of(CallAnswered)) == 1 and causes(bench) == []


@pytest.mark.parametrize("header", HEADERS)
def test_the_end_of_a_call_is_no_news(header: str) -> None:
    bench = Bench()
    _, answer = answered(bench)
    sent = only(bench.receive(within("BYE", headers=(*routes_of(answer), header)))).data
    bench.receive(reply(sent, headers=[header]), PBX)
    assert causes(bench) == []
