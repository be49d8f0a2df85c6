"""A description within a larger body is found where every reader finds it, or not at all."""

from __future__ import annotations

import pytest

from sip_hooks.anchoring import description_in
from sip_hooks.body import find_description
from sip_hooks.message import Message, parse
from sip_hooks.sdp import Obstacle
from tests.fakes.sip import sdp

SDP = sdp()
TEXT = b"Content-Type: text/plain\r\n\r\nhello"
OURS = b"Content-Type: application/sdp\r\n\r\n" + SDP
KIND = b"multipart/mixed;boundary=x"


def message(body: bytes, kind: bytes = KIND, *headers: bytes) -> Message:
    lines = (b"INVITE sip:202@pbx.example SIP/2.0", b"Content-Type: " + kind, *headers)
    return parse(b"\r\n".join((*lines, b"Content-Length: %d" % len(body), b"", body)))


def parts(*each: bytes, boundary: bytes = b"x") -> bytes:
    delimited = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in each)
    return delimited + b"--" + boundary + b"--\r\n"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (parts(OURS), KIND),
        (parts(TEXT, OURS, TEXT), KIND),
        (b"a preamble\r\n" + parts(OURS) + b"an epilogue", KIND),
        (parts(OURS), b"multipart/alternative ; a=b; BOUNDARY=x"),
        (parts(OURS, boundary=b"y; z"), b'Multipart/Mixed; boundary="y; z"'),
        (parts(OURS).replace(b"--x\r\n", b"--x \t\r\n"), KIND),  # RFC 2046 §5.1.1: transport padding
        (parts(b"c: APPLICATION/SDP;charset=utf-8\r\n\r\n" + SDP), KIND),
        (parts(b"Content-Disposition: session;handling=required\r\n" + OURS), KIND),
        (parts(b"Content-Transfer-Encoding: 8bit\r\n" + OURS), KIND),
        (parts(b"Content-ID: <a@b>\r\n" + OURS, TEXT), b"multipart/related;boundary=x"),
        (parts(b"\r\nno header at all, so text", OURS), KIND),
        (SDP, b"application/sdp"),
    ],
)
def test_the_one_description_of_the_session_is_found_with_all_its_bytes(body: bytes, kind: bytes) -> None:
    place = find_description(message(body, kind))
    assert isinstance(place, tuple)
    assert body[place[0] : place[1]] == SDP
    found = description_in(message(body, kind))
    assert found is not None and found.end is not None and not found.obstacles


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (parts(OURS, OURS), KIND),  # which?
        (parts(OURS)[: -len(b"--x--\r\n")], KIND),  # cut off
        (parts(OURS), b"multipart/mixed"),
        (parts(OURS), b"multipart/mixed;boundary="),
        (parts(OURS), b"multipart/signed;boundary=x"),
        (parts(OURS).replace(b"--x\r\n", b"--xy\r\n"), KIND),
        (parts(OURS + b"\r\n--xy"), KIND),
        (parts(b"Content-Type: text/plain\r\n" + OURS), KIND),
        (parts(OURS.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\n\r\n", 1)), KIND),
        (parts(b"Content-Transfer-Encoding: base64\r\n" + OURS), KIND),
        (parts(b"Content-Disposition: early-session\r\n" + OURS), KIND),  # RFC 3959
        (parts(b"Content-Type: multipart/mixed;boundary=y\r\n\r\n" + parts(OURS, boundary=b"y")), KIND),
        (parts(b"Content-Type: multipart/mixed;boundary=y\r\n\r\n" + parts(TEXT, boundary=b"y"), OURS), KIND),
        (parts(b"what is this\r\n" + OURS), KIND),
        (parts(b"Content-Type: application/sdp\r\n"), KIND),
        (parts(OURS).replace(b"\r\n", b"\n"), KIND),
        (parts(*[TEXT] * 40, OURS), KIND),
        (parts(b"Content-Type: text/plain;about=application/sdp\r\n\r\nx"), KIND),
    ],
)
def test_what_two_readers_could_find_in_two_places_is_not_touched(body: bytes, kind: bytes) -> None:
    assert find_description(message(body, kind)) is Obstacle.MULTIPART


@pytest.mark.parametrize(
    ("body", "kind", "headers", "expected"),
    [
        (b"", b"application/sdp", (), None),
        (b"hello", b"text/plain", (), None),
        (parts(TEXT), KIND, (), None),
        (SDP, b"application/sdp", (b"Content-Encoding: gzip",), Obstacle.ENCRYPTED_BODY),
        (parts(OURS), KIND, (b"Content-Encoding: gzip",), Obstacle.MULTIPART),
        (parts(b"Content-Encoding: gzip\r\n" + OURS), KIND, (), Obstacle.ENCRYPTED_BODY),
        (parts(OURS), b"multipart/encrypted;boundary=x", (), Obstacle.ENCRYPTED_BODY),
        (b"x", b"application/pkcs7-mime;smime-type=enveloped-data", (), Obstacle.ENCRYPTED_BODY),
        (SDP, b"application/sdp", (b"Content-Disposition: early-session",), Obstacle.MULTIPART),
        (SDP, b"application/sdp", (b"Content-Disposition: session", b"e: identity"), (0, len(SDP))),
    ],
)
def test_what_hides_a_description_is_named(
    body: bytes, kind: bytes, headers: tuple[bytes, ...], expected: object
) -> None:
    assert find_description(message(body, kind, *headers)) == expected
