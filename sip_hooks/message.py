"""A SIP message as a view over the received bytes (RFC 3261 §7).

A message is parsed once and never written again from its parts: whoever wants to change one collects edits
over the offsets kept here (``sip_hooks.edits``). The parser refuses only what cannot be represented; what is
representable and still wrong is the validator's business (``sip_hooks.validity``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from sip_hooks import reading
from sip_hooks.errors import MessageError
from sip_hooks.headers import (
    LISTS,
    Via,
    canonical,
    is_token,
    parse_cseq,
    parse_via,
    split_list,
    tag_in,
)
from sip_hooks.uri import Uri, parse_uint, parse_uri

MAXIMUM_SIZE = 65535
MAXIMUM_HEAD = 32768
"""Bytes of start line and header fields."""
MAXIMUM_FIELDS = 256
MAXIMUM_MEMBERS = 256
"""Of one list header, over all its fields: more hops than Max-Forwards allows, more names than any call."""
_CRLF = b"\r\n"
StartLine: TypeAlias = tuple[bool, bytes, bytes, int, bytes, bytes]
"""Whether it is a request's, method, Request-URI, status, reason, version."""


class HeaderField(NamedTuple):
    """One header field. Offsets are into the buffer it was read from; ``end`` is after its CRLF.

    ``name`` is canonical, or ``b""`` for a line that is no header field. ``value`` has each CRLF of a fold
    replaced by two spaces, so ``value_start + i`` in the buffer is ``value[i]`` here.
    """

    name: bytes
    start: int
    end: int
    value_start: int
    value_end: int
    value: bytes

    def __repr__(self) -> str:
        """Without the value: it holds numbers."""
        return f"HeaderField({self.name!r})"


class Member(NamedTuple):
    """One member of a list header, with its offsets into the message's buffer."""

    start: int
    end: int
    value: bytes

    def __repr__(self) -> str:
        """Without the value: it holds numbers."""
        return f"Member({self.start}, {self.end})"


# Of each message there are a dozen: what a NamedTuple's own __new__ adds is checks of the count.
_new_field, _new_member = tuple.__new__, tuple.__new__


class Message:
    """One request or response. Header names are asked for in canonical form, such as ``b"call-id"``.

    ``body`` ends where Content-Length says; on UDP what follows is no part of the message (§18.3).
    ``is_short`` says that it ended earlier. Nobody changes a message; what was read of it is kept, for many
    ask. Whatever reads a value raises :class:`MessageError` when that cannot be read. ``call_id``,
    ``from_tag`` and ``to_tag`` are ``b""`` when absent.
    """

    __slots__ = (
        "_cseq",
        "_split",
        "_top_via",
        "body",
        "body_start",
        "by_name",
        "call_id",
        "from_tag",
        "headers",
        "headers_start",
        "is_request",
        "is_short",
        "method",
        "raw",
        "reason",
        "request_uri",
        "status",
        "to_tag",
        "version",
    )

    def __init__(
        self,
        raw: bytes,
        start_line: StartLine,
        headers: tuple[HeaderField, ...],
        by_name: Mapping[bytes, list[HeaderField]],
        body: tuple[int, bytes],
        is_short: bool,
    ) -> None:
        """`by_name`: the same headers. `body`: where it begins in `raw`, and itself."""
        self.raw = raw
        self.is_request, self.method, self.request_uri, self.status, self.reason, self.version = start_line
        self.headers = headers
        self.by_name = by_name
        self.headers_start = headers[0].start if headers else body[0] - 2
        self.body_start, self.body = body
        self.is_short = is_short
        self._split: dict[bytes, list[Member]] = {}
        self.call_id = self.first(b"call-id") or b""
        self.from_tag = tag_in(self.first(b"from") or b"")
        self.to_tag = tag_in(self.first(b"to") or b"")
        self._cseq: tuple[int, bytes] | None = None
        self._top_via: Via | None = None

    def fields(self, name: bytes) -> list[HeaderField]:
        """Return all fields of this name, in order; of the name ``b""`` all lines that are no field."""
        return self.by_name.get(name, [])

    def field(self, name: bytes) -> HeaderField | None:
        """Return the first field of this name."""
        found = self.by_name.get(name)
        return found[0] if found else None

    def first(self, name: bytes) -> bytes | None:
        """Return the first field's whole value."""
        found = self.by_name.get(name)
        return found[0].value if found else None

    def members(self, name: bytes) -> list[Member]:
        """Return the members of a header in order, over all its fields; lists are split at their commas."""
        members = self._split.get(name)
        if members is None:
            members = self._split[name] = self._members(name)
        return members

    def _members(self, name: bytes) -> list[Member]:
        fields = self.by_name.get(name)
        if not fields:
            return []
        if len(fields) == 1:
            return split_members(fields[0])
        members = [member for header in fields for member in split_members(header)]
        if len(members) > MAXIMUM_MEMBERS:
            raise MessageError("a list has too many members")
        return members

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of :meth:`members`."""
        return [member.value for member in self.members(name)] if name in self.by_name else []

    @property
    def cseq(self) -> tuple[int, bytes]:
        """The CSeq's number and method."""
        if self._cseq is None:
            self._cseq = parse_cseq(self.first(b"cseq") or b"")
        return self._cseq

    @property
    def vias(self) -> list[Via]:
        """The Via stack, topmost first."""
        return [parse_via(value) for value in self.all(b"via")]

    @property
    def top_via(self) -> Via:
        """The topmost Via."""
        if self._top_via is None:
            top = self.field(b"via")
            members = self._split.get(b"via") or split_members(top) if top and top.value else []
            if not members:
                raise MessageError("a message has no Via, or an empty one on top")
            self._top_via = parse_via(members[0].value)
        return self._top_via

    @property
    def target(self) -> Uri:
        """The Request-URI. Within a dialog it ends at a stray ``>``: pyVoIP takes it from a whole Contact."""
        return parse_uri(self.request_uri.partition(b">")[0] if self.to_tag else self.request_uri)

    @property
    def content_type(self) -> bytes:
        """The body's media type in lower case, without parameters, ``b""`` when absent."""
        found = self.by_name.get(b"content-type")
        return found[0].value.partition(b";")[0].strip(b" \t").lower() if found else b""


def split_members(header: HeaderField) -> list[Member]:
    """Return a field's members; a header that is no list is one member. An empty member raises."""
    name, _, _, at, end, value = header
    if name not in LISTS or (b"," not in value and _is_one(value)):
        return [_new_member(Member, (at, end, value))]
    if value.count(b",") >= MAXIMUM_MEMBERS:
        raise MessageError("a list has too many members")
    return [Member(at + start, at + end, value[start:end]) for start, end in split_list(value)]


def _is_one(value: bytes) -> bool:
    """Whether a value without a comma is one member: there is something, and all brackets are closed."""
    return bool(value) and b'"' not in value and value.rfind(b"<") <= value.rfind(b">")


def parse(raw: bytes) -> Message:
    """Parse one datagram.

    Raises :class:`MessageError` when it or its head is too large, has no start line or no end of the headers,
    more than 256 header fields, or is a response without a status of three digits.
    """
    if len(raw) > MAXIMUM_SIZE:
        raise MessageError("a message is larger than 64 KiB")
    start = len(raw) - len(raw.lstrip(_CRLF))
    line_end = raw.find(_CRLF, start)
    head_end = raw.find(b"\r\n\r\n", start) + 2
    if head_end < 2:
        raise MessageError("a message has no end of its headers")
    if head_end - start > MAXIMUM_HEAD:
        raise MessageError("the header fields of a message are larger than 32 KiB")
    headers = parse_fields(raw, line_end + 2, head_end)
    by_name = by_names(headers)
    body_start = head_end + 2
    length = _content_length(by_name)
    available = len(raw) - body_start
    is_short = length is not None and length > available
    body = raw[body_start:] if length is None else raw[body_start : body_start + length]
    return Message(raw, _start_line(raw[start:line_end]), headers, by_name, (body_start, body), is_short)


def parse_fragment(raw: bytes) -> Message:
    """Parse a sipfrag (RFC 3420 §2): a message of which any part may be missing, from the start line on."""
    line, _, rest = raw.partition(_CRLF)
    if raw.count(b"\n") != raw.count(_CRLF):
        raise MessageError("a message fragment has a lone LF")
    has_start_line = line[:8].upper() == b"SIP/2.0 " or line[-8:].upper() == b" SIP/2.0"
    start = line + _CRLF if has_start_line else b"SIP/2.0 100 Fragment\r\n"
    fragment = parse(start + (rest if has_start_line else raw) + b"\r\n\r\n")
    if not all(header.name for header in fragment.headers):
        raise MessageError("a line of a message fragment is no header field")
    return fragment


def by_names(headers: tuple[HeaderField, ...]) -> dict[bytes, list[HeaderField]]:
    """Return the same header fields by their names, each in order."""
    found: dict[bytes, list[HeaderField]] = {}
    for header in headers:
        if (others := found.get(header[0])) is None:
            found[header[0]] = [header]
        else:
            others.append(header)
    return found


def parse_fields(raw: bytes, start: int, end: int) -> tuple[HeaderField, ...]:
    """Parse the header fields in ``raw[start:end]``, each ending in CRLF; folds belong to the line before."""
    fields: list[HeaderField] = []
    folded: dict[int, int] = {}  # where the last fold of a field ends: thousands of folds are read once
    head, position = raw[start:end], start
    has_folds = b"\r\n " in head or b"\r\n\t" in head
    for line in head.split(_CRLF)[:-1]:
        after = position + len(line) + 2
        if has_folds and fields and line[:1] in (b" ", b"\t"):
            folded[len(fields) - 1] = after
        else:
            name, begin, stop, value = _read_line(line)
            at = (name, position, after, position + begin, position + stop, value)
            fields.append(_new_field(HeaderField, at))
        position = after
    for index, after in folded.items():
        first = fields[index].start
        name, begin, stop, value = _read_line(raw[first : after - 2].replace(_CRLF, b"  "))
        fields[index] = HeaderField(name, first, after, first + begin, first + stop, value)
    if len(fields) > MAXIMUM_FIELDS:
        raise MessageError("a message has more than 256 header fields")
    return tuple(fields)


@reading.remembered
def _read_line(line: bytes) -> tuple[bytes, int, int, bytes]:
    """Return name, begin and end of the value, and value of a line; nothing of what is no header field."""
    text, colon, value = line.partition(b":")
    name = _name(text) if colon else b""
    end = len(line)
    if not name:
        return b"", end, end, b""
    stripped = value.lstrip(b" \t")
    begin = end - len(stripped)
    stripped = stripped.rstrip(b" \t")
    return name, begin, begin + len(stripped), stripped


@reading.remembered
def _name(text: bytes) -> bytes:
    """Return what stands before a colon in canonical form, ``b""`` when it is no header name."""
    name = text.rstrip(b" \t")
    return canonical(name) if is_token(name) else b""


def _start_line(line: bytes) -> StartLine:
    return _request_line(line) if line[:4].upper() != b"SIP/" else _status_line(line)


def _request_line(line: bytes) -> StartLine:
    method, _, rest = line.partition(b" ")
    uri, space, version = rest.rpartition(b" ")
    if not space:
        uri, version = rest, b""
    if not method:
        raise MessageError("a start line is empty")
    return True, method, uri, 0, b"", version


@reading.remembered
def _status_line(line: bytes) -> StartLine:
    version, _, rest = line.partition(b" ")
    code, _, reason = rest.partition(b" ")
    if len(code) != 3:
        raise MessageError("a response has no status of three digits")
    return False, b"", b"", parse_uint(code, 699), reason, version


def _content_length(by_name: Mapping[bytes, list[HeaderField]]) -> int | None:
    """Return the first Content-Length if it can be read; the validator judges the others."""
    found = by_name.get(b"content-length")
    try:
        return parse_uint(found[0].value, 0xFFFFFFFF) if found else None
    except MessageError:
        return None
