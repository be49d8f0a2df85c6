"""The other ends: a PBX that answers what is sent to it, and a phone that goes on in the dialogs it has.

Their messages carry what only this run knows, our branches and Record-Routes, so that damage to them gets
past the transaction layer. They read with their own eyes: line by line, nothing of `sip_hooks`.
"""

from __future__ import annotations

from random import Random
from zlib import crc32

ANSWER = (
    b"v=0\r\no=pbx 7 7 IN IP4 192.0.2.77\r\ns=-\r\nc=IN IP4 192.0.2.77\r\nt=0 0\r\n"
    b"m=audio 42000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\n"
)
_COPIED = (b"via", b"from", b"to", b"call-id", b"cseq", b"record-route")
_LONG = {b"v": b"via", b"f": b"from", b"t": b"to", b"i": b"call-id"}
_STATUSES = (100, 180, 183, 181, 200, 200, 200, 200, 202, 302, 401, 407, 486, 487, 491, 500, 603)
_WITHIN = (b"ACK", b"BYE", b"BYE", b"INVITE", b"UPDATE", b"REFER", b"INFO", b"PRACK", b"NOTIFY", b"OPTIONS")


def fields(message: bytes) -> list[tuple[bytes, bytes]]:
    """The header fields as (name in long form and lower case, value); folds joined."""
    head = message.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b"  ").replace(b"\r\n\t", b"  ")
    found = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    names = ((name.strip().lower(), value.strip()) for name, _, value in found)
    return [(_LONG.get(name, name), value) for name, value in names]


def is_request(message: bytes) -> bool:
    """Whether it begins as a request does."""
    return not message.startswith(b"SIP/")


def method_of(message: bytes) -> bytes:
    """The method of a request or of what a response answers."""
    cseq = next((value for name, value in fields(message) if name == b"cseq"), b"")
    return cseq.split()[-1] if cseq.split() else b""


def answer(chance: Random, request: bytes, status: int = 0, tag: bytes = b"") -> bytes:
    """Some response of the PBX to a request that it got, or one of this status, and then whole.

    `tag`: of whom it is, else one of two.
    """
    is_chosen, status = bool(status), status or chance.choice(_STATUSES)
    lines = [b"SIP/2.0 %d Whatever" % status]
    for name, value in fields(request):
        if name in _COPIED:
            is_new = name == b"to" and b"tag=" not in value
            added = b";tag=" + (tag or b"b%d" % chance.randrange(2)) if is_new else b""
            lines.append(name + b": " + value + (added if status > 100 else b""))
    lines.append(b"Contact: <sip:+31612345678@192.0.2.77:5060>")
    with_body = method_of(request) in (b"INVITE", b"UPDATE", b"PRACK") and 100 < status < 300
    return _whole(lines, _described(request) if with_body and (is_chosen or chance.random() < 0.8) else b"")


def _described(request: bytes) -> bytes:
    """Each call has media of its own."""
    call = dict(fields(request)).get(b"call-id", b"")
    return ANSWER.replace(b"42000", b"%d" % (42000 + 2 * (crc32(call) % 4000)))


def within(chance: Random, success: bytes, number: int) -> bytes:
    """Some request of the phone in the dialog that a 2xx or 18x opened, its Routes in order."""
    method = chance.choice(_WITHIN)
    found = fields(success)
    values = dict(reversed(found))
    target = (
        values.get(b"contact", b"<sip:x@192.0.2.77>").partition(b"<")[2].partition(b">")[0]
        or b"sip:x@192.0.2.77"
    )
    lines = [
        method + b" " + target + b" SIP/2.0",
        b"Via: SIP/2.0/UDP 192.0.2.31:5060;branch=z9hG4bKw%d" % number,
        b"Max-Forwards: 70",
        *(b"Route: " + value for name, value in reversed(found) if name == b"record-route"),
        *(name + b": " + values.get(name, b"") for name in (b"from", b"to", b"call-id")),
        b"CSeq: %d " % (1 if method == b"ACK" else number) + method,
        b"Contact: <sip:201@192.0.2.31:5060>",
    ]
    if method == b"REFER":
        lines.append(b"Refer-To: <sip:203@pbx.example?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>")
    return _whole(lines, _described(success) if method in (b"INVITE", b"UPDATE") else b"")


def _whole(lines: list[bytes], body: bytes) -> bytes:
    kind = [b"Content-Type: application/sdp"] if body else []
    return b"\r\n".join([*lines, *kind, b"Content-Length: %d" % len(body), b"", b""]) + body
