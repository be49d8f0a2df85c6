"""What a probe says of a PBX, and how its telephones log in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recorder.probe.findings import Called, Came, Registration, Seen, Way, findings, rows
from sip_hooks.digest import Login, credentials

MUFASA = Login("Mufasa", "Circle of Life")
REALM = 'Digest realm="http-auth@example.org", qop="auth, auth-int", '
OPAQUE = 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
NONCE = 'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"'
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"

ACCEPTED, REFUSED = Registration(200, True, True), Registration(403)
THROUGH, PAST = Called(Came.THROUGH_US, 200, True), Called(Came.PAST_US, 200, True)
TAKEN = Called(Came.NOT, 200)
GOOD = Way(ACCEPTED, THROUGH, THROUGH, THROUGH)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ],
)
def test_credentials_are_those_of_rfc_7616_section_3_9_1(algorithm: str, response: str) -> None:
    challenge = f"{REALM}algorithm={algorithm}, {NONCE}, {OPAQUE}".encode()
    given = credentials([challenge], "GET", "/dir/index.html", MUFASA, CNONCE)
    assert given is not None
    assert f'response="{response}"' in given
    assert OPAQUE in given


@pytest.mark.parametrize(
    "challenge",
    [
        b'Bearer realm="x", nonce="y"',
        b'Digest realm="x", nonce="y", algorithm=SHA-512-256',
        b'Digest realm="x", nonce="y", qop="auth-int"',
        b'Digest realm="x"',
        b"",
    ],
)
def test_a_challenge_that_cannot_be_answered_is_not_answered(challenge: bytes) -> None:
    assert credentials([challenge], "REGISTER", "sip:pbx.example", MUFASA, CNONCE) is None
    able = b'Digest realm="x", nonce="y"'
    assert credentials([challenge, able], "REGISTER", "sip:pbx.example", MUFASA, CNONCE) is not None


def test_a_login_does_not_show_its_password() -> None:
    assert "Circle" not in repr(MUFASA)


def seen(path: Way, contact: Way, *, shared: bool = True) -> Seen:
    return Seen("contact", shared, 200, ways=(("path", path), ("contact", contact)))


@pytest.mark.parametrize(
    ("path", "contact", "best"),
    [
        (GOOD, GOOD, "path"),
        (Way(REFUSED), GOOD, "contact"),
        (Way(ACCEPTED, PAST), GOOD, "contact"),
        (Way(ACCEPTED, replace(THROUGH, status=0)), GOOD, "contact"),
        (GOOD, Way(REFUSED), "path"),
        (Way(ACCEPTED, TAKEN), Way(ACCEPTED, TAKEN), None),
    ],
)
def test_path_is_advised_only_where_a_call_comes_along_it(path: Way, contact: Way, best: str | None) -> None:
    assert seen(path, contact).best == best


@pytest.mark.parametrize(
    ("contact", "shared", "word"),
    [
        (Way(Registration(401)), True, "password"),
        (Way(Registration(500)), True, "takes no registration"),
        (Way(ACCEPTED, second=REFUSED), True, "second account was not taken"),
        (Way(ACCEPTED, TAKEN), False, "--caller"),
        (Way(ACCEPTED, PAST), True, "no call comes back through us"),
        (replace(GOOD, private=TAKEN), True, "private prefix"),
        (replace(GOOD, back=TAKEN), True, "several accounts"),
        (replace(GOOD, called=replace(THROUGH, names_caller=False)), True, "P-Asserted-Identity"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(contact: Way, shared: bool, word: str) -> None:
    (said,) = findings(seen(Way(REFUSED), contact, shared=shared))
    assert word in said


def test_nothing_is_said_to_be_good_that_was_not_tried() -> None:
    said = {it.question: it for it in rows(seen(Way(REFUSED), Way(REFUSED)))}
    untried = [it.is_good for it in said.values() if it.answer == "not tried"]
    assert untried == [None] * 4
