"""A SIP message as a view over the received bytes (RFC 3261 §7).

A message is parsed once and never written again from its parts: whoever wants to change one collects edits
over the offsets kept here (``sip_hooks.edits``). The parser refuses only what cannot be represented; what is
representable and still wrong is the validator's business (``sip_hooks.validity``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

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


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """One request or response. Header names are asked for in canonical form, such as ``b"call-id"``.

    ``body`` ends where Content-Length says; on UDP what follows is no part of the message (§18.3).
    ``is_short`` says that it ended earlier. The helpers raise :class:`MessageError` on unreadable values.
    """

    raw: bytes
    is_request: bool
    method: bytes
    request_uri: bytes
    status: int
    reason: bytes
    version: bytes
    headers: tuple[HeaderField, ...]
    by_name: Mapping[bytes, list[HeaderField]]  # the same
    headers_start: int
    body_start: int
    body: bytes
    is_short: bool
    split: dict[bytes, list[Member]] = field(default_factory=dict, compare=False)  # what `members` has found

    def fields(self, name: bytes) -> list[HeaderField]:
        """Return all fields of this name, in order; of the name ``b""`` all lines that are no field."""
        return self.by_name.get(name, [])

    def field(self, name: bytes) -> HeaderField | None:
        """Return the first field of this name."""
        found = self.by_name.get(name)
        return found[0] if found else None

    def first(self, name: bytes) -> bytes | None:
        """Return the first field's whole value."""
        found = self.field(name)
        return None if found is None else found.value

    def members(self, name: bytes) -> list[Member]:
        """Return the members of a header in order, over all its fields; lists are split at their commas."""
        members = self.split.get(name)
        if members is None:
            members = self.split[name] = self._members(name)
        return members

    def _members(self, name: bytes) -> list[Member]:
        members = [member for header in self.fields(name) for member in split_members(header)]
        if len(members) > MAXIMUM_MEMBERS:
            raise MessageError("a list has too many members")
        return members

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of :meth:`members`."""
        return [member.value for member in self.members(name)]

    @property
    def call_id(self) -> bytes:
        """The Call-ID, ``b""`` when absent."""
        return self.first(b"call-id") or b""

    @property
    def from_tag(self) -> bytes:
        """The From tag, ``b""`` when absent."""
        return self._tag(b"from")

    @property
    def to_tag(self) -> bytes:
        """The To tag, ``b""`` when absent."""
        return self._tag(b"to")

    @property
    def cseq(self) -> tuple[int, bytes]:
        """The CSeq's number and method."""
        return parse_cseq(self.first(b"cseq") or b"")

    @property
    def vias(self) -> list[Via]:
        """The Via stack, topmost first."""
        return [parse_via(value) for value in self.all(b"via")]

    @property
    def top_via(self) -> Via:
        """The topmost Via."""
        top = self.field(b"via")
        members = split_members(top) if top is not None else []
        if not members:
            raise MessageError("a message has no Via, or an empty one on top")
        return parse_via(members[0].value)

    @property
    def target(self) -> Uri:
        """The Request-URI. Within a dialog it ends at a stray ``>``: pyVoIP takes it from a whole Contact."""
        return parse_uri(self.request_uri.partition(b">")[0] if self.to_tag else self.request_uri)

    @property
    def content_type(self) -> bytes:
        """The body's media type in lower case, without parameters, ``b""`` when absent."""
        return (self.first(b"content-type") or b"").partition(b";")[0].strip(b" \t").lower()

    def _tag(self, name: bytes) -> bytes:
        return tag_in(self.first(name) or b"")


def split_members(header: HeaderField) -> list[Member]:
    """Return a field's members; a header that is no list is one member. An empty member raises."""
    if header.name not in LISTS:
        return [Member(header.value_start, header.value_end, header.value)]
    if header.value.count(b",") >= MAXIMUM_MEMBERS:
        raise MessageError("a list has too many members")
    at = header.value_start
    return [Member(at + start, at + end, header.value[start:end]) for start, end in split_list(header.value)]


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
    line = raw[start:line_end]
    headers = parse_fields(raw, line_end + 2, head_end)
    by_name: dict[bytes, list[HeaderField]] = {}
    for header in headers:
        by_name.setdefault(header.name, []).append(header)
    body_start = head_end + 2
    length = _content_length(by_name.get(b"content-length", []))
    available = len(raw) - body_start
    size = available if length is None else min(length, available)
    is_request = line[:4].upper() != b"SIP/"
    method, uri, version, status, reason = _request_line(line) if is_request else _status_line(line)
    return Message(
        raw,
        is_request,
        method,
        uri,
        status,
        reason,
        version,
        headers,
        by_name,
        line_end + 2,
        body_start,
        raw[body_start : body_start + size],
        length is not None and length > available,
    )


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


def parse_fields(raw: bytes, start: int, end: int) -> tuple[HeaderField, ...]:
    """Parse the header fields in ``raw[start:end]``, each ending in CRLF; folds belong to the line before."""
    fields: list[HeaderField] = []
    position = start
    for line in raw[start:end].split(_CRLF)[:-1]:
        after = position + len(line) + 2
        if line[:1] in (b" ", b"\t") and fields:
            first = fields[-1].start
            fields[-1] = _field(raw[first : after - 2].replace(_CRLF, b"  "), first)
        else:
            fields.append(_field(line, position))
        position = after
    if len(fields) > MAXIMUM_FIELDS:
        raise MessageError("a message has more than 256 header fields")
    return tuple(fields)


def _field(line: bytes, start: int) -> HeaderField:
    """Read one line, unfolded, that stands at ``start``."""
    text, colon, value = line.partition(b":")
    name = _name(text) if colon else b""
    end = start + len(line)
    if not name:
        return HeaderField(b"", start, end + 2, end, end, b"")
    stripped = value.lstrip(b" \t")
    at = end - len(stripped)
    stripped = stripped.rstrip(b" \t")
    return HeaderField(name, start, end + 2, at, at + len(stripped), stripped)


@reading.remembered
def _name(text: bytes) -> bytes:
    """Return what stands before a colon in canonical form, ``b""`` when it is no header name."""
    name = text.rstrip(b" \t")
    return canonical(name) if is_token(name) else b""


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes, int, bytes]:
    method, _, rest = line.partition(b" ")
    uri, space, version = rest.rpartition(b" ")
    if not space:
        uri, version = rest, b""
    if not method:
        raise MessageError("a start line is empty")
    return method, uri, version, 0, b""


def _status_line(line: bytes) -> tuple[bytes, bytes, bytes, int, bytes]:
    version, _, rest = line.partition(b" ")
    code, _, reason = rest.partition(b" ")
    if len(code) != 3:
        raise MessageError("a response has no status of three digits")
    return b"", b"", version, parse_uint(code, 699), reason


def _content_length(found: list[HeaderField]) -> int | None:
    """Return the first Content-Length if it can be read; the validator judges the others."""
    try:
        return parse_uint(found[0].value, 0xFFFFFFFF) if found else None
    except MessageError:
        return None
