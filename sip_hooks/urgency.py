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
# As `message.parse_fields` reads it: what follows a fold belongs to the line before.
_TO = re.compile(rb"\r\n(?:to|t)[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.IGNORECASE)
_USERS = re.compile(rb"(?:sips?|tel):([^@;>\s]{1,64})", re.IGNORECASE)


class Urgency(Enum):
    """In this order messages are acted on; the last are refused first."""

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
    head = data if end < 0 else data[: end + 2]
    to = _TO.search(head)
    if to is not None and b"tag" in to[1].lower() and tag_in(to[1].replace(b"\r\n", b"  ").strip(b" \t")):
        return Urgency.RUNNING
    if method != b"INVITE":
        return Urgency.OUTSIDE
    if b"service:sos" in head.lower():  # RFC 5031
        return Urgency.RUNNING
    users = {unescape(user).decode("latin-1") for user in _USERS.findall(head)}
    return Urgency.RUNNING if any(map(is_emergency, users)) else Urgency.CALL
