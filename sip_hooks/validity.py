"""What a readable message is owed when it is not valid (RFC 3261 §16.3).

Only what a proxy needs has to be well formed: the start line, Via, Call-ID, CSeq, the Routes, and the Contact
of a REGISTER, which leads calls through us. All else goes on as it is, for the ends to judge; a party that
cannot be read is unknown, and so is not recorded (``sip_hooks.identity``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sip_hooks.errors import MessageError
from sip_hooks.headers import parse_name_addr, uri_in
from sip_hooks.message import Message
from sip_hooks.uri import parse_uint

# urn: carries emergency services (RFC 5031), which must never be stopped here.
_SCHEMES = (b"sip", b"sips", b"tel", b"urn")
_SPACE = bytes(range(0x21)) + b"\x7f"
_SINGLE = (b"from", b"to", b"call-id", b"cseq", b"content-length", b"max-forwards", b"content-type")


@dataclass(frozen=True, slots=True)
class Problem:
    """The response a request is owed. A response or an ACK with a problem is dropped, never answered.

    ``unsupported`` is the value of the Unsupported header that a 420 carries (§20.40).
    """

    status: int
    reason: bytes
    unsupported: bytes = b""


def validate(message: Message) -> Problem | None:
    """Return what the sender is owed instead of forwarding, or None when the message may go on."""
    try:
        for check in _OF_REQUESTS if message.is_request else _OF_ALL:
            if problem := check(message):
                return problem
    except MessageError as error:
        return _bad(error.what)
    return None


def _version(message: Message) -> Problem | None:
    if message.version == b"SIP/2.0" or message.version.upper() == b"SIP/2.0":
        return None
    if message.version[:4].upper() == b"SIP/":
        return Problem(505, b"Version Not Supported")
    return _bad("the start line has no version")


def _framing(message: Message) -> Problem | None:
    head = message.raw[: message.body_start]
    # A line end that only some readers see would let them read other header fields than we did.
    if not head.count(b"\r") == head.count(b"\n") == head.count(b"\r\n"):
        return _bad("a header has a lone CR or LF")
    if message.is_short:
        return _bad("the body is shorter than Content-Length")
    if b"" in message.by_name:
        return _bad("a line is no header field")
    return None


def _singles(message: Message) -> Problem | None:
    if len(message.by_name) == len(message.headers):
        return None
    for name in _SINGLE:
        if len(message.fields(name)) > 1:
            return _bad(f"{name.decode()} occurs twice")
    return None


def _values(message: Message) -> Problem | None:
    if length := message.field(b"content-length"):
        parse_uint(length.value, 0xFFFFFFFF)
    if not message.call_id or len(message.call_id.translate(None, _SPACE)) != len(message.call_id):
        return _bad("Call-ID is missing, or has a space or a control character")
    if not (message.vias and message.top_via):
        return _bad("Via is missing")
    if not (message.first(b"from") and message.first(b"to")):
        return _bad("From or To is missing")
    for route in (*message.all(b"route"), *message.all(b"record-route")):
        parse_name_addr(route)
    method = message.cseq[1]  # a token, and so is the message's when both are the same
    return _bad("CSeq names another method") if message.is_request and method != message.method else None


def _contacts(message: Message) -> Problem | None:
    if message.method == b"REGISTER":
        for value in message.all(b"contact"):
            if value != b"*":
                uri_in(value)
    return None


def _request_uri(message: Message) -> Problem | None:
    uri = message.target
    if uri.headers:
        return _bad("the Request-URI has headers")
    return None if uri.scheme in _SCHEMES else Problem(416, b"Unsupported URI Scheme")


def _hops(message: Message) -> Problem | None:
    left = message.first(b"max-forwards")
    if left is None:
        return None
    return Problem(483, b"Too Many Hops") if parse_uint(left, 255) == 0 else None


def _extensions(message: Message) -> Problem | None:
    required = message.all(b"proxy-require")
    return Problem(420, b"Bad Extension", b", ".join(required)) if required else None


def _bad(what: str) -> Problem:
    return Problem(400, b"Bad Request (" + what.encode() + b")")


_OF_ALL: tuple[Callable[[Message], Problem | None], ...] = (_version, _framing, _singles, _values)
# In the order of §16.3: syntax, scheme, Max-Forwards, Proxy-Require.
_OF_REQUESTS = (*_OF_ALL, _contacts, _request_uri, _hops, _extensions)
