"""Between PBX and trunk: where requests go, who speaks for the trunk, how the PBX stays registered there."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from sip_hooks.engine import Listener
from sip_hooks.events import CallEnded, CallOffered, CallRestored, Side
from sip_hooks.registration import ContactTokens
from sip_hooks.routing import Router
from sip_hooks.settings import Address, Trunk
from tests.fakes.sip import (
    ANCHOR,
    PBX,
    TARGET,
    TWO,
    Bench,
    field_of,
    invite,
    only,
    reply,
    request,
    routes_of,
    sdp,
    within,
)

PROVIDER: Address = ("198.51.100.5", 5060)
ITS_OTHER: Address = ("198.51.100.9", 5060)
TRUNK = Trunk(PROVIDER, sources=(ip_network("198.51.100.8/30"),))
BETWEEN = (
    Listener("outer", "trunk", "10.2.0.1", 5060),
    Listener("inner", "pbx", "10.1.0.1", 5090, leads_to="trunk"),
)
CUSTOMER = "sip:+31612345678@provider.example"


def bench(*more: Listener) -> Bench:
    return Bench((*BETWEEN, *more), trunk=TRUNK)


def test_a_call_of_the_pbx_goes_to_the_trunk_and_one_of_the_trunk_to_the_pbx() -> None:
    out = bench()
    out.receive(invite(CUSTOMER, sender=PBX), PBX, "inner")
    sent = only(out.forward())
    assert (sent.destination, sent.listener) == (PROVIDER, "outer")
    (offered,) = out.of(CallOffered)
    assert (offered.from_side, offered.to_side, offered.is_trunk_leg) == (Side.PBX, Side.TRUNK, True)
    into = bench()
    into.receive(invite("sip:+31201234567@pbx.example", sender=PROVIDER), PROVIDER, "outer")
    sent = only(into.forward())
    assert (sent.destination, sent.listener) == (PBX, "inner")
    (offered,) = into.of(CallOffered)
    assert (offered.from_side, offered.to_side, offered.is_trunk_leg) == (Side.TRUNK, Side.PBX, True)


@pytest.mark.parametrize("source", [("203.0.113.7", 5060), ("198.51.100.12", 5060), PBX])
def test_nobody_but_the_trunk_reaches_the_pbx_under_the_address_that_it_trusts(source: Address) -> None:
    between = bench()
    refused = only(between.receive(invite(sender=source), source, "outer"))
    assert refused.data.startswith(b"SIP/2.0 403 ")
    assert refused.destination == source
    assert not between.events


def test_the_trunk_may_send_from_every_address_that_is_listed() -> None:
    between = bench()
    between.receive(invite(sender=ITS_OTHER), ITS_OTHER, "outer")
    assert only(between.forward()).destination == PBX


def test_an_ack_of_a_stranger_is_dropped() -> None:
    between = bench()
    assert between.receive(within("ACK"), ("203.0.113.7", 5060), "outer") == []


def test_the_provider_is_told_an_address_of_ours_and_its_calls_find_the_contact_of_the_pbx() -> None:
    contact = "sip:trunk@10.0.0.2:5060;line=abcdef"
    between = bench()
    register = request("REGISTER", "sip:provider.example", sender=PBX, headers=[f"Contact: <{contact}>"])
    sent = only(between.receive(register, PBX, "inner"))
    (hidden,) = field_of(sent.data, "contact")
    assert (sent.destination, hidden.endswith("@10.2.0.1:5060>")) == (PROVIDER, True)
    token = ContactTokens(b"k" * 32).seal(contact.encode(), PBX)
    assert hidden.startswith(f"<sip:{token.decode()}@"), "nobody needs to know which account it has there"
    back = only(between.receive(reply(sent.data, headers=[f"Contact: {hidden}"]), PROVIDER, "outer"))
    assert field_of(back.data, "contact") == [f"<{contact}>"]
    between.receive(invite(hidden.strip("<>"), sender=ITS_OTHER), ITS_OTHER, "outer")
    called = only(between.forward())
    assert called.data.startswith(f"INVITE {contact} SIP/2.0".encode())
    assert called.destination == PBX


def test_a_call_ends_from_either_end_although_the_provider_gives_a_name_as_its_contact() -> None:
    between = bench()
    between.receive(invite(CUSTOMER, sender=PBX), PBX, "inner")
    forwarded = only(between.forward(media=ANCHOR)).data
    contact = ("Contact: <sip:node7.provider.example>",)
    answer = reply(forwarded, headers=contact, body=sdp("198.51.100.6", 6000))
    answered = only(between.receive(answer, PROVIDER, "outer")).data
    ended = within("BYE", "sip:node7.provider.example", headers=tuple(routes_of(answered)))
    assert only(between.receive(ended, PBX, "inner")).destination == PROVIDER
    assert [it.cause for it in between.of(CallEnded)] == ["bye"]


def test_a_node_of_the_provider_is_reached_where_its_contact_says() -> None:
    between = bench()
    between.receive(invite(CUSTOMER, sender=PBX), PBX, "inner")
    forwarded = only(between.forward()).data
    answer = reply(forwarded, headers=("Contact: <sip:198.51.100.9:5070>",), body=sdp("198.51.100.6", 6000))
    answered = only(between.receive(answer, PROVIDER, "outer")).data
    ended = within("BYE", "sip:198.51.100.9:5070", headers=tuple(routes_of(answered)))
    assert only(between.receive(ended, PBX, "inner")).destination == ("198.51.100.9", 5070)


PHONES_TOO = (Listener("phones", "phones", "10.0.0.1", 5060), Listener("pbx", "pbx", "10.1.0.1", 5070))


def test_beside_phones_each_side_reaches_the_pbx_from_an_address_of_its_own() -> None:
    between = bench(*PHONES_TOO)
    between.receive(invite(sender=PROVIDER), PROVIDER, "outer")
    assert only(between.forward()).listener == "inner"
    between.receive(invite(call_id="call-2", branch="z9hG4bK2"), listener="phones")
    assert only(between.forward()).listener == "pbx"


def test_a_call_on_the_trunk_goes_on_after_a_restart() -> None:
    before = bench(*PHONES_TOO)
    before.receive(invite(CUSTOMER, sender=PBX), PBX, "inner")
    forwarded = only(before.forward()).data
    answered = only(before.receive(reply(forwarded, body=sdp("198.51.100.6", 6000)), PROVIDER, "outer")).data
    after = bench(*PHONES_TOO)
    ended = only(after.receive(within("BYE", TARGET, headers=tuple(routes_of(answered))), PBX, "inner"))
    assert (len(after.of(CallRestored)), ended.listener) == (1, "outer")


@pytest.mark.parametrize(
    "listeners",
    [
        BETWEEN[:1],
        (BETWEEN[0], replace(BETWEEN[1], leads_to="phones")),
        (*TWO, BETWEEN[0]),
        (*TWO, BETWEEN[1]),
        (),
    ],
)
def test_a_side_without_its_listener_towards_the_pbx_is_refused(listeners: tuple[Listener, ...]) -> None:
    settings = replace(bench().settings, listeners=listeners)
    with pytest.raises(ValueError, match="listener"):
        Router(settings)
