"""A message is a view over its bytes, judged apart from being read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_hooks.errors import MessageError
from sip_hooks.message import Message, parse
from sip_hooks.validity import validate

INVITE = (
    b"INVITE sip:201@pbx.example SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKb, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\r\n"
    b"Via: SIP/2.0/TCP 10.0.0.9\r\n"
    b"Max-Forwards: 70\r\n"
    b'f: "Bell, A"\r\n  <sip:200@pbx.example>\r\n\t;tag=from-1\r\n'
    b"t: <sip:201@pbx.example>\r\n"
    b"i: call-1@10.0.0.2\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"m: <sip:200@10.0.0.2>\r\n"
    b"Route: <sip:a;lr>,<sip:b;lr>\r\n"
    b"Subject :   caf\xe9  \r\n"
    b"c: Application/SDP ; charset=x\r\n"
    b"l: 5\r\n"
    b"\r\n"
    b"v=0\r\n"
)


def changed(old: bytes, new: bytes) -> Message:
    assert INVITE.count(old) == 1
    return parse(INVITE.replace(old, new))


def test_a_request_is_read_in_compact_folded_and_list_form() -> None:
    message = parse(INVITE)
    assert validate(message) is None
    assert (message.is_request, message.method, message.request_uri) == (
        True,
        b"INVITE",
        b"sip:201@pbx.example",
    )
    assert (message.call_id, message.from_tag, message.to_tag) == (b"call-1@10.0.0.2", b"from-1", b"")
    assert message.cseq == (7, b"INVITE")
    assert [via.host for via in message.vias] == [b"10.0.0.2", b"10.0.0.1", b"10.0.0.9"]
    assert message.top_via.branch == b"z9hG4bKb"
    assert message.content_type == b"application/sdp"
    assert message.all(b"route") == [b"<sip:a;lr>", b"<sip:b;lr>"]
    assert (message.first(b"subject"), message.first(b"date"), message.body) == (b"caf\xe9", None, b"v=0\r\n")


def test_a_response_is_read_with_any_reason() -> None:
    for line, status, reason in (
        (b"SIP/2.0 200 OK", 200, b"OK"),
        (b"sip/2.0 100 ", 100, b""),
        (b"SIP/2.0 180", 180, b""),
        (b"SIP/2.0 486 B\xc3\xa9 zet", 486, b"B\xc3\xa9 zet"),
    ):
        message = changed(b"INVITE sip:201@pbx.example SIP/2.0", line)
        assert (message.is_request, message.status, message.reason) == (False, status, reason)
        assert validate(message) is None


def test_every_offset_points_at_what_it_names() -> None:
    message = parse(INVITE)
    assert INVITE[message.headers_start :].startswith(b"v: SIP")
    assert INVITE[message.body_start :] == message.body
    assert (
        b"".join(INVITE[header.start : header.end] for header in message.headers)
        == (INVITE[message.headers_start : message.body_start - 2])
    )
    for header in message.headers:
        kept = INVITE[header.value_start : header.value_end]
        assert kept.replace(b"\r\n", b"  ") == header.value
        for member in message.members(header.name):
            assert INVITE[member.start : member.end].replace(b"\r\n", b"  ") == member.value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b"\0",
        b"INVITE sip:a@b SIP/2.0\r\n",
        b"INVITE sip:a@b SIP/2.0\n\n",
        b" sip:a@b SIP/2.0\r\n\r\n",
        b"SIP/2.0 4294967301 x\r\n\r\n",
        b"SIP/2.0 \xb2\xb2\xb2 x\r\n\r\n",
        b"SIP/2.0 700 x\r\n\r\n",
        b"SIP/2.0 99 x\r\n\r\n",
        b"SIP/2.0\r\n\r\n",
        b"A b SIP/2.0\r\n" + b"X: y\r\n" * 257 + b"\r\n",
        b"A b SIP/2.0\r\nX: " + b"y" * 65536 + b"\r\n\r\n",
    ],
)
def test_what_cannot_be_represented_is_refused(raw: bytes) -> None:
    with pytest.raises(MessageError):
        parse(raw)


def test_the_limits_themselves_are_allowed() -> None:
    assert len(parse(b"A b SIP/2.0\r\n" + b"X: y\r\n" * 256 + b"\r\n").headers) == 256
    assert len(parse(b"A b SIP/2.0\r\n\r\n".ljust(65535, b"x")).raw) == 65535


def test_what_is_absent_is_empty_or_refused() -> None:
    bare = parse(b"SIP/2.0 200 OK\r\nSubject: a, b\r\n\r\n")
    assert (bare.call_id, bare.from_tag, bare.to_tag, bare.content_type, bare.vias) == (
        b"",
        b"",
        b"",
        b"",
        [],
    )
    assert bare.all(b"subject") == [b"a, b"]
    for read in (lambda: bare.cseq, lambda: bare.top_via):
        with pytest.raises(MessageError):
            read()


def test_line_ends_before_the_start_line_are_ignored() -> None:
    message = parse(b"\r\n\r\n" + INVITE)
    assert (message.method, message.body, validate(message)) == (b"INVITE", b"v=0\r\n", None)


@pytest.mark.parametrize("junk", [b"\x1c", b"\x85", b"\x0b", b"\x0c", b"\xa0"])
def test_only_space_and_tab_are_white_space(junk: bytes) -> None:
    assert changed(b"caf\xe9", junk + b"x" + junk).first(b"subject") == junk + b"x" + junk


@pytest.mark.parametrize(
    ("old", "new", "body"),
    [
        (b"l: 5\r\n\r\nv=0\r\n", b"l: 5\r\n\r\nv=0\r\nINVITE", b"v=0\r\n"),  # UDP trims what is too much
        (b"l: 5\r\n", b"l: 0\r\n", b""),
        (b"l: 5\r\n", b"", b"v=0\r\n"),
    ],
)
def test_the_body_ends_where_content_length_says(old: bytes, new: bytes, body: bytes) -> None:
    message = changed(old, new)
    assert (message.body, validate(message)) == (body, None)


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"pbx.example SIP/2.0", b"pbx.example SIP/3.0", 505),
        (b"pbx.example SIP/2.0", b"pbx.example HTTP/1.1", 400),
        (b"pbx.example SIP/2.0", b"pbx.example", 400),
        (b"pbx.example SIP/2.0", b"pbx.example SIP/2.0 ", 400),
        (b"INVITE sip:201", b"INVITE  sip:201", 400),
        (b"INVITE sip:201@pbx.example SIP", b"INVITE sip:201@pbx.example; lr SIP", 400),
        (b"INVITE sip:201@pbx.example SIP", b"INVITE <sip:201@pbx.example> SIP", 400),
        (b"INVITE sip:201@pbx.example SIP", b"INVITE sip:201@pbx.example?a=b SIP", 400),
        (b"INVITE sip:201@pbx.example SIP", b"INVITE soap.beep://x SIP", 416),
        (b"INVITE sip:201@pbx.example SIP", b"INV\xe9TE sip:201@pbx.example SIP", 400),
        (b"Max-Forwards: 70", b"Max-Forwards: 0", 483),
        (b"Max-Forwards: 70", b"Max-Forwards: 256", 400),
        (b"Max-Forwards: 70", b"Max-Forwards: 7\r\nMax-Forwards: 8", 400),
        (b"i: call-1@10.0.0.2\r\n", b"", 400),
        (b"i: call-1@10.0.0.2", b"i: call-1@10.0.0.2\r\nCall-ID: x", 400),
        (b"i: call-1@10.0.0.2", b"i: call 1", 400),
        (b"i: call-1@10.0.0.2", b"i: call\t1", 400),
        (b"i: call-1@10.0.0.2", b"i:", 400),
        (b"t: <sip:201@pbx.example>", b"t: <sip:201@pbx.example>\r\nTo: <sip:7@x>", 400),
        (b'f: "Bell', b'From: <sip:7@x>\r\nf: "Bell', 400),
        (b"t: <sip:201@pbx.example>\r\n", b"", 400),
        (b"f: ", b"X-From: ", 400),
        (b"CSeq: 7 INVITE\r\n", b"", 400),
        (b"CSeq: 7 INVITE", b"CSeq: 7 BYE", 400),
        (b"CSeq: 7 INVITE", b"CSeq: 7 INVITE\r\nCSeq: 8 INVITE", 400),
        (b"CSeq: 7 INVITE", b"CSeq: 36893488147419103232 INVITE", 400),
        (b"Via: SIP/2.0/TCP 10.0.0.9", b"Via: SIP/2.0/TCP 10.0.0.9,", 400),
        (b"Via: SIP/2.0/TCP 10.0.0.9", b"Via: SIP/7.0/TCP 10.0.0.9", 400),
        (b"Route: <sip:a;lr>,<sip:b;lr>", b"Route: <sip:a;lr", 400),
        (b"l: 5\r\n", b"l: 6\r\n", 400),
        (b"l: 5\r\n", b"l: -5\r\n", 400),
        (b"l: 5\r\n", b"l: \xd9\xa5\r\n", 400),
        (b"l: 5\r\n", b"l: 5\r\nContent-Length: 5\r\n", 400),
        (b"c: Application/SDP ; charset=x", b"c: application/sdp\r\nContent-Type: text/plain", 400),
        (b"Subject :", b"Sub ject:", 400),
        (b"Subject :", b"Subject", 400),
        (b"caf\xe9", b"x\nP-Asserted-Identity: <sip:7@x>", 400),
        (b"caf\xe9", b"x\rP-Asserted-Identity: <sip:7@x>", 400),
        (b"Subject :", b"Proxy-Require: foo, bar\r\nSubject :", 420),
    ],
)
def test_what_is_readable_and_wrong_gets_its_status(old: bytes, new: bytes, status: int) -> None:
    problem = validate(changed(old, new))
    assert problem is not None
    assert problem.status == status


def test_a_message_without_via_is_not_for_a_proxy() -> None:
    problem = validate(parse(INVITE.replace(b"v: ", b"X: ").replace(b"Via: ", b"X: ")))
    assert problem is not None
    assert problem.status == 400


@pytest.mark.parametrize("line", [b"Max-Forwards: 0", b"Proxy-Require: foo", b"Contact: nobody"])
def test_a_response_is_not_judged_as_a_request(line: bytes) -> None:
    raw = INVITE.replace(b"INVITE sip:201@pbx.example SIP/2.0", b"SIP/2.0 302 Moved")
    assert validate(parse(raw.replace(b"Max-Forwards: 70", line))) is None


def test_a_420_names_what_is_unsupported() -> None:
    problem = validate(changed(b"Subject :", b"Proxy-Require: foo, bar\r\nSubject :"))
    assert problem is not None
    assert problem.unsupported == b"foo, bar"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Max-Forwards: 70\r\n", b""),
        (b"Max-Forwards: 70", b"MaX-fOrWaRdS: 0068"),
        (b"INVITE sip:201@pbx.example SIP", b"INVITE tel:+31205550100 SIP"),
        (b"INVITE sip:201@pbx.example SIP", b"INVITE urn:service:sos SIP"),
        (b"m: <sip:200@10.0.0.2>", b'm: <sip:200@10.0.0.2>;+sip.instance="<urn:uuid:1>"'),
        (b"Subject :", b"Proxy-Require:\r\nSubject :"),
        (b"m: <sip:200@10.0.0.2>", b"m: *"),
        (b"Subject :", b"P-Asserted-Identity: broken <\r\nSubject :"),  # the call passes, unrecorded
    ],
)
def test_what_a_transparent_proxy_need_not_mind_goes_on(old: bytes, new: bytes) -> None:
    assert validate(changed(old, new)) is None


def test_nothing_of_a_message_shows_in_a_repr_or_a_problem() -> None:
    message = changed(b"CSeq: 7 INVITE", b"CSeq: 7 BYE")
    assert "201" not in f"{message!r} {message.headers!r} {message.vias!r} {validate(message)!r}"


@settings(max_examples=400, derandomize=True)
@given(
    st.integers(0, len(INVITE) - 1),
    st.integers(0, 12),
    st.lists(
        st.sampled_from(
            [b"\r", b"\n", b"\r\n", b" ", b":", b",", b'"', b"<", b">", b";", b"0", b"\xe9", b"\0"]
        )
    ),
)
def test_a_damaged_message_is_refused_judged_or_read_whole(at: int, length: int, pieces: list[bytes]) -> None:
    raw = INVITE[:at] + b"".join(pieces) + INVITE[at + length :]
    try:
        message = parse(raw)
    except MessageError:
        return
    if validate(message) is None:
        assert message.vias
        assert message.top_via.raw == message.all(b"via")[0]
        assert message.call_id
        assert (message.from_tag, message.to_tag, message.cseq, message.content_type) is not None


@pytest.mark.parametrize("name", ["Route", "Record-Route"])
def test_a_route_is_an_address_or_the_message_is_refused(name: str) -> None:
    good = f"{name}: <sip:192.0.2.1;lr>, <sip:192.0.2.2;lr>".encode()
    assert validate(changed(b"Subject :", good + b"\r\nSubject :")) is None
    problem = validate(changed(b"Subject :", good + b", <sip:192.0.2.3\r\nSubject :"))
    assert problem is not None
    assert problem.status == 400
