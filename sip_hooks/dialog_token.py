"""What our Record-Route says of its pass, so that the dialog outlives the process that wrote it.

Phones and PBX bring the token back with every request within the dialog (RFC 3261 §16.12). It says on which
side the two parties are, where their messages come from, and which media session is theirs; nobody's number.
An HMAC keeps others from naming addresses or media sessions, and binds the token to its dialog.

    token = base32(flags (1 byte) | digest of Call-ID and caller's tag (4)
                   | caller's address and port (6 or 18; 0: the PBX's) | callee's (the same)
                   | media session (8), or a nonce (4) | HMAC-SHA256 (first 8))

in lower case without padding, as some phones lower what they bring back. It is short, for it makes every
message of the dialog longer.
"""

from __future__ import annotations

import hmac
from base64 import b32decode, b32encode
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address

from sip_hooks import reading
from sip_hooks.events import Side
from sip_hooks.identity import Role
from sip_hooks.message import Message
from sip_hooks.settings import Address

NONCE = 4  # bytes
_DIGEST = 4
_TAG = 8
_FIXED = 1 + _DIGEST
_SIZES = (0, 6, 18)  # of an address, by its two bits in the flags
_SIDES = (Side.PHONES, Side.PBX, Side.TRUNK)


@dataclass(frozen=True, slots=True, repr=False)
class Crossing:
    """How one dialog crosses us."""

    sides: tuple[Side, Side]  # the caller's and the callee's
    caller: Address  # where its messages come from
    callee: Address  # where its INVITE went
    media: int | None  # the number of its media session


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """What a token carries."""

    crossing: Crossing
    digest: bytes

    def sender_of(self, request: Message) -> Role | None:
        """Return which party sent a request, None when the token is another dialog's."""
        if self.digest == _digest(request.call_id, request.from_tag):
            return "caller"
        return "callee" if self.digest == _digest(request.call_id, request.to_tag) else None


class DialogTokens:
    """Makes and opens tokens with a key that is derived from `key`."""

    def __init__(self, key: bytes, pbx: Address) -> None:
        self._key = hmac.digest(key, b"dialog", sha256)
        self._pbx = pbx

    def seal(self, crossing: Crossing, call_id: bytes, caller_tag: bytes, nonce: bytes) -> bytes:
        """Return the token of a pass. `nonce` (4 bytes) tells it from every other that has no media."""
        caller, callee = self._packed(crossing.caller), self._packed(crossing.callee)
        last = nonce if crossing.media is None else crossing.media.to_bytes(8)
        flags = (
            _packed_sides(crossing.sides) | _SIZES.index(len(caller)) << 2 | _SIZES.index(len(callee)) << 4
        )
        payload = bytes([flags]) + _digest(call_id, caller_tag) + caller + callee + last
        return b32encode(payload + self._tag(payload)).rstrip(b"=").lower()

    def open(self, token: bytes) -> Opened | None:
        """Return what a token carries, None when it is none of ours."""
        try:
            sealed = b32decode(token.upper() + b"=" * (-len(token) % 8))
        except ValueError:
            return None
        payload, tag = sealed[:-_TAG], sealed[-_TAG:]
        if not hmac.compare_digest(tag, self._tag(payload)):
            return None
        flags, digest = payload[0], payload[1:_FIXED]
        callee_at = _FIXED + _SIZES[flags >> 2 & 3]
        last_at = callee_at + _SIZES[flags >> 4 & 3]
        last = payload[last_at:]
        crossing = Crossing(
            _sides_in(flags),
            self._unpacked(payload[_FIXED:callee_at]),
            self._unpacked(payload[callee_at:last_at]),
            None if len(last) == NONCE else int.from_bytes(last),
        )
        return Opened(crossing, digest)

    def _packed(self, address: Address) -> bytes:
        return b"" if address == self._pbx else _bytes_of(address[0]) + address[1].to_bytes(2)

    def _unpacked(self, packed: bytes) -> Address:
        if not packed:
            return self._pbx
        return str(ip_address(packed[:-2])), int.from_bytes(packed[-2:])

    def _tag(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, sha256)[:_TAG]


@reading.remembered
def _bytes_of(address: str) -> bytes:
    return ip_address(address).packed


def _packed_sides(sides: tuple[Side, Side]) -> int:
    """The lower bits of both sides are the lowest two of the flags, the upper bits the highest two."""
    caller, callee = (_SIDES.index(it) for it in sides)
    return caller & 1 | (callee & 1) << 1 | (caller >> 1) << 6 | (callee >> 1) << 7


def _sides_in(flags: int) -> tuple[Side, Side]:
    return _SIDES[flags & 1 | flags >> 5 & 2], _SIDES[flags >> 1 & 1 | flags >> 6 & 2]


def _digest(call_id: bytes, tag: bytes) -> bytes:
    return sha256(call_id + b"\0" + tag).digest()[:_DIGEST]
