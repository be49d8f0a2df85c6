"""Header names and the structured values a proxy reads: lists, name-addr, Via, CSeq (RFC 3261 §20, §25).

Every function takes an *unfolded* value, as :class:`sip_hooks.message.HeaderField` holds it, and raises
:class:`MessageError` for what cannot be read.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

from sip_hooks import reading
from sip_hooks.errors import MessageError
from sip_hooks.uri import (
    ALPHA,
    DIGITS,
    MAXIMUM_PARAMS,
    Params,
    Uri,
    check_params,
    param_value,
    parse_uint,
    parse_uri,
    split_host_port,
)

TOKEN = ALPHA + DIGITS + b"-.!%*_+`'~"
MAGIC_COOKIE = b"z9hG4bK"

# RFC 3261 §7.3.3 and the later RFCs that registered a compact form.
_LONG_FORM = {
    b"a": b"accept-contact",
    b"b": b"referred-by",
    b"c": b"content-type",
    b"d": b"request-disposition",
    b"e": b"content-encoding",
    b"f": b"from",
    b"i": b"call-id",
    b"j": b"reject-contact",
    b"k": b"supported",
    b"l": b"content-length",
    b"m": b"contact",
    b"n": b"identity-info",
    b"o": b"event",
    b"r": b"refer-to",
    b"s": b"subject",
    b"t": b"to",
    b"u": b"allow-events",
    b"v": b"via",
    b"x": b"session-expires",
    b"y": b"identity",
}

# Headers whose value is a comma-separated list, so that one field may hold several members (§7.3.1).
LISTS = frozenset(
    (
        b"via",
        b"route",
        b"record-route",
        b"contact",
        b"path",
        b"service-route",
        b"p-asserted-identity",
        b"p-preferred-identity",
        b"remote-party-id",
        b"diversion",
        b"history-info",
        b"require",
        b"proxy-require",
        b"supported",
        b"unsupported",
        b"allow",
    )
)

# One character class each: the scan steps from one special byte to the next and never backtracks.
_OUTSIDE = re.compile(rb'[",<]')
# Nearly every Via: no white space, no quotation marks, no IPv6. Everything else is read piece by piece.
_PLAIN_VIA = re.compile(
    rb"SIP/2\.0/([A-Za-z]+) ([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?((?:;[A-Za-z0-9_-]+(?:=[A-Za-z0-9._*+~-]+)?)*)"
)
_INSIDE_QUOTES = re.compile(rb'["\\]')
_SEPARATORS = b',<>"\\ \t'
_AMBIGUOUS_DISPLAY = b',;"@'


@reading.remembered
def canonical(name: bytes) -> bytes:
    """Return a header name in its long form and lower case: ``b"v"`` becomes ``b"via"``."""
    lowered = name.lower()
    return _LONG_FORM.get(lowered, lowered)


def is_token(value: bytes) -> bool:
    """Whether ``value`` is a token of RFC 3261 §25.1."""
    return bool(value) and not value.translate(None, TOKEN)


@reading.remembered
def split_list(value: bytes) -> tuple[tuple[int, int], ...]:
    """Return the spans ``(start, end)`` of the members of a comma-separated list, white space outside.

    Commas in quoted strings and between angle brackets do not separate. An empty member raises.
    """
    if not value:
        return ()
    cuts = [-1]
    position = 0
    while found := _OUTSIDE.search(value, position):
        position = found.end()
        special = found.group()
        if special == b",":
            cuts.append(found.start())
        else:
            position = _closing(value, position, special)
    cuts.append(len(value))
    return tuple(_trimmed(value, left + 1, right) for left, right in pairwise(cuts))


class NameAddr(NamedTuple):
    """One party: ``"Display" <uri>;params``. ``display`` is unquoted, its escapes undone."""

    display: bytes
    uri: Uri
    params: Params
    raw: bytes

    def __repr__(self) -> str:
        """Without anything: it holds numbers."""
        return "NameAddr()"

    def param(self, name: bytes) -> bytes | None:
        """Return a header parameter's value, ``b""`` for a flag, None when absent."""
        return param_value(self.params, name)


def parse_name_addr(value: bytes, *, is_strict: bool = False) -> NameAddr:
    """Parse a name-addr or addr-spec with its header parameters (RFC 3261 §20.10, §20.20, §20.39).

    `is_strict`: refuse parameters that some senders write, no grammar allows, and readers read differently.
    """
    return _strict_name_addr(value) if is_strict else _name_addr(value)


@reading.remembered
def _strict_name_addr(value: bytes) -> NameAddr:
    return _parsed_name_addr(value, True)


@reading.remembered
def _name_addr(value: bytes) -> NameAddr:
    return _parsed_name_addr(value, False)


def _parsed_name_addr(value: bytes, is_strict: bool) -> NameAddr:
    display, start = _display(value)
    if start < 0:
        # Without brackets a semicolon starts header parameters, and a question mark is forbidden (§20.10).
        spec, semicolon, rest = value.partition(b";")
        if b"?" in spec:
            raise MessageError("an address with headers lacks its angle brackets")
        return NameAddr(b"", parse_uri(spec.rstrip(b" \t")), _tail(semicolon + rest, is_strict), value)
    end = value.find(b">", start)
    if end < 0:
        raise MessageError("an angle bracket is not closed")
    params = _tail(value[end + 1 :].lstrip(b" \t"), is_strict)
    return NameAddr(display, parse_uri(value[start:end]), params, value)


def _tail(value: bytes, is_strict: bool) -> Params:
    params = parse_params(value, empty_allowed=not is_strict)
    if is_strict and not all(is_token(name) and _is_plain(content or b"") for name, content in params):
        raise MessageError("a parameter is no token, or needs quotation marks")
    return params


def _is_plain(content: bytes) -> bool:
    if content.startswith(b'"'):
        return _closing(content, 1, b'"') == len(content)
    return len(content.translate(None, _SEPARATORS)) == len(content)


def uri_in(value: bytes) -> Uri:
    """Return where an address leads, also when its display name or what follows it cannot be read."""
    try:
        return parse_name_addr(value).uri
    except MessageError:
        inside, bracket, _ = value.partition(b"<")[2].partition(b">")
        if not bracket:
            raise
        return parse_uri(inside)


@reading.remembered
def tag_in(value: bytes) -> bytes:
    """Return the tag of a From or To, also when the rest of it cannot be read; ``b""`` when there is none."""
    try:
        return parse_name_addr(value).param(b"tag") or b""
    except MessageError:
        pieces = (piece.partition(b"=") for piece in value.rpartition(b">")[2].split(b";")[1:])
        return next(
            (tag.strip(b" \t") for name, _, tag in pieces if name.strip(b" \t").lower() == b"tag"), b""
        )


class Via(NamedTuple):
    """One hop of the Via stack (RFC 3261 §20.42). ``transport`` is in upper case, ``branch`` as received."""

    transport: bytes
    host: bytes
    port: int | None
    params: Params
    branch: bytes | None
    raw: bytes

    def __repr__(self) -> str:
        """Without anything: it holds addresses."""
        return "Via()"

    def param(self, name: bytes) -> bytes | None:
        """Return a parameter's value, ``b""`` for a flag such as a bare ``rport``, None when absent."""
        return param_value(self.params, name)

    @property
    def has_magic(self) -> bool:
        """Whether the branch identifies its transaction alone (§8.1.1.7); otherwise RFC 2543 rules hold."""
        branch = self.branch or b""
        return branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE)


@reading.remembered
def parse_via(value: bytes) -> Via:
    """Parse one Via member; white space around the slashes and the colon is legal."""
    if (plain := _PLAIN_VIA.fullmatch(value)) is not None:
        transport, name, number, rest = plain.groups()
        pairs = [piece.partition(b"=") for piece in rest.split(b";")[1:]]
        found = tuple([(key, content if equals else None) for key, equals, content in pairs])
        if len(pairs) < MAXIMUM_PARAMS:
            port = parse_uint(number, 65535) if number else None
            return Via(transport.upper(), name, port, found, param_value(found, b"branch") or None, value)
    head, semicolon, rest = value.partition(b";")
    protocol = head.replace(b"\t", b" ").split(b"/", 2)
    words = [word for word in protocol[-1].split(b" ") if word]
    if len(words) < 2 or not is_token(words[0]):
        raise MessageError("a Via has no transport or no host")
    if protocol[0].strip(b" ").upper() != b"SIP" or protocol[1].strip(b" ") != b"2.0":
        raise MessageError("a Via is of another protocol than SIP/2.0")
    host, port = split_host_port(b" ".join(words[1:]).replace(b" :", b":").replace(b": ", b":"))
    params = parse_params(semicolon + rest, empty_allowed=False)
    return Via(words[0].upper(), host, port, params, param_value(params, b"branch") or None, value)


@reading.remembered
def parse_cseq(value: bytes) -> tuple[int, bytes]:
    """Return a CSeq's 32-bit number and method (RFC 3261 §20.16)."""
    number, _, method = value.replace(b"\t", b" ").partition(b" ")
    method = method.strip(b" ")
    if not is_token(method):
        raise MessageError("a CSeq has no method")
    return parse_uint(number, 0xFFFFFFFF), method


def _display(value: bytes) -> tuple[bytes, int]:
    """Return the display name and where the URI starts, or -1 when there are no angle brackets."""
    if value.startswith(b'"'):
        end = _closing(value, 1, b'"')
        gap = value[end:].lstrip(b" \t")
        if not gap.startswith(b"<"):
            raise MessageError("a display name is not followed by an address in angle brackets")
        return _unquoted(value[1 : end - 1]), len(value) - len(gap) + 1
    bracket = value.find(b"<")
    if bracket < 0:
        return b"", -1
    display = value[:bracket].rstrip(b" \t")
    if len(display.translate(None, _AMBIGUOUS_DISPLAY)) != len(display):
        raise MessageError("a display name needs quotation marks")
    return display, bracket + 1


def parse_params(value: bytes, *, empty_allowed: bool = True) -> Params:
    """Parse ``;name=value;flag``; the values keep their quotes."""
    if not value:
        return ()
    if not value.startswith(b";"):
        raise MessageError("something that is no parameter follows an address")
    check_params(value)
    params = []
    for piece in _pieces(value):
        name, equals, content = piece.partition(b"=")
        name = name.strip(b" \t")
        if name:
            params.append((name, content.strip(b" \t") if equals else None))
        elif not empty_allowed or equals:
            raise MessageError("a parameter has no name")
    return tuple(params)


def _pieces(value: bytes) -> list[bytes]:
    pieces = value[1:].split(b";")
    if b'"' not in value:
        return pieces
    joined: list[bytes] = []
    position = 1
    while position <= len(value):
        end = _end_of_piece(value, position)
        joined.append(value[position:end])
        position = end + 1
    return joined


def _end_of_piece(value: bytes, position: int) -> int:
    while True:
        semicolon = value.find(b";", position)
        quote = value.find(b'"', position)
        if quote < 0 or 0 <= semicolon < quote:
            return semicolon if semicolon >= 0 else len(value)
        position = _closing(value, quote + 1, b'"')


def _closing(value: bytes, position: int, opening: bytes) -> int:
    """Return where a quoted string or bracket that was opened before ``position`` is over."""
    if opening == b"<":
        end = value.find(b">", position) + 1
        if not end:
            raise MessageError("an angle bracket is not closed")
        return end
    while found := _INSIDE_QUOTES.search(value, position):
        if found.group() == b'"':
            return found.end()
        position = found.end() + 1
    raise MessageError("a quotation mark is not closed")


def _trimmed(value: bytes, start: int, end: int) -> tuple[int, int]:
    member = value[start:end]
    start += len(member) - len(member.lstrip(b" \t"))
    end -= len(member) - len(member.rstrip(b" \t"))
    if start >= end:
        raise MessageError("a list has an empty member")
    return start, end


def _unquoted(value: bytes) -> bytes:
    out, position = [], 0
    while (escape := value.find(b"\\", position)) >= 0:
        out += [value[position:escape], value[escape + 1 : escape + 2]]
        position = escape + 2
    return b"".join(out) + value[position:]
