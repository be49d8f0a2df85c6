"""Cutting the byte stream of a connection into messages (RFC 3261 §7.5, §18.3).

On a stream only Content-Length says where a message ends. When it is missing, unreadable or there twice,
nobody knows where the next message begins: the sender is owed a 400 and the connection is over. Between
messages two empty lines ask whether we are still there (RFC 5626 §3.5.1), and one alone means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sip_hooks.errors import MessageError
from sip_hooks.message import MAXIMUM_HEAD, MAXIMUM_SIZE
from sip_hooks.uri import parse_uint

PING = b"\r\n\r\n"
PONG = b"\r\n"

_END = b"\r\n\r\n"
# A header field as `message.parse_fields` reads it; what follows a fold belongs to the line before.
_LENGTH = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)(?=\r\n)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, repr=False)
class Broken:
    """The stream cannot be cut any further. `head`: the message at which it broke, b"" when it has no end."""

    status: int
    reason: bytes
    head: bytes


def measured(message: bytes) -> bytes:
    """The message with a Content-Length, which it may have come without over UDP (RFC 3261 §18.3, §20.14)."""
    head, end, body = message.partition(_END)
    if not end or _LENGTH.search(head + b"\r\n"):
        return message
    return b"%s\r\nContent-Length: %d%s%s" % (head, len(body), end, body)


class Deframer:
    """One connection's stream. How the bytes are split when they arrive makes no difference."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._empty_lines = 0
        self._searched = 0  # so many bytes hold no end of the header fields
        self._size = 0  # of the message at the front, 0 while unknown
        self._is_broken = False

    @property
    def is_within_message(self) -> bool:
        """Whether a message has begun and is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes | Broken]:
        """Yield every message that is complete, `PING` for each ping; a `Broken` is the last."""
        self._buffer += data
        while not self._is_broken and (found := self._next()) is not None:
            self._is_broken = isinstance(found, Broken)
            yield found
        if self._is_broken:
            self._buffer.clear()

    def _next(self) -> bytes | Broken | None:
        if not self._size:
            if self._skip_empty_lines():
                return PING
            if (broken := self._measure()) is not None:
                return broken
        if not self._size or len(self._buffer) < self._size:
            return None
        message = bytes(self._buffer[: self._size])
        del self._buffer[: self._size]
        self._searched = self._size = self._empty_lines = 0
        return message

    def _skip_empty_lines(self) -> bool:
        """Skip empty lines before a message. Returns at the second of a pair."""
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
            self._empty_lines += 1
            if self._empty_lines == 2:
                self._empty_lines = 0
                return True
        return False

    def _measure(self) -> Broken | None:
        """Find out how long the message at the front is, if its header fields are all there."""
        end = self._buffer.find(_END, max(0, self._searched - len(_END) + 1), MAXIMUM_HEAD + len(_END))
        if end < 0:
            self._searched = len(self._buffer)
            is_too_long = self._searched >= MAXIMUM_HEAD + len(_END)
            return Broken(513, b"Message Too Large", b"") if is_too_long else None
        head = bytes(self._buffer[: end + len(_END)])
        found = _LENGTH.findall(head)
        if len(found) != 1:
            what = b"is missing" if not found else b"occurs twice"
            return Broken(400, b"Bad Request (Content-Length " + what + b")", head)
        try:
            length = parse_uint(found[0].replace(b"\r\n", b"  ").strip(b" \t"), 0xFFFFFFFF)
        except MessageError:
            return Broken(400, b"Bad Request (Content-Length is no number)", head)
        if len(head) + length > MAXIMUM_SIZE:
            return Broken(513, b"Message Too Large", head)
        self._size = len(head) + length
        return None
