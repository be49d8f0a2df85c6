"""The PBX of the demo, message by message."""

from __future__ import annotations

import hashlib
import re

import pytest

from demo.registrar import Address, Message, Registrar

PHONE: Address = ("127.0.0.1", 5071)
OTHER: Address = ("127.0.0.1", 5072)


def request(
    method: str, uri: str, *fields: str, to_tag: str = "", from_tag: str = "a", branch: str = "1"
) -> bytes:
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:5071;branch=z9hG4bK{branch}",
        "Max-Forwards: 70",
        f"From: <sip:101@127.0.0.1>;tag={from_tag}",
        "To: <sip:201@127.0.0.1>" + (f";tag={to_tag}" if to_tag else ""),
        "Call-ID: call-1",
        f"CSeq: 1 {method}",
        *fields,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def pbx(**contacts: str) -> Registrar:
    registrar = Registrar({"201": "secret"}, {"+31201234567": "201"}, ("127.0.0.1", 5060))
    registrar.contacts.update({user.strip("_"): uri.encode() for user, uri in contacts.items()})
    return registrar


def sent(registrar: Registrar, data: bytes, source: Address = PHONE) -> tuple[Message, Address]:
    answer = registrar.receive(data, source)
    assert answer is not None
    return Message.parse(answer[0]), answer[1]


def register(registrar: Registrar, password: str, contact: str, expires: int = 60) -> bytes:
    """The start line of the answer to a REGISTER that answers the challenge."""
    fields = (f"Contact: <{contact}>", f"Expires: {expires}")
    challenge, to = sent(registrar, request("REGISTER", "sip:127.0.0.1", *fields))
    assert (challenge.start, to) == (b"SIP/2.0 401 Unauthorized", PHONE)
    nonce = re.search(rb'nonce="(\w+)"', challenge.first(b"www-authenticate"))
    assert nonce is not None

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    response = md5(
        f"{md5(f'201:{registrar.realm}:{password}')}:{nonce[1].decode()}:{md5('REGISTER:sip:127.0.0.1')}"
    )
    credentials = (
        f'Authorization: Digest username="201",realm="{registrar.realm}",nonce="{nonce[1].decode()}",'
        f'uri="sip:127.0.0.1",response="{response}"'
    )
    return sent(registrar, request("REGISTER", "sip:127.0.0.1", *fields, credentials))[0].start


def test_a_phone_registers_keeps_its_contact_whole_and_leaves() -> None:
    registrar = pbx()
    contact = "sip:token@127.0.0.1:5090;transport=UDP"
    assert register(registrar, "secret", contact) == b"SIP/2.0 200 OK"
    assert registrar.contacts == {"201": contact.encode()}
    assert register(registrar, "secret", contact, expires=0) == b"SIP/2.0 200 OK"
    assert registrar.contacts == {}


def test_a_wrong_password_registers_nobody() -> None:
    registrar = pbx()
    assert register(registrar, "guess", "sip:201@127.0.0.1:5072") == b"SIP/2.0 401 Unauthorized"
    assert registrar.contacts == {}


@pytest.mark.parametrize("dialled", ["201", "+31201234567"])
def test_a_call_goes_to_the_contact_and_its_answer_back_to_the_source(dialled: str) -> None:
    registrar = pbx(_201="sip:201@127.0.0.1:5072;x=1")
    invite, to = sent(registrar, request("INVITE", f"sip:{dialled}@127.0.0.1"), source=("127.0.0.1", 5999))
    assert (invite.start, to) == (b"INVITE sip:201@127.0.0.1:5072;x=1 SIP/2.0", OTHER)
    assert invite.first(b"max-forwards") == b"69"
    vias = "".join(f"Via: {via.decode()}\r\n" for via in invite.every(b"via"))
    ringing, back = sent(registrar, f"SIP/2.0 180 Ringing\r\n{vias}\r\n".encode(), OTHER)
    assert back == ("127.0.0.1", 5999), "where it came from, not where its Via says"
    assert len(ringing.every(b"via")) == 1


def test_cancel_and_the_ack_of_a_refusal_follow_the_invite() -> None:
    registrar = pbx(_201="sip:201@127.0.0.1:5072")
    invite, _ = sent(registrar, request("INVITE", "sip:201@127.0.0.1"))
    for method in ("CANCEL", "ACK"):
        follower, to = sent(registrar, request(method, "sip:201@127.0.0.1", to_tag="b"))
        assert to == OTHER
        assert follower.first(b"via") == invite.first(b"via")
        assert follower.start.split()[1] == invite.start.split()[1]


@pytest.mark.parametrize(
    ("from_tag", "uri", "expected"),
    [
        ("a", "sip:201@127.0.0.1:5072", OTHER),
        ("a", "sip:201@127.0.0.1", OTHER),  # pyVoIP's ACK
        ("b", "sip:101@127.0.0.1:5071", PHONE),
    ],
)
def test_what_belongs_to_a_call_goes_to_its_other_end(from_tag: str, uri: str, expected: Address) -> None:
    registrar = pbx(_201="sip:201@127.0.0.1:5072")
    sent(registrar, request("INVITE", "sip:201@127.0.0.1"))
    _, to = sent(registrar, request("BYE", uri, from_tag=from_tag, to_tag="x", branch="2"))
    assert to == expected


def test_a_route_comes_before_the_call() -> None:
    registrar = pbx(_201="sip:201@127.0.0.1:5072")
    sent(registrar, request("INVITE", "sip:201@127.0.0.1"))
    bye = request("BYE", "sip:201@127.0.0.1:5072", "Route: <sip:127.0.0.1:5099;lr>", to_tag="b")
    message, to = sent(registrar, bye)
    assert to == ("127.0.0.1", 5099)
    assert message.start == b"BYE sip:201@127.0.0.1:5072 SIP/2.0"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("INVITE", "sip:999@127.0.0.1"), b"SIP/2.0 404 Not Found"),
        (request("BYE", "sip:999@127.0.0.1"), b"SIP/2.0 404 Not Found"),
        (request("OPTIONS", "sip:127.0.0.1"), b"SIP/2.0 200 OK"),
        (
            request("INVITE", "sip:201@127.0.0.1").replace(b"Max-Forwards: 70", b"Max-Forwards: 0"),
            b"SIP/2.0 483 Too Many Hops",
        ),
    ],
)
def test_what_cannot_be_forwarded_is_answered(data: bytes, status: bytes) -> None:
    answer, to = sent(pbx(_201="sip:201@127.0.0.1:5072"), data)
    assert (answer.start, to) == (status, PHONE)
    assert b";tag=" in answer.first(b"to")


def test_a_lost_ack_and_a_strangers_response_go_nowhere() -> None:
    registrar = pbx()
    assert registrar.receive(request("ACK", "sip:999@127.0.0.1"), PHONE) is None
    stray = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1:5060\r\nVia: SIP/2.0/UDP 10.0.0.2:5060\r\n\r\n"
    assert registrar.receive(stray, PHONE) is None
