"""Keys of SRTP in descriptions: the lines ``a=crypto`` that we can use to open our own copy (RFC 4568 §9.1).

What is not understood to the last word is not used: a key that is nearly right opens nothing.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field

SUITES = {
    b"AES_CM_128_HMAC_SHA1_80": 16 + 14,
    b"AES_CM_128_HMAC_SHA1_32": 16 + 14,
    b"AES_192_CM_HMAC_SHA1_80": 24 + 14,
    b"AES_192_CM_HMAC_SHA1_32": 24 + 14,
    b"AES_256_CM_HMAC_SHA1_80": 32 + 14,
    b"AES_256_CM_HMAC_SHA1_32": 32 + 14,
    b"AEAD_AES_128_GCM": 16 + 12,
    b"AEAD_AES_256_GCM": 32 + 12,
}
"""Octets of master key and master salt (RFC 4568 §6.2, RFC 6188 §4, RFC 7714 §14.2)."""

_SPELT_OTHERWISE = re.compile(rb"AES_CM_(192|256)_")  # in drafts of RFC 6188, and in telephones since
# crypto:TAG SUITE inline:KEY [|LIFETIME] [|MKI:LENGTH] [ PARAMETER …]; a second key after ";" is none of ours
_LINE = re.compile(
    rb"crypto:(?P<tag>\d{1,9}) +(?P<suite>\w+) +inline:(?P<key>[A-Za-z0-9+/]+)={0,2}"
    rb"(?:\|(?:2\^)?\d+)?(?:\|(?P<mki>\d+):(?P<length>\d{1,3}))?(?P<parameters>(?: +\S+)*) *",
    re.IGNORECASE,
)
_HARMLESS = re.compile(rb"WSH=\d+|UNENCRYPTED_SRTCP", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Crypto:
    """One line: the key under which whoever wrote it sends. ``key``: master key and master salt.

    ``mki``: what stands in each packet to name the key, ``b""`` when nothing does.
    """

    tag: int
    suite: str
    key: bytes = field(repr=False)
    mki: bytes = b""


def crypto(value: bytes) -> Crypto | None:
    """Read ``crypto:1 AES_CM_128_HMAC_SHA1_80 inline:…``; None when it asks for what we cannot do."""
    found = _LINE.fullmatch(value)
    if found is None or not all(map(_HARMLESS.fullmatch, found["parameters"].split())):
        return None
    suite = _SPELT_OTHERWISE.sub(rb"AES_\1_CM_", found["suite"].upper())
    mki = _mki(found["mki"], found["length"])
    try:
        key = binascii.a2b_base64(found["key"] + b"=" * (-len(found["key"]) % 4), strict_mode=True)
    except ValueError:
        return None
    if mki is None or len(key) != SUITES.get(suite):
        return None
    return Crypto(int(found["tag"]), suite.decode(), key, mki)


def _mki(value: bytes | None, length: bytes | None) -> bytes | None:
    """A number and the octets in which it is written (RFC 4568 §6.1): 1 to 128."""
    if value is None or length is None:
        return b""
    octets, number = int(length), int(value[:400])
    if not 1 <= octets <= 128 or len(value) > 400 or number.bit_length() > 8 * octets:
        return None
    return number.to_bytes(octets)
