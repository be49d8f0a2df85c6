"""Making media pass through a relay: which descriptions are rewritten, and how (RFC 3264).

Each party is always shown the same port, whatever the other one says, so a refreshed description gives the
same bytes again.
"""

from __future__ import annotations

from sip_hooks.address import UNSPECIFIED, family_of
from sip_hooks.body import find_description
from sip_hooks.errors import MessageError
from sip_hooks.events import Anchor
from sip_hooks.identity import Role
from sip_hooks.message import Message
from sip_hooks.sdp import Description, MediaEnd, Obstacle, describe, rewrite


def description_in(message: Message, stream: int | None = None) -> Description | None:
    """Return the description a message carries, None when it carries none. `stream`: as for `describe`."""
    place = find_description(message)
    if place is None:
        return None
    if isinstance(place, Obstacle):
        return Description(None, frozenset((place,)), b"")
    return describe(message.body[place[0] : place[1]], stream)


def can_be_anchored(offer: Description) -> bool:
    """Whether an offer's audio can be led through us, and the whole of it."""
    return offer.end is not None and offer.obstacles.isdisjoint((Obstacle.ICE, Obstacle.SEVERAL_MEDIA))


def anchored(message: Message, description: Description, speaker: Role, anchor: Anchor) -> bytes:
    """Return the body with what the other party is to be shown of the description that `speaker` sent.

    Raises MessageError when the speaker wants its media in an IP version that its side of the relay lacks,
    and when there is nothing to rewrite.
    """
    own, shown = anchor.to_caller, anchor.to_callee
    if speaker == "callee":
        own, shown = shown, own
    end, place = description.end, find_description(message)
    if end is None or not isinstance(place, tuple):
        raise MessageError("a description has no audio that could be anchored", "forward it unanchored")
    if end.rtp_port and end.address not in UNSPECIFIED and family_of(end.address) != family_of(own[0]):
        raise MessageError("a party changed its IP version", "the relay cannot send there")
    start, stop = place
    led = rewrite(message.body[start:stop], shown[0], (shown[1], shown[1] + 1), description.stream)
    return message.body[:start] + led + message.body[stop:]


def is_refresh(before: MediaEnd, after: MediaEnd) -> bool:
    """Whether a description changes nothing about where and whether media flows."""
    return _where(before) == _where(after)


def _where(end: MediaEnd) -> tuple[str, int, int, str]:
    return end.address, end.rtp_port, end.rtcp_port, end.direction


def is_ours(end: MediaEnd | None, addresses: frozenset[str], ports: tuple[int, int]) -> bool:
    """Whether an earlier pass of the same call has anchored this description."""
    return end is not None and end.address in addresses and ports[0] <= end.rtp_port <= ports[1]


def protects_body(message: Message) -> bool:
    """Whether a digest covers the body (`qop=auth-int`, RFC 7616 §3.4.3); rewriting would void it."""
    for name in (b"authorization", b"proxy-authorization"):
        for value in message.all(name):
            if _has_auth_int(value):
                return True
    return False


def wants_body_protected(message: Message) -> bool:
    """Whether a 401 or 407 leaves the client no choice but `qop=auth-int`."""
    for name in (b"www-authenticate", b"proxy-authenticate"):
        for value in message.all(name):
            if _has_auth_int(value) and b"auth," not in value.lower() and b'auth"' not in value.lower():
                return True
    return False


def _has_auth_int(value: bytes) -> bool:
    return b"auth-int" in value.lower()
