"""Our reading of who calls whom, beside that of others; and whether a call would be recorded."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TypeAlias

from fuzz import partner
from fuzz.target import PBX, PHONE, Target
from sip_hooks.errors import SipError
from sip_hooks.headers import parse_name_addr
from sip_hooks.identity import identities
from sip_hooks.message import Message, parse
from sip_hooks.uri import parse_uri
from sip_hooks.validity import validate

Reading: TypeAlias = Mapping[str, bytes]
"""URIs as bytes, by the name of their header in lower case, and `request-uri`; `call-id` as it is. None or no
entry: the reader found none, or refused the message.
"""

IDENTITIES = ("p-asserted-identity", "p-preferred-identity", "remote-party-id", "diversion")
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
    if theirs.get("request-uri", b"") != message.request_uri:
        found.append("request-uri")
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
    """Whether a recording begins when the PBX answers this INVITE at once."""
    target, chance = Target(), Random(1)
    target.engine.receive_datagram(message, PHONE, "udp", target.now)
    target.settle()
    for packet in [it for it in target.sent if it.destination == PBX and it.data.startswith(b"INVITE ")]:
        answer = partner.answer(chance, packet.data, 200)
        target.engine.receive_datagram(answer, PBX, packet.listener, target.now)
        target.settle()
    return target.recordings > 0


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
