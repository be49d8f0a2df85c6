"""Making media pass through a relay: which descriptions are rewritten, and how (RFC 3264).

Each party is always shown the same port, whatever the other one says, so a refreshed description gives the
same bytes again.
"""

from __future__ import annotations

from sip_hooks.address import UNSPECIFIED, family_of
from sip_hooks.errors import MessageError
from sip_hooks.events import Anchor
from sip_hooks.identity import Role
from sip_hooks.message import Message
from sip_hooks.sdp import Description, MediaEnd, Obstacle, describe, rewrite

_SDP = b"application/sdp"
_ENCRYPTED = (b"application/pkcs7-mime", b"application/x-pkcs7-mime")
_PLAIN_CODINGS = (b"", b"identity")


def description_in(message: Message) -> Description | None:
    """Return the description a message carries, None when it carries none."""
    if not message.body:
        return None
    kind = message.content_type
    coding = (message.first(b"content-encoding") or b"").lower()
    if kind in _ENCRYPTED or (kind == _SDP and coding not in _PLAIN_CODINGS):
        return Description(None, frozenset((Obstacle.ENCRYPTED_BODY,)), b"")
    if kind == _SDP:
        return describe(message.body)
    if kind.startswith(b"multipart/") and _SDP in message.body.lower():
        return Description(None, frozenset((Obstacle.MULTIPART,)), b"")
    return None


def can_be_anchored(description: Description) -> bool:
    """Whether rewriting leads the audio through us. With ICE it would not: candidates lead around us."""
    return description.end is not None and Obstacle.ICE not in description.obstacles


def anchored(body: bytes, end: MediaEnd, speaker: Role, anchor: Anchor) -> bytes:
    """Return what the other party is to be shown of the description that `speaker` sent.

    Raises MessageError when the speaker wants its media in an IP version that its side of the relay lacks.
    """
    own, shown = anchor.to_caller, anchor.to_callee
    if speaker == "callee":
        own, shown = shown, own
    if end.rtp_port and end.address not in UNSPECIFIED and family_of(end.address) != family_of(own[0]):
        raise MessageError("a party changed its IP version", "the relay cannot send there")
    return rewrite(body, shown[0], shown[1], shown[1] + 1)


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
