"""Phones that register by Path (RFC 3327): the PBX keeps their own Contact, and calls come through us."""

from __future__ import annotations

import pytest

from sip_hooks.events import CallOffered
from sip_hooks.message import parse
from sip_hooks.settings import Listener
from tests.fakes.sip import PBX, PHONE, TWO, Bench, field_of, invite, only, reply, request

CONTACT = "<sip:201@192.168.1.20:5070>"


def register(bench: Bench, *headers: str, name: str | None = None) -> bytes:
    """A phone registers; returns the REGISTER as the PBX got it."""
    lines = [f"Contact: {CONTACT}", *headers]
    return only(bench.receive(request("REGISTER", "sip:pbx.example", headers=lines), PHONE, name)).data


def called(path: str, call_id: str = "in") -> bytes:
    """What a registrar sends to a Contact that has this Path."""
    uri = CONTACT.strip("<>")
    return invite(uri, headers=(f"Route: {path}",), sender=PBX, branch="z9hG4bKpbx", call_id=call_id)


def test_the_contact_stays_and_the_path_leads_through_us() -> None:
    sent = register(Bench(TWO, registration="path"))
    assert field_of(sent, "contact") == [CONTACT]
    (path,) = field_of(sent, "path")
    assert path.endswith("@10.1.0.1:5060;lr>"), "the listener that faces the PBX"
    assert field_of(sent, "supported") == ["path"]


def test_a_phone_that_says_that_it_understands_path_says_it_once() -> None:
    sent = register(Bench(TWO, registration="path"), "Supported: outbound, path")
    assert field_of(sent, "supported") == ["outbound", "path"]


def test_the_answer_reaches_the_phone_as_the_registrar_wrote_it() -> None:
    bench = Bench(TWO, registration="path")
    sent = register(bench)
    (path,) = field_of(sent, "path")
    answer = only(
        bench.receive(reply(sent, headers=[f"Contact: {CONTACT};expires=60", f"Path: {path}"]), PBX, "out")
    )
    assert (field_of(answer.data, "contact"), field_of(answer.data, "path")) == (
        [f"{CONTACT};expires=60"],
        [path],
    )


@pytest.mark.parametrize("by", ["address", "restart"])
def test_a_call_reaches_the_phone_where_it_registered_from_though_its_contact_is_private(by: str) -> None:
    bench = Bench(TWO, registration="path")
    (path,) = field_of(register(bench), "path")
    if by == "restart":
        bench = Bench(TWO, registration="path")
    bench.receive(called(path), PBX, "out")
    sent = only(bench.forward())
    assert sent.destination == PHONE
    assert parse(sent.data).request_uri == CONTACT.strip("<>").encode()
    assert field_of(sent.data, "route") == []


def test_a_call_to_a_phone_over_a_connection_comes_over_it() -> None:
    listeners = (Listener("in", "phones", "10.0.0.1", 5060, transport="tcp"), TWO[1])
    bench = Bench(listeners, registration="path")
    bench.connect(PHONE, "in")
    data = request("REGISTER", "sip:pbx.example", headers=[f"Contact: {CONTACT}"])
    sent = only(bench.stream(data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP"), PHONE, "in")).data
    (path,) = field_of(sent, "path")
    bench.receive(called(path, "before"), PBX, "out")
    assert parse(only(bench.settle() or bench.receive(called(path, "again"), PBX, "out")).data).status == 480
    bench.receive(reply(sent, headers=[f"Contact: {CONTACT}"]), PBX, "out")
    bench.receive(called(path), PBX, "out")
    assert only(bench.forward()).destination == PHONE


def test_a_forged_path_chooses_no_destination() -> None:
    bench = Bench(TWO, registration="path")
    (path,) = field_of(register(bench), "path")
    bench.receive(called(path.replace(path[5:15], "a" * 10)), PBX, "out")
    assert only(bench.forward()).destination == ("192.168.1.20", 5070), "as the Request-URI says"


def test_a_phone_whose_contact_says_nothing_is_named_by_the_account_in_its_path() -> None:
    bench = Bench(TWO, registration="path")
    (path,) = field_of(register(bench), "path")  # of 202, under a Contact of 201
    bench = Bench(TWO, registration="path")
    bench.receive(called(path), PBX, "out")
    (offered,) = bench.of(CallOffered)
    named = {(each.header, each.value) for each in offered.identities if each.role == "callee"}
    assert {("request-uri", "201"), ("account", "202")} <= named
