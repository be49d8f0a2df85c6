"""Which keys an INFO says were pressed at a telephone (RFC 2976 §2.1; no RFC defines the bodies).

application/dtmf-relay has a line "Signal=5", application/dtmf nothing but the key, and
application/vnd.nortelnetworks.digits a line "d=5". A signal may be the key's number in RFC 4733 §3.2, too.
"""

from __future__ import annotations

from sip_hooks.message import Message

FLASH = "!"
"""The hook was flashed: every PBX takes that for an order."""

_KEYS = "0123456789*#ABCD"
_BY_NUMBER = {str(number): key for number, key in enumerate(f"{_KEYS}{FLASH}")}
_PLAIN = b"application/dtmf"
_OF_KEYS = (_PLAIN, b"application/dtmf-relay", b"application/vnd.nortelnetworks.digits")
_HARMLESS = (b"application/media_control+xml",)  # RFC 5168: a picture is to be sent anew
_NAMES = (b"signal", b"d")
_LONGEST = 256


def pressed(info: Message) -> str | None:
    """The keys, "0".."9", "*", "#", "A".."D" or FLASH; "" if it tells of none. None if it may mean anything.

    Without a body it only asks whether the other end is there, unless it is of a package (RFC 6086 §4).
    """
    if any(info.first(name) is not None for name in (b"info-package", b"content-encoding")):
        return None
    if not info.body:
        return ""
    kind = info.content_type
    if kind in _HARMLESS:
        return ""
    if kind not in _OF_KEYS or len(info.body) > _LONGEST:
        return None
    return _key(_signal(info.body, kind == _PLAIN))


def _signal(body: bytes, may_stand_alone: bool) -> str:
    """What the one line that names a key says, "" if there is none, or more than one."""
    lines = [line.strip(b" \t\r") for line in body.split(b"\n")]
    lines = [line for line in lines if line]
    pairs = [(name.strip(b" \t").lower(), value) for name, equals, value in _split(lines) if equals]
    values = [value.strip(b" \t") for name, value in pairs if name in _NAMES]
    if not pairs and may_stand_alone and len(lines) == 1:
        values = lines
    return values[0].decode("latin-1").upper() if len(values) == 1 else ""


def _split(lines: list[bytes]) -> list[tuple[bytes, bytes, bytes]]:
    return [line.partition(b"=") for line in lines]


def _key(signal: str) -> str | None:
    if len(signal) == 1 and signal in f"{_KEYS}{FLASH}":
        return signal
    return _BY_NUMBER.get(signal)
