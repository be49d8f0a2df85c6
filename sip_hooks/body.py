"""Where in a body the session description stands: alone, or as a part of a multipart body.

A part is found only if every reader finds the same one (RFC 2046 §5.1, RFC 5621 §3): exactly one, not nested,
in plain bytes, neither signed nor encrypted, and meant as the session's own description (RFC 3261 §20.11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

from sip_hooks.errors import MessageError
from sip_hooks.headers import parse_params
from sip_hooks.message import HeaderField, Message, by_names, parse_fields
from sip_hooks.sdp import Obstacle
from sip_hooks.uri import param_value

Place: TypeAlias = tuple[int, int]
"""Where the description begins in the body, and where it ends."""

_SDP = b"application/sdp"
_ENCRYPTED = (b"application/pkcs7-mime", b"application/x-pkcs7-mime", b"multipart/encrypted")
_SIGNED = b"multipart/signed"
_PLAIN = (b"", b"identity")
_EXPLAINED_OTHERWISE = frozenset((b"content-encoding", b"content-transfer-encoding", b"content-disposition"))
_AS_IT_IS = (b"", b"7bit", b"8bit", b"binary")
_MOST_PARTS = 32
_BLANKS = b" \t"


class _Entity(NamedTuple):
    """A body or a part of one, and the header fields that explain it, by their names."""

    by_name: Mapping[bytes, list[HeaderField]]
    start: int
    end: int

    def __repr__(self) -> str:
        """Without anything: it holds numbers."""
        return "_Entity()"

    def says(self, name: bytes) -> bytes:
        """What a header field says before its parameters, in lower case, b"" when there is none."""
        return self._value(name).partition(b";")[0].strip(_BLANKS).lower()

    def param(self, name: bytes, of: bytes) -> bytes | None:
        """A parameter of a header field, without quotation marks."""
        _, semicolon, rest = self._value(of).partition(b";")
        found = param_value(parse_params(semicolon + rest), name)
        return found if found is None else found.removeprefix(b'"').removesuffix(b'"')

    def _value(self, name: bytes) -> bytes:
        fields = self.by_name.get(name)
        if fields is None:
            return b""
        if len(fields) > 1:
            raise MessageError("a part explains itself twice")
        return fields[0].value


def find_description(message: Message) -> Place | Obstacle | None:
    """Return where the description is in the message's body, or what hides it; None when there is none."""
    body = message.body
    if not body:
        return None
    if _EXPLAINED_OTHERWISE.isdisjoint(message.by_name):
        says = message.by_name.get(b"content-type")
        if says is not None and len(says) == 1 and says[0].value == _SDP:
            return 0, len(body)
    try:
        whole = _Entity(message.by_name, 0, len(body))
        kind = whole.says(b"content-type")
        if kind in _ENCRYPTED:
            return Obstacle.ENCRYPTED_BODY
        if not kind.startswith(b"multipart/"):
            return _plainly(whole) if kind == _SDP else None
        return _among_parts(body, whole) if _SDP in body.lower() else None
    except MessageError:
        return Obstacle.MULTIPART


def _plainly(entity: _Entity) -> Place | Obstacle:
    """The place of a description that can be read as it stands."""
    if entity.says(b"content-encoding") not in _PLAIN:
        return Obstacle.ENCRYPTED_BODY
    is_plain = entity.says(b"content-transfer-encoding") in _AS_IT_IS
    is_of_session = entity.says(b"content-disposition") in (b"", b"session")
    return (entity.start, entity.end) if is_plain and is_of_session else Obstacle.MULTIPART


def _among_parts(body: bytes, whole: _Entity) -> Place | Obstacle:
    if whole.says(b"content-type") == _SIGNED or whole.says(b"content-encoding") not in _PLAIN:
        return Obstacle.MULTIPART
    parts = list(_parts(body, whole.param(b"boundary", b"content-type") or b""))
    kinds = [part.says(b"content-type") for part in parts]
    is_nested = any(kind.startswith(b"multipart/") for kind in kinds)
    if is_nested or kinds.count(_SDP) != 1 or len(parts) > _MOST_PARTS:
        return Obstacle.MULTIPART
    return _plainly(parts[kinds.index(_SDP)])


def _parts(body: bytes, boundary: bytes) -> Iterator[_Entity]:
    """The parts between delimiters. Raises MessageError where these are unclear or the last is missing."""
    if not boundary:
        raise MessageError("a multipart body has no boundary")
    delimiter = b"--" + boundary
    began, position = -1, 0
    for line in body.split(b"\r\n"):
        is_last = line.rstrip(_BLANKS) == delimiter + b"--"
        if is_last or line.rstrip(_BLANKS) == delimiter:
            if began >= 0:
                yield _part(body, began, max(began, position - 2))
            began = position + len(line) + 2
            if is_last:
                return
        elif line.startswith(delimiter):
            raise MessageError("a line of a multipart body may be a delimiter or not")
        position += len(line) + 2
    raise MessageError("a multipart body has no end")


def _part(body: bytes, start: int, end: int) -> _Entity:
    blank = body.find(b"\r\n\r\n", start - 2, end)
    if blank < 0:
        raise MessageError("a part has no end of its header")
    headers = parse_fields(body, start, blank + 2)
    if not all(header.name for header in headers):
        raise MessageError("a line of a part is no header field")
    return _Entity(by_names(headers), blank + 4, end)
