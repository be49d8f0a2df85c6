"""Calls find registered phones again, through NAT and after a restart, and nobody else decides where to."""

from __future__ import annotations

import pytest

from sip_hooks.events import CallOffered
from sip_hooks.registration import ContactTokens, Registered
from tests.fakes.sip import BOTH, PBX, PHONE, TWO, Bench, differences, field_of, invite, only, reply, request

NAT = ("203.0.113.7", 31000)
CONTACT = "sip:201@192.168.1.20:5070;transport=UDP"


def register(
    contact: str, bench: Bench, source: tuple[str, int] = NAT, account: str = "sip:201@pbx.example"
) -> bytes:
    lines = [f"Contact: {contact}", "Expires: 120"]
    data = request("REGISTER", "sip:pbx.example", headers=lines, callee=f"<{account}>")
    return only(bench.receive(data, source)).data


def token_uri(bench: Bench) -> str:
    return field_of(register(f"<{CONTACT}>", bench), "contact")[0].strip("<>")


@pytest.mark.parametrize(
    "contact",
    [
        '<sip:201@192.168.1.20:5070;transport=UDP>;+sip.instance="<urn:uuid:1>";expires=60',
        '"Front desk, <left>" <sip:201@192.168.1.20>',
        "sip:201@192.168.1.20;expires=60",
        "<sip:201@192.168.1.20>, <sip:201@192.168.1.21>;q=0.5",
    ],
)
def test_only_the_uri_of_a_contact_is_hidden_and_comes_back_byte_for_byte(contact: str) -> None:
    bench = Bench()
    sent = register(contact, bench)
    lines = [f"Contact: {contact}", "Expires: 120"]
    written = request("REGISTER", "sip:pbx.example", headers=lines, callee="<sip:201@pbx.example>")
    gone, added = differences(written, sent)
    assert [line.partition(":")[0] for line in gone] == ["Via", "Max-Forwards", "Contact"]
    assert [line.partition(":")[0] for line in added] == ["Via", "Via", "Max-Forwards", "Contact"]
    assert "192.168.1." not in added[-1]
    hidden = [f"Contact: {value}" for value in field_of(sent, "contact")]
    back = only(bench.receive(reply(sent, headers=hidden), PBX)).data
    assert ", ".join(field_of(back, "contact")) == contact


@pytest.mark.parametrize("source", [NAT, ("2001:db8::7", 31000), ("::1", 1)])
def test_a_token_gives_back_what_it_was_made_of(source: tuple[str, int]) -> None:
    tokens = ContactTokens(b"k" * 32)
    uri = b"sip:201@[2001:db8::7]:5070;transport=UDP"
    assert tokens.open(tokens.seal(uri, source)) == Registered(uri, source)
    assert ContactTokens(b"j" * 32).open(tokens.seal(uri, source)) is None


@pytest.mark.parametrize("contact", ["*", "<tel:+31201234567>", "<mailto:a@b.example>"])
def test_what_is_no_sip_address_is_left_alone(contact: str) -> None:
    assert field_of(register(contact, Bench()), "contact") == [contact]


def test_registering_again_is_a_refresh_for_the_pbx() -> None:
    assert token_uri(Bench()) == token_uri(Bench())


def test_a_contact_names_the_listener_that_the_pbx_can_reach() -> None:
    assert token_uri(Bench(TWO)).endswith("@10.1.0.1:5060")
    assert token_uri(Bench(BOTH)).endswith("@10.0.0.1:5060")


@pytest.mark.parametrize("spelling", [str, str.upper, lambda uri: uri + ";transport=udp;ob"])
def test_a_call_from_the_pbx_finds_the_phone_behind_its_nat(spelling: object) -> None:
    uri = token_uri(Bench())
    assert callable(spelling)
    respelled = "sip:" + spelling(uri.removeprefix("sip:"))
    bench = Bench()  # nothing is stored: another engine, as after a restart, knows the way
    bench.receive(invite(respelled, sender=PBX), PBX)
    sent = only(bench.forward())
    assert sent.destination == NAT
    assert sent.data.startswith(f"INVITE {CONTACT} SIP/2.0".encode())


def test_the_called_phone_is_named_by_its_own_contact() -> None:
    bench = Bench()
    uri = token_uri(bench)
    bench.receive(invite(uri, sender=PBX, callee=f"<{uri}>"), PBX)
    (offered,) = bench.of(CallOffered)
    named = {(each.header, each.value) for each in offered.identities if each.role == "callee"}
    assert named == {("request-uri", "201"), ("to", "201")}


def called(uri: str) -> set[tuple[str, str]]:
    """What a call to this Contact says of who is called, after a restart."""
    bench = Bench()
    bench.receive(invite(uri, sender=PBX, callee="<sip:201@pbx.example>"), PBX)
    (offered,) = bench.of(CallOffered)
    return {(each.header, each.value) for each in offered.identities if each.role == "callee"}


OPAQUE = "sip:x7ab9k@192.168.1.20:5070"


@pytest.mark.parametrize(
    ("account", "told"),
    [
        ("sip:250@pbx.example", {("account", "250")}),
        ("sips:Dr.Jansen@pbx.example", {("account", "dr.jansen")}),
        ("sip:x7ab9k@pbx.example", set()),  # the Contact says it
        (f"sip:{'9' * 64}@pbx.example", {("account", "9" * 64)}),
        (f"sip:{'9' * 65}@pbx.example", set()),  # as long as a token may become
        ("tel:+31201234250", set()),
        ("sip:pbx.example", set()),
    ],
)
def test_a_phone_whose_contact_says_nothing_is_named_by_what_it_registered(
    account: str, told: set[tuple[str, str]]
) -> None:
    hidden = field_of(register(f"<{OPAQUE}>", Bench(), account=account), "contact")[0].strip("<>")
    assert called(hidden) == {("request-uri", "x7ab9k"), ("to", "201")} | told


def test_a_contact_that_says_which_account_it_is_of_is_hidden_as_ever() -> None:
    """To tell an account costs a longer Contact; where it is not needed the PBX keeps the one it had."""
    token = ContactTokens(b"k" * 32).seal(CONTACT.encode(), NAT)
    assert f"sip:{token.decode()}@" in token_uri(Bench())
    plain = ContactTokens(b"k" * 32).seal(OPAQUE.encode(), NAT)
    hidden = field_of(register(f"<{OPAQUE}>", Bench()), "contact")[0]
    assert len(hidden.partition("@")[0]) - len("<sip:") - len(plain) <= 7


def test_a_token_of_before_leads_to_the_phone_and_tells_no_account() -> None:
    token = ContactTokens(b"k" * 32).seal(OPAQUE.encode(), NAT).decode()
    assert called(f"sip:{token}@10.0.0.1:5060") == {("request-uri", "x7ab9k"), ("to", "201")}


def test_a_forged_token_leads_nowhere() -> None:
    tokens, others = ContactTokens(b"k" * 32), ContactTokens(b"x" * 32)
    token = tokens.seal(CONTACT.encode(), NAT)
    assert tokens.open(token) == Registered(CONTACT.encode(), NAT)
    assert others.open(token) is None
    for position in range(len(token) - 1):
        changed = b"a" if token[position : position + 1] != b"a" else b"b"
        assert tokens.open(token[:position] + changed + token[position + 1 :]) is None
    for length in range(len(token)):
        assert tokens.open(token[:length]) is None
    bench = Bench()
    bench.receive(invite(f"sip:{others.seal(b'sip:201@1.2.3.4', NAT).decode()}@10.0.0.1", sender=PBX), PBX)
    assert bench.events == []


def test_digest_and_user_agent_pass_untouched() -> None:
    bench = Bench()
    lines = [
        'Authorization: Digest username="201",realm="pbx",nonce="n",uri="sip:pbx",response="r"',
        "User-Agent: Phone/1.0  (two spaces)",
    ]
    sent = only(bench.receive(request("REGISTER", "sip:pbx.example", headers=lines), PHONE)).data
    assert all(line.encode() + b"\r\n" in sent for line in lines)
    challenge = 'WWW-Authenticate: Digest realm="pbx", nonce="n", qop="auth,auth-int"'
    back = only(bench.receive(reply(sent, 401, headers=[challenge]), PBX))
    assert back.destination == PHONE
    assert challenge.encode() in back.data
