"""What a message says of other dialogs and other sessions than its own, and of conferences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from sip_hooks.errors import MessageError
from sip_hooks.events import Disturbance
from sip_hooks.headers import parse_name_addr
from sip_hooks.message import Message
from sip_hooks.uri import unescape

_NAMES = (
    (b"replaces", Disturbance.REPLACES),
    (b"join", Disturbance.JOIN),
    (b"target-dialog", Disturbance.REPLACES),  # not REFER: whoever sent it is told elsewhere how it ends
)
_DIGITS = frozenset(b"0123456789abcdef")


def dialogs_named(request: Message) -> Iterator[tuple[Disturbance, bytes]]:
    """The dialogs that a request wants to take over, join or speak of, as in Replaces (RFC 3891 §6.1), and
    those that it wants somebody else to take over included (RFC 5589 §7).
    """
    for name, cause in _NAMES:
        for value in request.all(name):
            yield cause, value
    for value in request.all(b"refer-to"):
        with suppress(MessageError):
            for header in parse_name_addr(value).uri.headers.split(b"&"):
                name, _, escaped = header.partition(b"=")
                if name.lower() == b"replaces":
                    yield Disturbance.REPLACES, unescape(escaped)


def session_ids(message: Message) -> frozenset[str]:
    """The two halves of a Session-ID (RFC 7989 §5) that are not nil."""
    found = set()
    for value in message.all(b"session-id"):
        local, _, params = value.partition(b";")
        remote = params.lower().partition(b"remote=")[2].partition(b";")[0]
        found |= {half.strip(b" \t").lower() for half in (local, remote)}
    return frozenset(
        it.decode() for it in found if len(it) == 32 and _DIGITS.issuperset(it) and it.strip(b"0")
    )


def is_focus(message: Message) -> bool:
    """Whether a Contact says that it is the focus of a conference (RFC 4579 §5.2)."""
    contacts = message.by_name.get(b"contact")
    return contacts is not None and any(b"isfocus" in it.value.lower() for it in contacts)
