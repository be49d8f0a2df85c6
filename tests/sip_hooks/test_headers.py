"""Header values as phones and PBXs really write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_hooks.errors import MessageError
from sip_hooks.headers import canonical, parse_cseq, parse_name_addr, parse_via, split_list


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"v", b"via"),
        (b"V", b"via"),
        (b"i", b"call-id"),
        (b"b", b"referred-by"),
        (b"r", b"refer-to"),
        (b"x", b"session-expires"),
        (b"P-Asserted-Identity", b"p-asserted-identity"),
        (b"Q", b"q"),
    ],
)
def test_compact_names_become_long_ones(name: bytes, expected: bytes) -> None:
    assert canonical(name) == expected


@pytest.mark.parametrize(
    ("value", "members"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a , b,\tc", [b"a", b"b", b"c"]),
        (b'"Bell, A" <sip:a,b@c;x>, <sip:d@e>;q="1,2"', [b'"Bell, A" <sip:a,b@c;x>', b'<sip:d@e>;q="1,2"']),
        (b'"a\\", \\\\" <sip:b@c>,<sip:d@e>', [b'"a\\", \\\\" <sip:b@c>', b"<sip:d@e>"]),
        (
            b'<sip:a@b>;+sip.instance="<urn:uuid:1>",<sip:c@d>',
            [b'<sip:a@b>;+sip.instance="<urn:uuid:1>"', b"<sip:c@d>"],
        ),
    ],
)
def test_a_list_is_split_only_at_its_own_commas(value: bytes, members: list[bytes]) -> None:
    assert [value[start:end] for start, end in split_list(value)] == members


@pytest.mark.parametrize(
    "value", [b",", b"a,", b",a", b"a,,b", b"a, ,b", b'"a,b', b"<sip:a", b'"a\\"', b'"\\']
)
def test_a_list_with_a_hole_or_an_open_end_is_refused(value: bytes) -> None:
    with pytest.raises(MessageError):
        split_list(value)


@pytest.mark.parametrize(
    ("value", "display", "uri", "tag"),
    [
        (b'"Watson, T. \\"x\\" \\\\" <sip:t@e.org>;tag=1', b'Watson, T. "x" \\', b"sip:t@e.org", b"1"),
        (b"caller<sip:c@e.com>;tag=323", b"caller", b"sip:c@e.com", b"323"),
        (b"J\xf8rgen (verkoop) <sip:c@e.com>", b"J\xf8rgen (verkoop)", b"sip:c@e.com", None),
        (b'"" <sip:201@h>;tag=a', b"", b"sip:201@h", b"a"),
        (
            b'"J Rosenberg \\\\\\""       <sip:j@e.com>    ;    tag = 98asjd8',
            b'J Rosenberg \\"',
            b"sip:j@e.com",
            b"98asjd8",
        ),
        (b"sip:a@b;tag=2", b"", b"sip:a@b", b"2"),
        (b"sip:a@b ;  tag  = 2", b"", b"sip:a@b", b"2"),
        (b"<sip:a@b;tag=uri>;TAG=header", b"", b"sip:a@b;tag=uri", b"header"),
        (b"<sip:x@y?Replaces=a%3Bto-tag%3Db>", b"", b"sip:x@y?Replaces=a%3Bto-tag%3Db", None),
        (b'<sip:a@b>;x="; tag=no";tag=yes', b"", b"sip:a@b", b"yes"),
        (b'<sip:a@b>;tag=1;x="; tag=no"', b"", b"sip:a@b", b"1"),
        (b"<sip:a@b>;;tag=1;", b"", b"sip:a@b", b"1"),
        (b"<tel:+31205550100>", b"", b"tel:+31205550100", None),
    ],
)
def test_an_address_is_display_uri_and_parameters(
    value: bytes, display: bytes, uri: bytes, tag: bytes | None
) -> None:
    party = parse_name_addr(value)
    assert (party.display, party.uri.raw, party.param(b"tag")) == (display, uri, tag)
    assert party.raw == value


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bell, A <sip:a@b>",
        b'"Mr. J. User <sip:j@e.com>',
        b'"A" sip:a@b',
        b'"A" xsip:a@b>',
        b"< sip:a@b >",
        b"<sip:a@b",
        b"<sip:a@bc",
        b"<sip:a@b>x",
        b"<sip:a@b> tag=1",
        b"<sip:a@b>;=1",
        b'<sip:a@b>;x="1',
        b"sip:a@b?Route=c",
        b"a@b",
    ],
)
def test_an_ambiguous_address_is_refused(value: bytes) -> None:
    with pytest.raises(MessageError):
        parse_name_addr(value)


def test_a_via_may_have_space_around_everything() -> None:
    via = parse_via(
        b"SIP  /   2.0    /uDp      192.0.2.2 : 5062 ;  branch =  z9hG4bKx ;rport;received=1.2.3.4"
    )
    assert (via.transport, via.host, via.port, via.branch) == (b"UDP", b"192.0.2.2", 5062, b"z9hG4bKx")
    assert (via.param(b"rport"), via.param(b"received"), via.param(b"maddr")) == (b"", b"1.2.3.4", None)


@pytest.mark.parametrize(
    ("value", "has_magic"),
    [
        (b"SIP/2.0/UDP a;branch=z9hG4bKx", True),
        (b"SIP/2.0/UDP a;branch=z9hG4bK", False),
        (b"SIP/2.0/UDP a;branch=390skdjuw", False),
        (b"SIP/2.0/UDP a;branch=", False),
        (b"SIP/2.0/UDP a", False),
    ],
)
def test_a_branch_identifies_only_with_something_behind_its_cookie(value: bytes, has_magic: bool) -> None:
    via = parse_via(value)
    assert via.has_magic is has_magic
    assert via.branch != b""


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"SIP/2.0/UDP",
        b"SIP",
        b"SIP a",
        b"SIP/2.0/U(P a",
        b"SIP/2.0 a",
        b"SIP/7.0/UDP a",
        b"HTTP/2.0/UDP a",
        b"SIP/2.0/ a",
        b"SIP/2.0/UDP ;branch=x",
        b"SIP/2.0/UDP 192.0.2.15;;",
        b"SIP/2.0/UDP a:b",
        b"SIP/2.0/UDP a:70000",
        b"SIP/2.0/UDP a b",
    ],
)
def test_a_broken_via_is_refused(value: bytes) -> None:
    with pytest.raises(MessageError):
        parse_via(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"1 INVITE", (1, b"INVITE")),
        (b"0009    INVITE", (9, b"INVITE")),
        (b"4294967295\tBYE", (4294967295, b"BYE")),
    ],
)
def test_a_cseq_is_a_number_and_a_method(value: bytes, expected: tuple[int, bytes]) -> None:
    assert parse_cseq(value) == expected


@pytest.mark.parametrize(
    "value", [b"", b"1", b"INVITE", b"-1 INVITE", b"4294967296 INVITE", b"1 IN VITE", b"\xb2 ACK"]
)
def test_a_broken_cseq_is_refused(value: bytes) -> None:
    with pytest.raises(MessageError):
        parse_cseq(value)


PIECES = st.lists(
    st.sampled_from([b'"', b"\\", b"<", b">", b",", b";", b"=", b" ", b"sip:a@b", b"tag", b"\xe9", b"/"])
)


@settings(max_examples=300, derandomize=True)
@given(PIECES)
def test_any_value_is_read_or_refused(pieces: list[bytes]) -> None:
    value = b"".join(pieces)
    for read in (parse_name_addr, parse_via, parse_cseq, split_list):
        try:
            read(value)
        except MessageError:
            continue
