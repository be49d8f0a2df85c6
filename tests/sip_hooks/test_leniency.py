"""What careless phones and lenient PBXs agree upon is not ours to judge: it passes, and is not recorded."""

from __future__ import annotations

import pytest

from sip_hooks.events import CallEnded, CallOffered, Disturbance
from sip_hooks.message import parse
from tests.fakes.sip import (
    OTHER,
    PBX,
    PHONE,
    Bench,
    answered,
    field_of,
    from_callee,
    invite,
    only,
    reply,
    request,
)

JANSEN = "Jansen, Piet <sip:201@pbx.example>;tag=a"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("From: <sip:201@pbx.example>;tag=a", f"From: {JANSEN}"),
        ("From: <sip:201@pbx.example>;tag=a", 'From: "Piet <sip:201@pbx.example>;tag=a'),
        ("From: <sip:201@pbx.example>;tag=a", "From: <sip:201@pbx.example>>;tag=a"),
        ("From: <sip:201@pbx.example>;tag=a", "From: <201@pbx.example>;tag=a"),
        ("To: <sip:202@pbx.example>", "To: piet@home <sip:202@pbx.example>"),
        ("Contact: <sip:201@10.0.0.9:5070>", "Contact: <sip:201@10.0.0.9:5070;transport=UDP>>"),
        ("Contact: <sip:201@10.0.0.9:5070>", "Contact: Jansen, Piet <sip:201@10.0.0.9:5070>"),
        ("Contact: <sip:201@10.0.0.9:5070>", "Contact: <sip:201@10.0.0.9:5070"),
    ],
)
def test_a_name_that_cannot_be_read_goes_on_and_is_said_to_be_unreadable(old: str, new: str) -> None:
    bench = Bench()
    data = invite().replace(old.encode(), new.encode())
    assert data != invite()
    bench.receive(data)
    sent = only(bench.forward())
    assert sent.destination == PBX
    assert f"{new}\r\n".encode() in sent.data
    assert Disturbance.UNREADABLE in bench.of(CallOffered)[0].disturbances


def test_its_tag_is_read_all_the_same() -> None:
    bench = Bench()
    bench.receive(invite(caller=JANSEN))
    forwarded = only(bench.forward()).data
    bench.receive(reply(forwarded), PBX)
    bye = request("BYE", "sip:202@10.0.0.8:5080", caller=JANSEN, callee="a, b <sip:202@pbx.example>; Tag=b")
    assert parse(bye).to_tag == b"b"
    assert only(bench.receive(bye)).destination == OTHER
    assert [event.cause for event in bench.of(CallEnded)] == ["bye"]


@pytest.mark.parametrize("contact", ["Jansen, Piet <sip:201@10.0.0.9:5090>", "<sip:201@10.0.0.9:5090>>"])
def test_a_contact_leads_to_the_phone_whatever_stands_around_it(contact: str) -> None:
    bench = Bench()
    bench.receive(invite().replace(b"<sip:201@10.0.0.9:5070>", contact.encode()))
    bench.receive(reply(only(bench.forward()).data), PBX)
    assert only(bench.receive(from_callee("BYE"), PBX)).destination == ("10.0.0.9", 5090)


def test_a_registered_contact_is_hidden_whatever_follows_it() -> None:
    """Else the PBX's calls would not come through us."""
    bench = Bench()
    data = request("REGISTER", "sip:pbx.example", headers=["Contact: <sip:201@10.0.0.9:5070>>;expires=60"])
    (contact,) = field_of(only(bench.receive(data)).data, "contact")
    assert contact.endswith("@10.0.0.1:5060>>;expires=60") and "10.0.0.9" not in contact


def test_pyvoip_hangs_up_on_what_is_left_of_a_contact() -> None:
    uri = 'sip:201@10.0.0.9:5070>;+sip.instance="<urn:uuid:1>"'
    bench = Bench()
    answered(bench)
    bye = from_callee("BYE").replace(b"BYE sip:201@10.0.0.9:5070 ", f"BYE {uri} ".encode())
    sent = only(bench.receive(bye, PBX))
    assert (sent.destination, parse(sent.data).request_uri) == (PHONE, b"sip:201@10.0.0.9:5070")
    assert only(bench.receive(invite(uri), PBX)).data.startswith(b"SIP/2.0 400")
