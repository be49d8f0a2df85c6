"""The parties of a call are the union of what all headers say; what cannot be read is said too."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_hooks.identity import Identities, identities
from sip_hooks.message import parse

BASE = (
    b"Via: SIP/2.0/UDP a\r\n"
    b"From: <sip:200@pbx>;tag=1\r\n"
    b"To: <sip:201@pbx>\r\n"
    b"Call-ID: c\r\n"
    b"CSeq: 1 INVITE\r\n"
)
KNOWN = [
    ("callee", "request-uri", "201", "201@pbx"),
    ("caller", "from", "200", "200@pbx"),
    ("callee", "to", "201", "201@pbx"),
]


def read(lines: bytes, start: bytes = b"INVITE sip:201@pbx SIP/2.0", body: bytes = b"") -> Identities:
    return identities(parse(start + b"\r\n" + BASE + lines + b"\r\n" + body))


def named(found: Identities) -> list[tuple[str, str, str, str]]:
    return [(who.role, who.header, who.value, who.address) for who in found.named]


def test_request_line_from_and_to_are_always_there() -> None:
    assert named(read(b"")) == KNOWN


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"Contact: <sip:7@10.0.0.1>", [("caller", "contact", "7", "7@10.0.0.1")]),
        (b"m: <sip:7@10.0.0.1>", [("caller", "contact", "7", "7@10.0.0.1")]),
        (
            b'P-Asserted-Identity: "Doctor, The" <sip:7@pbx>, <tel:+31-6-12>',
            [
                ("caller", "p-asserted-identity", "7", "7@pbx"),
                ("caller", "p-asserted-identity", "+31612", ""),
            ],
        ),
        (
            b"P-Asserted-Identity: <sip:7@pbx>\r\np-asserted-identity: <sip:8@pbx>",
            [
                ("caller", "p-asserted-identity", "7", "7@pbx"),
                ("caller", "p-asserted-identity", "8", "8@pbx"),
            ],
        ),
        (b"P-Preferred-Identity: sip:7@pbx", [("caller", "p-preferred-identity", "7", "7@pbx")]),
        (b"Remote-Party-ID: <sip:7@pbx>;privacy=off", [("caller", "remote-party-id", "7", "7@pbx")]),
        (b"Remote-Party-ID: <sip:7@pbx>;party=Called", [("callee", "remote-party-id", "7", "7@pbx")]),
        (b"Referred-By: <sip:7@pbx>", [("caller", "referred-by", "7", "7@pbx")]),
        (b"b: <sip:7@pbx>;party=called", [("caller", "referred-by", "7", "7@pbx")]),
        (
            b"Diversion: <sip:7@pbx>;reason=no-answer, <sip:8@pbx>",
            [("callee", "diversion", "7", "7@pbx"), ("callee", "diversion", "8", "8@pbx")],
        ),
        (
            b"History-Info: <sip:7@pbx?Reason=SIP%3Bcause%3D302>;index=1,\r\n <sip:8@pbx>;index=1.1",
            [("callee", "history-info", "7", "7@pbx"), ("callee", "history-info", "8", "8@pbx")],
        ),
        (b"P-Called-Party-ID: <sip:7@pbx>", [("callee", "p-called-party-id", "7", "7@pbx")]),
        (b"Refer-To: <sip:7@pbx?Replaces=a%3Bto-tag%3Db>", [("callee", "refer-to", "7", "7@pbx")]),
        (b"r: <sip:+31%2D6@pbx;user=phone>", [("callee", "refer-to", "+316", "+316@pbx")]),
        (b"X-FS-Display-Number: +31-6-12", [("caller", "x-fs-display-number", "+31612", "")]),
        (
            b"P-Asserted-Identity: <tel:+31201234500;ext=2-50;isub=1>",
            [
                ("caller", "p-asserted-identity", "+31201234500", ""),
                ("caller", "ext", "250", ""),
            ],
        ),
        (
            b"Diversion: <sip:+31201234500;EXT=250@pbx;user=phone>;reason=no-answer",
            [
                ("callee", "diversion", "+31201234500", "+31201234500@pbx"),
                ("callee", "ext", "250", ""),
            ],
        ),
        (
            b"Contact: <sip:voicemail@pbx;target=sip:250%40pbx;cause=486>",
            [
                ("caller", "contact", "voicemail", "voicemail@pbx"),
                ("caller", "target", "250", "250@pbx"),
            ],
        ),
        (b"Contact: *", []),
        (b"X-Other: <sip:7@pbx>", []),
    ],
)
def test_every_header_that_names_somebody_is_heard(line: bytes, expected: list[tuple[str, ...]]) -> None:
    found = read(line + b"\r\n")
    assert (named(found), found.unreadable) == (KNOWN + expected, ())


@pytest.mark.parametrize(
    ("line", "header"),
    [
        (b"P-Asserted-Identity: <sip:7@pbx>, <sip:8", "p-asserted-identity"),
        (b"P-Asserted-Identity:", "p-asserted-identity"),
        (b"P-Asserted-Identity: <sip:7@pbx>,", "p-asserted-identity"),
        (b"Diversion: Someone", "diversion"),
        (b"Diversion: <sip:7@p bx>", "diversion"),
        (b"b: <mailto:x@y>", "referred-by"),
        (b"History-Info: <urn:x:y>;index=1", "history-info"),
        (b"X-FS-Display-Number: 7 8", "x-fs-display-number"),
        (b"P-Asserted-Identity: <tel:+31201234500;ext>", "p-asserted-identity"),
        (b"Diversion: <sip:voicemail@pbx;target=250>", "diversion"),
        (b"Contact: Joe, Doe <sip:a@b>", "contact"),
    ],
)
def test_a_header_that_cannot_be_read_is_reported(line: bytes, header: str) -> None:
    assert read(line + b"\r\n").unreadable == (header,)


def test_what_can_be_read_beside_it_still_counts() -> None:
    found = read(b"Diversion: <sip:7@pbx>, Someone\r\nDiversion: <sip:8@pbx>\r\n")
    assert [who.value for who in found.named if who.header == "diversion"] == ["7", "8"]
    assert found.unreadable == ("diversion",)


@pytest.mark.parametrize(
    "value",
    [
        b'"Jan "Doc" Jansen" <sip:250@pbx>',
        b"Jansen, Jan <sip:250@pbx>",
        b"<sip:250@pbx>>;tag=1",
        b"<sip:250@pbx;tag=1",
        b"<250@pbx>;tag=1",
        b'"Jan <sip:250@pbx>',
        b"sip:250@pbx?x=y;tag=1",
        b"<sip:201@pbx>, <sip:250@pbx>",
    ],
)
def test_who_a_careless_reader_finds_in_it_counts_as_well(value: bytes) -> None:
    """Else an exclusion would be void for whoever writes a name that we cannot read."""
    for header in (b"From", b"Diversion", b"Contact"):
        text = b"INVITE sip:201@pbx SIP/2.0\r\n" + BASE.replace(
            b"From: <sip:200@pbx>;tag=1", b"From: " + value
        )
        found = (
            read(header + b": " + value + b"\r\n") if header != b"From" else identities(parse(text + b"\r\n"))
        )
        assert "250" in {who.value for who in found.named}


def test_an_unreadable_request_line_is_reported() -> None:
    assert read(b"", b"INVITE <sip:201> SIP/2.0").unreadable == ("request-uri",)


def test_an_extension_in_the_request_line_counts() -> None:
    found = read(b"", b"INVITE sip:+31201234500;ext=250@pbx SIP/2.0")
    assert ("callee", "ext", "250", "") in named(found)
    assert read(b"", b"INVITE tel:+31201234500;ext= SIP/2.0").unreadable == ("request-uri",)


def test_a_response_speaks_of_the_callee() -> None:
    found = read(
        b"Contact: <sip:7@a>,<sip:8@b>\r\nP-Asserted-Identity: <sip:9@pbx>\r\n", b"SIP/2.0 302 Moved"
    )
    assert named(found) == [
        *KNOWN[1:],
        ("callee", "contact", "7", "7@a"),
        ("callee", "contact", "8", "8@b"),
        ("callee", "p-asserted-identity", "9", "9@pbx"),
    ]


@pytest.mark.parametrize(
    "fragment",
    [
        b"SIP/2.0 200 OK\r\nf: <sip:7@pbx>;tag=1\r\n\r\n",
        b"SIP/2.0 200 OK\r\nFrom: <sip:7@pbx>",
        b"From: <sip:7@pbx>\r\n",
        b"From: <sip:7@pbx>\r\n\r\nbody",
    ],
)
def test_a_fragment_names_somebody_too(fragment: bytes) -> None:
    found = read(b"c: message/sipfrag;version=2.0\r\n", b"NOTIFY sip:201@pbx SIP/2.0", fragment)
    assert (named(found)[3:], found.unreadable) == ([("caller", "sipfrag", "7", "7@pbx")], ())


def test_the_request_line_of_a_fragment_counts() -> None:
    found = read(b"c: message/sipfrag\r\n", body=b"INVITE sip:7@pbx SIP/2.0\r\n")
    assert named(found)[3:] == [("callee", "sipfrag", "7", "7@pbx")]


def test_a_fragment_may_be_a_status_alone() -> None:
    found = read(b"Content-Type: message/sipfrag\r\n", b"NOTIFY sip:201@pbx SIP/2.0", b"SIP/2.0 100 Trying")
    assert (named(found), found.unreadable) == (KNOWN, ())


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"message/sipfrag", b"SIP/2.0 200 OK\nFrom: <sip:7@pbx>\n"),
        (b"message/sipfrag", b"SIP/2.0 9 x\r\nFrom: <sip:7@pbx>\r\n"),
        (b"message/sipfrag", b"nonsense"),
        (b"multipart/mixed;boundary=x", b"--x"),
    ],
)
def test_a_fragment_that_cannot_be_read_is_reported(kind: bytes, body: bytes) -> None:
    found = read(b"Content-Type: " + kind + b"\r\n", b"NOTIFY sip:201@pbx SIP/2.0", body)
    assert found.unreadable == ("sipfrag",)


@pytest.mark.parametrize(
    ("method", "kind"),
    [(b"NOTIFY", b"text/plain"), (b"INVITE", b"multipart/mixed"), (b"INVITE", b"application/sdp")],
)
def test_a_body_that_names_nobody_is_no_reason_to_refuse(method: bytes, kind: bytes) -> None:
    found = read(b"Content-Type: " + kind + b"\r\n", method + b" sip:201@pbx SIP/2.0", b"From: x")
    assert (named(found), found.unreadable) == (KNOWN, ())


@pytest.mark.parametrize(
    ("old", "new", "is_anonymous"),
    [
        (b"<sip:200@pbx>", b"<sip:200@pbx>", False),
        (b"<sip:200@pbx>", b'"Anonymous" <sip:Anonymous@anonymous.invalid>', True),
        (b"<sip:200@pbx>", b"<sip:anonymous.invalid>", True),
        (b"Via", b"Privacy: header;ID\r\nVia", True),
        (b"Via", b"Privacy: none\r\nVia", False),
        (b"Via", b"Privacy: ,;,\r\nVia", False),
        (b"<sip:200@pbx>", b"<sip:200", False),
    ],
)
def test_anonymity_is_asked_for_or_shown(old: bytes, new: bytes, is_anonymous: bool) -> None:
    raw = b"INVITE sip:201@pbx SIP/2.0\r\n" + BASE.replace(old, new) + b"\r\n"
    assert identities(parse(raw)).is_anonymous is is_anonymous


def test_nothing_of_a_party_shows_in_a_repr() -> None:
    assert "201" not in repr(read(b""))


@settings(max_examples=300, derandomize=True)
@given(
    st.sampled_from([b"Diversion", b"P-Asserted-Identity", b"b", b"m", b"History-Info", b"Privacy"]),
    st.lists(
        st.sampled_from([b"<sip:7@pbx>", b"<", b">", b'"', b",", b";", b"\\", b"%", b" ", b"\r\n ", b"\xe9"])
    ),
)
def test_a_name_is_never_lost_in_silence(name: bytes, pieces: list[bytes]) -> None:
    found = read(name + b":" + b"".join(pieces) + b"\r\n")
    if name != b"Privacy":
        assert found.unreadable or len(found.named) > len(KNOWN)
