"""What cannot wait: told from the bytes of a message, before anybody has read the whole of it.

A call that runs comes before everything else, and so does an emergency call (RFC 7339 §5.10.1). What opens
something new can wait, or be refused: whoever sent it has lost nothing yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

from sip_hooks.headers import tag_in
from sip_hooks.uri import unescape

_LONGEST_METHOD = 32
_RUNNING = (b"ACK", b"BYE", b"CANCEL", b"PRACK", b"UPDATE", b"INFO")
# All for lower case, each beginning with bytes that are quickly found.
# As `message.parse_fields` reads it: what follows a fold belongs to the line before.
_TO = re.compile(rb"\r\nto?[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)")
_USERS = re.compile(rb":(?:(?<=sip:)|(?<=sips:)|(?<=tel:))([^@;>\s]{1,64})")


class Urgency(Enum):
    """In this order messages are acted on; the last are refused first."""

    __hash__ = object.__hash__  # these are keys: Enum's own is written in Python

    RUNNING = "running"
    """Responses, whatever belongs to a dialog, CANCEL, ACK, emergency calls. Never refused."""
    OUTSIDE = "outside"
    """REGISTER, SUBSCRIBE, OPTIONS and whatever else stands outside of dialogs."""
    CALL = "call"
    """An INVITE that opens a call."""


def urgency(data: bytes, is_emergency: Callable[[str], bool]) -> Urgency:
    """Return how urgent a message is; what cannot be read is refused soon enough by whoever reads it.

    `is_emergency` says whether a number or a user is one of an emergency service. It is asked about everybody
    whom any header names: an emergency call, or the call back, must not be missed.
    """
    start = data[:64].lstrip(b"\r\n")
    method = start[:_LONGEST_METHOD].partition(b" ")[0]
    if method in _RUNNING or start[:4].upper() == b"SIP/":
        return Urgency.RUNNING
    end = data.find(b"\r\n\r\n")
    head = data.lower() if end < 0 else data[: end + 2].lower()
    to = _TO.search(head)
    if to is not None and b"tag" in to[1] and tag_in(to[1].replace(b"\r\n", b"  ").strip(b" \t")):
        return Urgency.RUNNING
    if method != b"INVITE":
        return Urgency.OUTSIDE
    if b"service:sos" in head:  # RFC 5031
        return Urgency.RUNNING
    users = {unescape(user).decode("latin-1") for user in _USERS.findall(head)}
    return Urgency.RUNNING if any(map(is_emergency, users)) else Urgency.CALL
