"""The bytes a proxy writes: header edits of what it forwards, and the few messages of its own.

Of a forwarded message only what RFC 3261 §16.6 and §16.7 tell a proxy to touch is edited.
"""

from __future__ import annotations

from zlib import crc32

from sip_hooks.address import host, in_brackets
from sip_hooks.edits import Edits
from sip_hooks.message import Message
from sip_hooks.settings import Address, Listener

_COPIED = (b"via", b"from", b"to", b"call-id", b"cseq")
_CRLF = b"\r\n"


def note_source(message: Message, edits: Edits, source: Address) -> None:
    """Write into the top Via where the request really came from (§18.2.1, RFC 3581)."""
    top = message.members(b"via")[0]
    new = _noted(top.value, source)
    if new != top.value:
        edits.replace(top.start, top.end, new)


def _noted(via: bytes, source: Address) -> bytes:
    pieces = via.split(b";")
    names = [piece.strip(b" \t").lower() for piece in pieces]
    wants_port = b"rport" in names[1:]
    if not wants_port and _is_sent_by(names[0], source[0]):
        return via
    kept = [
        b"rport=%d" % source[1] if name == b"rport" else piece
        for piece, name in zip(pieces, names, strict=True)
        if not name.startswith(b"received")
    ]
    return b";".join((*kept, b"received=" + source[0].encode()))


def _is_sent_by(head: bytes, address: str) -> bool:
    """Whether a Via's host is this very address, in whatever spelling; a host name never is."""
    sent_by = head.rpartition(b" ")[2]
    named = sent_by.partition(b"]")[0] + b"]" if sent_by[:1] == b"[" else sent_by.partition(b":")[0]
    try:
        return in_brackets(named.decode("ascii")) == address
    except ValueError:
        return named == host(address).encode()


def count_hop(message: Message, edits: Edits) -> None:
    """Lower Max-Forwards by one; give 70 to a request that has none (§16.6 step 3)."""
    field = message.field(b"max-forwards")
    if field is None:
        at = _after_vias(message)
        edits.replace(at, at, b"Max-Forwards: 70\r\n")
    else:
        edits.replace_value(field, b"%d" % max(0, int(field.value) - 1))


def push_routes(message: Message, edits: Edits, routes: tuple[bytes, ...]) -> None:
    """Write the Routes that the sender left out."""
    at = _after_vias(message)
    edits.replace(at, at, b"".join(b"Route: " + route + _CRLF for route in routes))


def push_via(edits: Edits, leaving: Listener, branch: bytes, is_alias: bool = False) -> None:
    """Put our Via on top. `is_alias`: the next hop may send to us over the same connection (RFC 5923 §5)."""
    transport = leaving.transport.upper().encode()
    via = b"SIP/2.0/%s %s;branch=%s" % (transport, leaving.sent_by, branch)
    edits.insert_top(b"Via", via + b";alias" if is_alias else via)


def loop_mark(request: Message, salt: bytes) -> bytes:
    """Return how our branches for a request that looks like this one begin (RFC 5393 §4.2)."""
    parts = (
        salt,
        request.request_uri,
        request.from_tag,
        request.to_tag,
        request.call_id,
        b"%d" % request.cseq[0],
        *request.all(b"route"),
        *request.all(b"proxy-require"),
        *request.all(b"proxy-authorization"),
    )
    return b"z9hG4bKdb%08x" % crc32(b"\0".join(parts))


def way_back(request: Message, source: Address) -> Address | None:
    """Return where to connect with a response whose connection has gone (§18.2.2); None behind a NAT."""
    via = request.top_via
    if not _is_sent_by(via.raw.partition(b";")[0].strip(b" \t"), source[0]):
        return None
    return source[0], via.port or (5061 if via.transport == b"TLS" else 5060)


def push_record_routes(message: Message, edits: Edits, routes: tuple[bytes, ...]) -> None:
    """Put our Record-Routes above those of others, the first of `routes` uppermost (§16.6 step 4)."""
    first = message.field(b"record-route")
    at = _after_vias(message) if first is None else first.start
    edits.replace(at, at, b"".join(b"Record-Route: " + route + _CRLF for route in routes))


def append_record_routes(message: Message, edits: Edits, routes: list[bytes]) -> None:
    """Put Record-Routes that the far end dropped back into a response, below those it kept."""
    kept = message.fields(b"record-route")
    at = kept[-1].end if kept else _after_vias(message)
    edits.replace(at, at, b"".join(b"Record-Route: " + route + _CRLF for route in routes))


def _after_vias(message: Message) -> int:
    return message.fields(b"via")[-1].end


def respond(
    request: Message,
    status: int,
    reason: bytes,
    source: Address,
    tag: bytes = b"",
    extra: tuple[tuple[bytes, bytes], ...] = (),
) -> bytes:
    """Return a response of our own (§8.2.6). `tag` is the To tag to add when the request has none."""
    lines = [b"SIP/2.0 %d %s" % (status, reason)]
    for index, field in enumerate(field for field in request.headers if field.name in _COPIED):
        line = request.raw[field.start : field.end - 2]
        if index == 0 and field.name == b"via":
            line = b"Via: " + _first_noted(field.value, source)
        if field.name == b"to" and tag and not request.to_tag:
            line += b";tag=" + tag
        lines.append(line)
    lines += [name + b": " + value for name, value in extra]
    lines += [b"Content-Length: 0", b"", b""]
    return _CRLF.join(lines)


def _first_noted(value: bytes, source: Address) -> bytes:
    first, comma, rest = value.partition(b",")
    return _noted(first, source) + comma + rest


def acknowledge(invite: Message, failure: Message) -> bytes:
    """Return the ACK to a failure of `invite` as we sent it (§17.1.1.3)."""
    to = failure.first(b"to") or invite.first(b"to") or b""
    return _of_invite(invite, b"ACK", to, ())


def cancel(invite: Message, reasons: list[bytes]) -> bytes:
    """Return the CANCEL of `invite` as we sent it, with the Reasons of the CANCEL we got (§9.1, RFC 3326)."""
    to = invite.first(b"to") or b""
    return _of_invite(invite, b"CANCEL", to, tuple((b"Reason", reason) for reason in reasons))


def _of_invite(invite: Message, method: bytes, to: bytes, extra: tuple[tuple[bytes, bytes], ...]) -> bytes:
    lines = [
        method + b" " + invite.request_uri + b" SIP/2.0",
        b"Via: " + invite.all(b"via")[0],
        *(b"Route: " + route for route in invite.all(b"route")),
        b"From: " + (invite.first(b"from") or b""),
        b"To: " + to,
        b"Call-ID: " + invite.call_id,
        b"CSeq: %d %s" % (invite.cseq[0], method),
        b"Max-Forwards: 70",
        *(name + b": " + value for name, value in extra),
        b"Content-Length: 0",
        b"",
        b"",
    ]
    return _CRLF.join(lines)
