"""What Kamailio or libre read otherwise than we do names nobody for certain, and so is not recorded.

Each line here was found by comparing readings (`make fuzz ARGS=--readings`).
"""

from __future__ import annotations

import pytest

from sip_hooks.identity import identities
from sip_hooks.message import parse
from sip_hooks.validity import validate
from tests.fakes.sip import invite

PLAIN = "From: <sip:201@pbx.example>;tag=a"


@pytest.mark.parametrize(
    "line",
    [
        'From: "x\r\n y" <sip:201@pbx.example>;tag=a',
        'From: "x\\"\r\n y" <sip:201@pbx.example>;tag=a',
        "From: <sip:201@pbx.example>\r\n  \r\n ;tag=a",
        "From: <sip:201@pbx.example>;tag=a\r\n  \r\n To: sip:250@pbx.example",
        "From: x\0<sip:201@pbx.example>;tag=a",
        "From:\x0b<sip:201@pbx.example>;tag=a",
        "From: <sip:201@pbx.example>;;tag=a",
        "From: <sip:201@pbx.example>;tag=a, <sip:250@pbx.example>",
        "From: <sip:201@pbx.example>;tag=a b",
        "From: <sip:201@pbx.example>;ta\r\n g=a",
        "From: <sip:201,250@pbx.example>;tag=a",
        'From: "x\\\\" <sip:201@pbx.example>;tag=a',
    ],
)
def test_what_others_read_otherwise_is_unreadable_to_us(line: str) -> None:
    message = parse(invite().replace(b"From: <sip:201@pbx.example>;tag=a", line.encode()))
    assert "from" in identities(message).unreadable


@pytest.mark.parametrize(
    "line",
    [
        PLAIN,
        "f:<sip:201@pbx.example>;tag=a",
        'From: "Jansen, J. \\"Jan\\"" <sip:201@pbx.example>;tag=a;x="a, b"',
        "From:\r\n <sip:201@pbx.example>\r\n\t;tag = a",
        'From: "OFFICE\\\\anna" <sip:201@pbx.example>;tag=a',
        'From: "x y"\r\n <sip:201@pbx.example>;tag=a/b=',
        "From: sip:201@pbx.example;tag=a",
        "From: <sip:201@pbx.example>;tag=a;flag",
    ],
)
def test_what_all_read_alike_is_read(line: str) -> None:
    message = parse(invite().replace(PLAIN.encode(), line.encode()))
    said = identities(message)
    assert said.unreadable == ()
    assert ("from", "201") in {(it.header, it.value) for it in said.named}


def test_a_contact_may_have_the_empty_parameters_that_some_phones_write() -> None:
    message = parse(invite().replace(b"<sip:201@10.0.0.9:5070>", b"<sip:201@10.0.0.9:5070>;;expires=60;"))
    assert identities(message).unreadable == ()


@pytest.mark.parametrize("end", ["\0", "\0x", "\x0b", "\x7f", " x"])
def test_a_call_id_that_ends_earlier_for_others_is_refused(end: str) -> None:
    problem = validate(parse(invite(call_id=f"call-1{end}")))
    assert problem is not None
    assert problem.status == 400
