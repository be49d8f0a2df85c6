"""A party is reached where its messages come from, through NAT and after it moved."""

from __future__ import annotations

import pytest

from sip_hooks.dialog import Party
from sip_hooks.events import Side
from sip_hooks.routing import address_of
from sip_hooks.settings import Address
from sip_hooks.uri import parse_uri
from tests.fakes.sip import (
    BOTH,
    DIALOG,
    OTHER,
    PBX,
    PHONE,
    TARGET,
    Bench,
    answered,
    from_callee,
    invite,
    only,
    registered,
    reply,
    request,
    routes_of,
)

NAT = ("203.0.113.7", 31000)


@pytest.mark.parametrize(
    ("side", "target", "expected"),
    [
        (Side.PHONES, "sip:201@203.0.113.7:5070", ("203.0.113.7", 5070)),  # sends from another port
        (Side.PHONES, "sip:201@192.168.1.20:5070", NAT),
        (Side.PHONES, "sip:201@phone.example", NAT),
        (Side.PBX, "sip:201@10.0.0.2:5062", ("10.0.0.2", 5062)),
        (Side.PBX, "sip:201@pbx.example", None),
    ],
)
def test_a_contact_counts_unless_a_nat_is_in_between(
    side: Side, target: str, expected: Address | None
) -> None:
    assert Party(side, b"a", NAT, BOTH[0]).reached_at(parse_uri(target.encode())) == expected


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:a@10.0.0.1", ("10.0.0.1", 5060)),
        ("sip:10.0.0.1:5062;lr", ("10.0.0.1", 5062)),
        ("sip:a@0.0.0.0", ("0.0.0.0", 5060)),
        ("sip:a@10.0.0.1:0", None),
        ("sip:a@010.0.0.1", None),
        ("sip:a@10.0.0.256", None),
        ("sip:a@10.0.0", None),
        ("sip:a@example.com", None),
        ("sip:a@[::1]", ("::1", 5060)),
        ("sip:a@[2001:DB8:0::1]:5062", ("2001:db8::1", 5062)),
        ("sip:a@[2001:db8::9:5070]", ("2001:db8::9:5070", 5060)),  # RFC 5118 §4.3: no port
        ("sip:a@[::ffff:10.0.0.1]", ("10.0.0.1", 5060)),
        ("sip:a@[2001:db8:::192.0.2.1]", ("2001:db8::c000:201", 5060)),  # RFC 5118 §4.10
        ("sip:a@[fe80::1]", None),
        ("sip:a@[10.0.0.1]", None),
        ("sip:a@[1::2::3]", None),
    ],
)
def test_only_an_ip_address_is_an_address(uri: str, expected: Address | None) -> None:
    assert address_of(parse_uri(uri.encode())) == expected


def test_a_phone_that_moved_is_found_at_its_new_address() -> None:
    bench = Bench()
    _, answer = answered(bench)
    moved = ("10.0.0.10", 5075)
    lines = (*routes_of(answer), "Contact: <sip:201@10.0.0.10:5075>")
    update = request(
        "UPDATE", TARGET, sender=moved, branch="z9hG4bKu", callee=DIALOG, number=2, headers=lines
    )
    bench.receive(update, moved)
    sent = only(bench.receive(from_callee("BYE"), PBX))
    assert sent.destination == moved
    assert sent.data.startswith(b"BYE sip:201@10.0.0.10:5075 SIP/2.0\r\n")


def test_two_phones_rung_for_one_call_are_told_apart() -> None:
    """A PBX forks one call to two phones: same Call-ID and caller's tag, two passes."""
    bench = Bench()
    answers = {}
    for phone in (PHONE, OTHER):
        uri = registered(bench, phone)
        bench.receive(invite(uri, sender=PBX, branch=f"z9hG4bK{phone[1]}"), PBX)
        sent = only(bench.forward())
        assert sent.destination == phone
        contact = f"Contact: <sip:20x@{phone[0]}:{phone[1]}>"
        bench.receive(reply(sent.data, tag=f"t{phone[1]}", headers=[contact]), phone)
        answers[phone] = f"<sip:202@pbx.example>;tag=t{phone[1]}"
    for phone, callee in answers.items():
        bye = request(
            "BYE", "sip:x@pbx.example", sender=PBX, branch=f"z9hG4bKb{phone[1]}", callee=callee, number=2
        )
        assert only(bench.receive(bye, PBX)).destination == phone


def test_a_dialog_is_not_taken_over_from_the_other_side() -> None:
    """Tags are no secret: a caller's tag used from the PBX's side names no party there."""
    bench = Bench()
    answered(bench)
    bench.receive(
        request("BYE", "sip:201@10.0.0.7", sender=PBX, branch="z9hG4bKx", callee=DIALOG, number=2), PBX
    )
    bench.receive(from_callee("BYE"), PHONE)
    assert bench.events[-1].__class__.__name__ == "CallAnswered"
