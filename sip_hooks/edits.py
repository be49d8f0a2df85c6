"""Edits over a received message, applied once; every byte that no edit names stays as it was received."""

from __future__ import annotations

from operator import itemgetter

from sip_hooks.errors import EditError
from sip_hooks.headers import canonical
from sip_hooks.message import HeaderField, Message, split_members

_SPAN = itemgetter(0, 1)


class Edits:
    """Collects edits to one message. Two edits of the same bytes raise :class:`EditError` at once."""

    def __init__(self, message: Message) -> None:
        self._message = message
        # (start, end, new bytes), the latest first: of two insertions at one place the later stands on top.
        self._edits: list[tuple[int, int, bytes]] = []

    def replace(self, start: int, end: int, new: bytes) -> None:
        """Replace ``raw[start:end]``; ``start == end`` inserts, before what was inserted there earlier."""
        if not 0 <= start <= end <= len(self._message.raw):
            raise EditError("an edit lies outside its message")
        for left, right, _ in self._edits:
            if start < right and left < end:  # an insertion touches only what it would split
                raise EditError("two edits touch the same bytes")
        self._edits.insert(0, (start, end, new))

    def insert_top(self, name: bytes, value: bytes) -> None:
        """Insert a header field before the first of its name, else before all header fields."""
        if b"\r" in value or b"\n" in value:
            raise EditError("a header value holds a line end")
        first = self._message.field(canonical(name))
        at = self._message.headers_start if first is None else first.start
        self.replace(at, at, name + b": " + value + b"\r\n")

    def remove_first_via(self) -> None:
        """Remove the topmost Via, also when it shares its field with others."""
        self.remove_first(b"via")

    def remove_first(self, name: bytes, count: int = 1) -> None:
        """Remove the first ``count`` members of a list header, with their fields where these become empty."""
        for header in self._message.fields(name):
            is_one = count == 1 and header.value and b"," not in header.value
            members = [header] if is_one else split_members(header)
            if count < len(members):
                self.replace(header.value_start, members[count].start, b"")
                return
            self.replace(header.start, header.end, b"")
            count -= len(members)
        if count:
            raise EditError("there are fewer members to remove than asked for")

    def replace_value(self, header: HeaderField, new: bytes) -> None:
        """Replace a field's value, folds included."""
        if b"\r" in new or b"\n" in new:
            raise EditError("a header value holds a line end")
        self.replace(header.value_start, header.value_end, new)

    def set_request_uri(self, new: bytes) -> None:
        """Replace the Request-URI."""
        message = self._message
        if not message.version or not message.is_request:
            raise EditError("only a complete request line has a Request-URI")
        if not new or len(new.translate(None, b" \t\r\n")) != len(new):
            raise EditError("a Request-URI holds no white space")
        start = message.headers_start - 2 - len(message.version) - 1 - len(message.request_uri)
        self.replace(start, start + len(message.request_uri), new)

    def set_body(self, new: bytes) -> None:
        """Replace the body, and Content-Length where it is present and now says something else."""
        message = self._message
        self.replace(message.body_start, message.body_start + len(message.body), new)
        length = message.field(b"content-length")
        if length is not None and len(new) != len(message.body):
            self.replace_value(length, b"%d" % len(new))

    def apply(self) -> bytes:
        """Return the message's bytes with all edits applied."""
        raw = self._message.raw
        pieces: list[bytes] = []
        position = 0
        for start, end, new in sorted(self._edits, key=_SPAN):
            pieces += (raw[position:start], new)
            position = end
        pieces.append(raw[position:])
        return b"".join(pieces)
