"""A URI keeps its bytes, and says whom it names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_hooks.errors import MessageError
from sip_hooks.uri import Uri, after_characters, parse_uint, parse_uri, unescape


@pytest.mark.parametrize(
    ("raw", "scheme", "user", "password", "host", "port", "headers"),
    [
        (b"sip:201@pbx.example", b"sip", b"201", b"", b"pbx.example", None, b""),
        (b"SIPS:a:secret@10.0.0.1:5061", b"sips", b"a", b"secret", b"10.0.0.1", 5061, b""),
        (b"sip:pbx.example;lr", b"sip", b"", b"", b"pbx.example", None, b""),
        (
            b"sip:x@y?Replaces=a%40b%3Bto-tag%3Dc",
            b"sip",
            b"x",
            b"",
            b"y",
            None,
            b"Replaces=a%40b%3Bto-tag%3Dc",
        ),
        (b"sip:x@y?Replaces=a@b", b"sip", b"x", b"", b"y", None, b"Replaces=a@b"),
        (b"sip:x@[2001:db8::1]:5060;lr", b"sip", b"x", b"", b"[2001:db8::1]", 5060, b""),
        (b"sip:a;b=c%40d@e", b"sip", b"a;b=c%40d", b"", b"e", None, b""),
        (b"sip:caf\xe9@h", b"sip", b"caf\xe9", b"", b"h", None, b""),
        (b"tel:+31-20-555;phone-context=x", b"tel", b"+31-20-555", b"", b"", None, b""),
        (b"urn:service:sos", b"urn", b"", b"", b"", None, b""),
    ],
)
def test_a_uri_is_taken_apart_over_its_own_bytes(
    raw: bytes, scheme: bytes, user: bytes, password: bytes, host: bytes, port: int | None, headers: bytes
) -> None:
    uri = parse_uri(raw)
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port, uri.headers) == (
        scheme,
        user,
        password,
        host,
        port,
        headers,
    )
    assert uri.raw == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"sip:",
        b"tel:",
        b"tel:;ext=1",
        b"201@pbx",
        b":201@pbx",
        b"5ip:201@pbx",
        b"s!p:201@pbx",
        b"x:",
        b"x",
        b"sip:201@[::1]x5060",
        b"sip:201@[::g]",
        b"<sip:201@pbx>",
        b"sip:201@pbx ",
        b"sip:2 01@pbx",
        b"sip:201@pbx\r\n",
        b'sip:"201"@pbx',
        b"sip:201@",
        b"sip:@pbx",
        b"sip:a@b@c",
        b"sip:201@pbx:",
        b"sip:201@pbx:65536",
        b"sip:201@pbx:" + b"9" * 5000,
        b"sip:201@pbx:\xb2",
        b"sip:201@[::1",
        b"sip:201@[]",
        b"sip:201@[::1]x",
        b"sip:201@p/bx",
    ],
)
def test_what_two_readers_could_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(MessageError):
        parse_uri(raw)


@pytest.mark.parametrize(
    ("raw", "identity", "address"),
    [
        (b"sip:201@PBX.example:5060;transport=udp", "201", "201@pbx.example"),
        (b"sip:%32%30%31@pbx", "201", "201@pbx"),
        (b"sip:+31%2820%29555-01.00;npdi;phone-context=x@gw;user=phone", "+31205550100", "+31205550100@gw"),
        (b"tel:+31-(20)-555.0100;phone-context=example.com;ext=12", "+31205550100", ""),
        (b"tel:7042;phone-context=example.com", "7042", ""),
        (b"sip:Jan.De-Vries@example.com", "jan.de-vries", "jan.de-vries@example.com"),
        (b"sip:pbx.Example", "pbx.example", ""),
        (b"sip:caf\xc3\xa9@h", "café", "café@h"),
        (b"sip:caf%E9@h", "café", "café@h"),
        (b"sip:*31*%23@h", "*31*#", "*31*#@h"),
        (b"sip:\xd9\xa3@h", "٣", "٣@h"),
        (b"urn:Service:SOS", "urn:service:sos", ""),
    ],
)
def test_an_identity_compares_without_escapes_separators_and_case(
    raw: bytes, identity: str, address: str
) -> None:
    uri = parse_uri(raw)
    assert (uri.identity(), uri.address()) == (identity, address)


def test_parameters_are_found_in_any_case_and_flags_are_empty() -> None:
    uri = parse_uri(b"sip:a@b;Transport=TCP;lr;x=;;maddr=1.2.3.4?h=v")
    assert uri.params[1:3] == ((b"lr", None), (b"x", b""))
    assert [uri.param(name) for name in (b"transport", b"LR", b"x", b"maddr", b"h")] == [
        b"TCP",
        b"",
        b"",
        b"1.2.3.4",
        None,
    ]


@pytest.mark.parametrize(
    ("raw", "user", "expected"),
    [
        (b"sip:*9201:pw@pbx:5060;a=*9201?x=y", b"201", b"sip:201:pw@pbx:5060;a=*9201?x=y"),
        (b"SIP:sip@sip", b"201", b"SIP:201@sip"),
        (b"tel:*9201;ext=*9201", b"201", b"tel:201;ext=*9201"),
    ],
)
def test_only_the_user_is_replaced(raw: bytes, user: bytes, expected: bytes) -> None:
    assert parse_uri(raw).with_user(user) == expected


@pytest.mark.parametrize(("raw", "user"), [(b"sip:pbx", b"201"), (b"sip:1@pbx", b""), (b"urn:x:y", b"1")])
def test_a_uri_without_a_place_for_a_user_gets_none(raw: bytes, user: bytes) -> None:
    with pytest.raises(MessageError):
        parse_uri(raw).with_user(user)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"a%20b%2", b"a b%2"), (b"%%41%zz%4", b"%A%zz%4"), (b"%00%C3%A9", b"\x00\xc3\xa9"), (b"", b"")],
)
def test_only_complete_escapes_are_undone(value: bytes, expected: bytes) -> None:
    assert unescape(value) == expected


@pytest.mark.parametrize(
    "value", [b"", b"-1", b"+1", b" 1", b"1_0", b"\xd9\xa3", b"\xb2", b"256", b"9" * 9999]
)
def test_a_number_is_bounded_ascii_digits(value: bytes) -> None:
    with pytest.raises(MessageError):
        parse_uint(value, 255)


@pytest.mark.parametrize(("value", "number"), [(b"0", 0), (b"0068", 68), (b"0" * 9999 + b"255", 255)])
def test_a_number_may_have_leading_zeros(value: bytes, number: int) -> None:
    assert parse_uint(value, 255) == number


def test_nothing_of_a_number_shows_in_a_repr_or_an_error() -> None:
    assert "31612345678" not in repr(parse_uri(b"sip:31612345678@pbx"))
    with pytest.raises(MessageError) as refused:
        parse_uri(b"sip:31612345678@p bx")
    assert "31612345678" not in str(refused.value)


@settings(max_examples=300, derandomize=True)
@given(
    st.lists(
        st.sampled_from([b"sip:", b"tel:", b"@", b":", b";", b"?", b"%", b"[", b"]", b"1", b"\xe9", b"a=b"])
    )
)
def test_any_uri_is_read_or_refused_and_its_user_can_be_put_back(pieces: list[bytes]) -> None:
    try:
        uri = parse_uri(b"".join(pieces))
    except MessageError:
        return
    assert isinstance(uri, Uri)
    uri.identity(), uri.address(), uri.param(b"a")
    if uri.user:
        assert uri.with_user(uri.user) == uri.raw


@pytest.mark.parametrize(
    ("user", "count", "left"),
    [
        (b"*31201", 3, b"201"),
        (b"%2A31201", 3, b"201"),
        (b"%2531", 1, b"31"),
        (b"%x1", 1, b"x1"),
        (b"31", 3, b""),
    ],
)
def test_a_prefix_is_counted_in_characters_however_they_are_written(
    user: bytes, count: int, left: bytes
) -> None:
    assert after_characters(user, count) == left
