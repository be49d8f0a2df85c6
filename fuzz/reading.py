"""Our reading of who calls whom, beside that of others; and whether a call would be recorded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from random import Random
from typing import TypeAlias

from fuzz import partner, smuggling
from fuzz.target import PBX, PHONE, Target
from sip_hooks.errors import SipError
from sip_hooks.headers import parse_name_addr
from sip_hooks.identity import identities
from sip_hooks.message import Message, parse
from sip_hooks.settings import Packet
from sip_hooks.uri import parse_uri
from sip_hooks.validity import validate

Reading: TypeAlias = Mapping[str, bytes]
"""URIs as bytes, by the name of their header in lower case, and `request-uri`; `call-id` and `status` as they
are. None or no entry: the reader found none, or refused the message.
"""

IDENTITIES = (
    *("p-asserted-identity", "p-preferred-identity", "remote-party-id", "diversion"),
    *("history-info", "contact"),
)
"""Of these others name the first; we name all."""

_SPACE = b" \t\r\n"  # some keep that of a fold, or before a parameter; it means nothing


def ours(message: bytes) -> Message | None:
    """The message as we read it, None when we refuse it."""
    try:
        read = parse(message)
        return read if validate(read) is None else None
    except SipError:
        return None


def differences(message: Message, theirs: Reading) -> list[str]:
    """Where another reader finds somebody or something that we do not: the names of headers."""
    found = []
    if theirs.get("call-id", b"").strip(_SPACE) != message.call_id:
        found.append("call-id")
    if message.is_request and theirs.get("request-uri", b"") != message.request_uri:
        found.append("request-uri")
    if not message.is_request and theirs.get("status", b"") != b"%d" % message.status:
        found.append("status")
    for name in ("from", "to"):
        if theirs.get(name, b"").strip(_SPACE) != _address(message, name):
            found.append(name)
    named = {(it.header, it.value) for it in identities(message).named}
    found += [
        name
        for name in IDENTITIES
        if theirs.get(name) and (name, _identity(theirs[name].strip(_SPACE))) not in named
    ]
    return found


def is_recorded(message: bytes) -> bool:
    """Whether a recording begins when the PBX answers this INVITE at once; or when this response comes in
    answer to the plain INVITE, reaches the phone, and a 200 of the same fork follows.
    """
    read = ours(message)
    if read is None:
        return False
    target, offered = _offered(message if read.is_request else smuggling.plain())
    if offered is None:
        return False
    if not read.is_request and not _answer(target, offered, message):
        return False
    tag = b"" if read.is_request else read.to_tag
    _answer(target, offered, partner.answer(Random(1), offered.data, 200, tag))
    return target.recordings > 0


@cache
def forwarded() -> bytes:
    """The plain INVITE as the PBX gets it, each time the same: what responses are written to."""
    offered = _offered(smuggling.plain())[1]
    assert offered is not None
    return offered.data


def _offered(invite: bytes) -> tuple[Target, Packet | None]:
    """What has taken this INVITE of the phone, and what the PBX has got of it."""
    target = Target()
    target.engine.receive_datagram(invite, PHONE, "udp", target.now)
    target.settle()
    sent = [it for it in target.sent if it.destination == PBX and it.data.startswith(b"INVITE ")]
    return target, sent[-1] if sent else None


def _answer(target: Target, offered: Packet, response: bytes) -> bool:
    """Whether this answer of the PBX reaches the phone."""
    target.sent.clear()
    target.engine.receive_datagram(response, PBX, offered.listener, target.now)
    target.settle()
    return any(it.destination == PHONE and it.data.startswith(b"SIP/") for it in target.sent)


def _address(message: Message, name: str) -> bytes:
    try:
        return parse_name_addr(message.first(name.encode()) or b"").uri.raw
    except SipError:
        return b""


def _identity(uri: bytes) -> str:
    try:
        return parse_uri(uri).identity()
    except SipError:
        return ""
