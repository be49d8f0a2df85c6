"""A session description as lines with their offsets, grouped by media section (RFC 8866 §5, §9).

Lines end in CRLF or in a bare LF. Only the shape is judged here, the meaning in ``sip_hooks.sdp``.
"""

from __future__ import annotations

from typing import NamedTuple

from sip_hooks import reading
from sip_hooks.errors import MessageError
from sip_hooks.uri import parse_uint

MAXIMUM_LINES = 1024
_MOST_FORMATS = 128
"""Of one stream: there are no more payload types."""


class Line(NamedTuple):
    """``kind=value``; ``start``: the offset of the value. ``name``: of an attribute, in lower case."""

    kind: bytes
    value: bytes
    start: int
    name: bytes

    def __repr__(self) -> str:
        """Without the value: it holds addresses."""
        return f"Line({self.kind!r})"

    @property
    def end(self) -> int:
        """Where the line's text ends, its line end excluded."""
        return self.start + len(self.value)


_new_line = tuple.__new__  # a NamedTuple's own takes longer, and a description has a dozen


class Media(NamedTuple):
    """One m= section: what its first line says, and the lines below it."""

    line: Line
    kind: bytes
    port: int
    port_text: bytes
    streams: int
    protocol: bytes
    formats: tuple[bytes, ...]
    lines: tuple[Line, ...]

    def __repr__(self) -> str:
        """Without anything: it holds addresses."""
        return "Media()"

    @property
    def is_active(self) -> bool:
        """Whether the section is neither rejected nor held by port 0 (RFC 3264 §6, RFC 9143 §6)."""
        return bool(self.port or attributes(self.lines, b"bundle-only"))

    @property
    def is_rtp_audio(self) -> bool:
        """Whether it is audio over RTP over UDP, in whatever profile."""
        return self.kind == b"audio" and b"RTP/" in self.protocol and not self.protocol.startswith(b"TCP/")


class Session(NamedTuple):
    """The session-level lines and the media sections, in order."""

    lines: tuple[Line, ...]
    media: tuple[Media, ...]

    def __repr__(self) -> str:
        """Without anything: it holds addresses."""
        return "Session()"

    def audio(self, stream: int | None = None) -> Media | None:
        """Return the audio that matters: section `stream`, or the first active one, else the first of all."""
        sections = self.media if stream is None else self.media[stream : stream + 1]
        audio = [media for media in sections if media.is_rtp_audio]
        return next((media for media in audio if media.port), audio[0] if audio else None)

    def attribute_lines(self) -> list[Line]:
        """Return all a= lines, of the session and of every section."""
        sections = (self.lines, *(media.lines for media in self.media))
        return [line for lines in sections for line in lines if line.kind == b"a"]


@reading.remembered
def parse_session(body: bytes) -> Session:
    """Parse a body; raises :class:`MessageError` where two readers could see different lines."""
    if body.count(b"\n") > MAXIMUM_LINES:
        raise MessageError("a description has too many lines")
    sections: list[list[Line]] = [[]]
    position = 0
    is_over = False
    for raw in body.split(b"\n"):
        start = position + 2
        position += len(raw) + 1
        kind, value, name = _read(raw)
        if not kind:
            is_over = True
            continue
        if is_over:
            raise MessageError("a description has a malformed line")
        if kind == b"m":
            sections.append([])
        sections[-1].append(_new_line(Line, (kind, value, start, name)))
    if not sections[0] or sections[0][0].kind != b"v" or sections[0][0].value != b"0":
        raise MessageError("a body is no session description")
    return Session(tuple(sections[0]), tuple(_media(section) for section in sections[1:]))


@reading.remembered
def _read(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Kind, value and name of a line without its LF, all empty when it is."""
    text = line.removesuffix(b"\r")
    if not text:
        return b"", b"", b""
    if text[1:2] != b"=" or b"\r" in text or b"\0" in text:
        raise MessageError("a description has a malformed line")
    kind, value = text[:1], text[2:]
    return kind, value, value.partition(b":")[0].lower() if kind == b"a" else b""


def _media(section: list[Line]) -> Media:
    line = section[0]
    words = line.value.rstrip(b" ").split(b" ")
    if not 4 <= len(words) <= 3 + _MOST_FORMATS or not all(words):
        raise MessageError("a media line is malformed")
    port, slash, streams = words[1].partition(b"/")
    return Media(
        line,
        words[0].lower(),
        parse_uint(port, 65535),
        port,
        parse_uint(streams, 65535) if slash else 1,
        words[2].upper(),
        tuple(words[3:]),
        tuple(section[1:]),
    )


def lines_of(lines: tuple[Line, ...], kind: bytes) -> list[Line]:
    """Return the lines of one kind, such as ``b"c"``."""
    return [line for line in lines if line.kind == kind]


def attributes(lines: tuple[Line, ...], name: bytes) -> list[Line]:
    """Return the ``a=name`` and ``a=name:value`` lines, the name in any case."""
    return [line for line in lines if line.name == name]
