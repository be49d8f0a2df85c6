"""Opens copies of SRTP packets (RFC 3711, RFC 6188, RFC 7714): authenticity first, then the payload. And
seals packets of our own.

A packet's index is 48 bits long and the packet tells the lower 16. Whoever listens from the first packet on
counts the rest; whoever comes later, or was away, tries, and the tag says which it was.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder.rtp import FIXED_BYTES, Header, RtpError, Unwrapper, body_at, parse

MOST_ROLLOVERS = 128
"""So often may the sequence number have begun anew before we came: 46 hours at 50 packets a second."""
MOST_SOURCES = 8
MOST_SEARCHES = 500
"""In a row; after that only the most likely index is tried, until one is right."""

_ROLLOVER = 1 << 16
_REMEMBERED = 1024
_BELATED = 32
"""So many packets before the first one, or before a leap, may come after it; what is older is said again."""
_SALT_BYTES = 14
_GCM_SALT_BYTES = 12
_GCM_TAG_BYTES = 16


@dataclass(frozen=True, slots=True, repr=False)
class MasterKey:
    """Of one direction. `suite` as in `a=crypto` (RFC 4568 §6.2); `key`: master key and master salt."""

    suite: str
    key: bytes
    mki: bytes = b""


class Opener:
    """The packets that one party sends under one key."""

    def __init__(self, master: MasterKey) -> None:
        self._cipher = _cipher(master)
        self._mki = master.mki
        self._is_mki_last = _is_gcm(master)  # RFC 7714 §5.2; else before the tag (RFC 3711 §3.1)
        self._sources: dict[int, _Source] = {}
        self._searches = 0

    def open(self, packet: bytes) -> tuple[Header, bytearray] | None:
        """Header and bytes of the plain packet; None: nobody who has the key made this one."""
        try:
            start = body_at(packet)
        except RtpError:
            return None
        sealed, tag = self._parted(packet)
        if len(sealed) < start:
            return None
        sequence, ssrc = int.from_bytes(packet[2:4]), int.from_bytes(packet[8:FIXED_BYTES])
        for index in self._indices(ssrc, sequence):
            payload = self._cipher.open(sealed, tag, start, ssrc, index)
            if payload is not None:
                return _whole(packet[:start], payload) if self._note(ssrc, index) else None
        return None

    def _parted(self, packet: bytes) -> tuple[bytes, bytes]:
        """What is sealed, and its tag; without the name of the key, which must be there if one was agreed."""
        cut, size = len(self._mki), self._cipher.tag_bytes
        end = len(packet) - size - cut
        if end < FIXED_BYTES:
            return b"", b""
        name_at, tag_at = (end + size, end) if self._is_mki_last else (end, end + cut)
        if packet[name_at : name_at + cut] != self._mki:
            return b"", b""
        return packet[:end], packet[tag_at : tag_at + size]

    def _indices(self, ssrc: int, sequence: int) -> Iterator[int]:
        """Which index this may be, the most likely first (RFC 3711 §3.3.1)."""
        known = self._sources.get(ssrc)
        if known is not None and (nearest := known.nearest(sequence)) >= 0:
            yield nearest
        self._searches += 1
        for turn in range(MOST_ROLLOVERS if self._searches <= MOST_SEARCHES else 1):
            yield turn * _ROLLOVER + sequence

    def _note(self, ssrc: int, index: int) -> bool:
        """Whether this packet has not been seen (RFC 3711 §3.3.2)."""
        self._searches = 0
        if ssrc not in self._sources and len(self._sources) >= MOST_SOURCES:
            del self._sources[next(iter(self._sources))]
        return self._sources.setdefault(ssrc, _Source(index)).take(index)


class _Source(Unwrapper):
    """What was seen of one SSRC: bit n of `_seen` is the packet n before the highest."""

    __slots__ = ("_seen",)

    def __init__(self, first: int) -> None:
        super().__init__(16, first)
        self._seen = _AFTER_A_LEAP

    def take(self, index: int) -> bool:
        """Note a packet; False when it was noted before, or is too old to tell."""
        ahead = index - self.highest
        if ahead > 0:
            self._seen = _AFTER_A_LEAP if ahead > _BELATED else (self._seen << ahead) & _ALL
            self.highest = index
        bit = 1 << max(-ahead, 0)
        is_new = bit <= _ALL and not self._seen & bit
        self._seen |= bit & _ALL
        return is_new


_ALL = (1 << _REMEMBERED) - 1
_AFTER_A_LEAP = _ALL & -1 << _BELATED


def sealed(master: MasterKey, packets: Iterable[bytes]) -> list[bytes]:
    """Plain RTP packets as whoever has this key sends them. They are all of a source that has sent nothing
    under this key before, and their numbers do not begin anew.
    """
    cipher, is_gcm = _cipher(master), _is_gcm(master)
    made: list[bytes] = []
    for packet in packets:
        start, index, ssrc = body_at(packet), int.from_bytes(packet[2:4]), int.from_bytes(packet[8:12])
        closed, tag = cipher.seal(packet, start, ssrc, index)
        made.append(closed + (tag + master.mki if is_gcm else master.mki + tag))
    return made


def _is_gcm(master: MasterKey) -> bool:
    return "GCM" in master.suite


def _cipher(master: MasterKey) -> _CounterMode | _Gcm:
    tag_bytes = 4 if master.suite.endswith("_32") else 10
    return _Gcm(master.key) if _is_gcm(master) else _CounterMode(master.key, tag_bytes)


def _whole(head: bytes, payload: bytes) -> tuple[Header, bytearray] | None:
    plain = bytearray(head) + payload
    try:
        return parse(plain), plain
    except RtpError:
        return None


class _CounterMode:
    """AES in counter mode and HMAC-SHA1 (RFC 3711 §4)."""

    def __init__(self, key: bytes, tag_bytes: int) -> None:
        master, salt = key[:-_SALT_BYTES], key[-_SALT_BYTES:]
        self.tag_bytes = tag_bytes
        self._aes = algorithms.AES(_derived(master, salt, 0, len(master)))
        self._authentication = _derived(master, salt, 1, 20)
        self._salt = int.from_bytes(_derived(master, salt, 2, _SALT_BYTES)) << 16

    def open(self, sealed: bytes, tag: bytes, start: int, ssrc: int, index: int) -> bytes | None:
        if not hmac.compare_digest(self._tag(sealed, index), tag):
            return None
        return self._turned(sealed[start:], ssrc, index)

    def seal(self, packet: bytes, start: int, ssrc: int, index: int) -> tuple[bytes, bytes]:
        closed = packet[:start] + self._turned(packet[start:], ssrc, index)
        return closed, self._tag(closed, index)

    def _tag(self, closed: bytes, index: int) -> bytes:
        signed = closed + (index >> 16).to_bytes(4)
        return hmac.digest(self._authentication, signed, hashlib.sha1)[: self.tag_bytes]

    def _turned(self, text: bytes, ssrc: int, index: int) -> bytes:
        counter = self._salt ^ ssrc << 64 ^ index << 16
        return Cipher(self._aes, modes.CTR(counter.to_bytes(16))).encryptor().update(text)


class _Gcm:
    """AES-GCM (RFC 7714 §8)."""

    tag_bytes = _GCM_TAG_BYTES

    def __init__(self, key: bytes) -> None:
        master, salt = key[:-_GCM_SALT_BYTES], key[-_GCM_SALT_BYTES:] + bytes(2)  # RFC 7714 §11
        self._aes = AESGCM(_derived(master, salt, 0, len(master)))
        self._salt = int.from_bytes(_derived(master, salt, 2, _GCM_SALT_BYTES))

    def open(self, sealed: bytes, tag: bytes, start: int, ssrc: int, index: int) -> bytes | None:
        try:
            return self._aes.decrypt(self._nonce(ssrc, index), sealed[start:] + tag, sealed[:start])
        except InvalidTag:
            return None

    def seal(self, packet: bytes, start: int, ssrc: int, index: int) -> tuple[bytes, bytes]:
        closed = self._aes.encrypt(self._nonce(ssrc, index), packet[start:], packet[:start])
        return packet[:start] + closed[:-_GCM_TAG_BYTES], closed[-_GCM_TAG_BYTES:]

    def _nonce(self, ssrc: int, index: int) -> bytes:
        return (self._salt ^ ssrc << 48 ^ index).to_bytes(_GCM_SALT_BYTES)


def _derived(master: bytes, salt: bytes, label: int, size: int) -> bytes:
    """A session key (RFC 3711 §4.3.1, without a key derivation rate)."""
    start = (int.from_bytes(salt) ^ label << 48) << 16
    return Cipher(algorithms.AES(master), modes.CTR(start.to_bytes(16))).encryptor().update(bytes(size))
