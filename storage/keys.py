"""The two locks of a clip key: the day says until when, the purpose says who (clip-format, section 7).

HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Both halves of a key pair
are 32 raw bytes here; where they are kept is the business of others.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from storage import signing
from storage.errors import Forgery

LABEL = b"doelband/wrap/1"
ID_BYTES = 16
INNER_BYTES = ID_BYTES + 32 + 32 + 16  # purpose key id, encapsulated key, clip key, tag
WRAP_BYTES = 1 + ID_BYTES + 32 + INNER_BYTES + 16

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_VERSION = b"\x01"
_DAY, _PURPOSE = b"day", b"purpose"


class WrapFailure(Forgery):
    """This key does not open this layer of this wrap."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a day key or a purpose key, 32 raw bytes."""

    raw: bytes

    @property
    def key_id(self) -> str:
        return signing.key_id(self.raw)

    @property
    def fingerprint(self) -> str:
        return signing.fingerprint(self.raw)


def new_private() -> bytes:
    """A fresh X25519 private key."""
    return X25519PrivateKey.generate().private_bytes_raw()


def public_of(private: bytes) -> PublicKey:
    return PublicKey(X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw())


def new_clip_key() -> bytes:
    """K2: 32 random bytes, for one clip."""
    return secrets.token_bytes(32)


def wrap(k2: bytes, purpose: PublicKey, day: PublicKey, h: bytes) -> bytes:
    """Seal K2 for this purpose, and that for this day; `h` is the clip's header hash. 161 bytes."""
    inner = bytes.fromhex(purpose.key_id) + _seal(k2, purpose, _PURPOSE, h)
    return _VERSION + bytes.fromhex(day.key_id) + _seal(inner, day, _DAY, h)


def unwrap_day(wrapped: bytes, day_private: bytes, h: bytes) -> bytes:
    """Take the outer layer off. Returns the inner layer, 96 bytes. Raises WrapFailure."""
    if len(wrapped) != WRAP_BYTES or wrapped[:1] != _VERSION:
        raise WrapFailure("open a wrap", "it is not of version 1; restore the catalogue")
    if wrapped[1 : 1 + ID_BYTES].hex() != public_of(day_private).key_id:
        raise WrapFailure("open the day layer of a wrap", "it was made for another day key")
    return _open(wrapped[1 + ID_BYTES :], day_private, _DAY, h)


def unwrap_purpose(inner: bytes, purpose_private: bytes, h: bytes) -> bytes:
    """Take the inner layer off. Returns K2, 32 bytes. Raises WrapFailure, above all for another purpose."""
    if inner[:ID_BYTES].hex() != public_of(purpose_private).key_id:
        raise WrapFailure("open the purpose layer of a wrap", "it was made for another purpose's key")
    return _open(inner[ID_BYTES:], purpose_private, _PURPOSE, h)


def _seal(plaintext: bytes, public: PublicKey, layer: bytes, h: bytes) -> bytes:
    return _SUITE.encrypt(
        plaintext, X25519PublicKey.from_public_bytes(public.raw), info=_info(layer, public.key_id, h)
    )


def _open(sealed: bytes, private: bytes, layer: bytes, h: bytes) -> bytes:
    info = _info(layer, public_of(private).key_id, h)
    try:
        return _SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(private), info=info)
    except (InvalidTag, ValueError) as error:
        raise WrapFailure(
            f"open the {layer.decode()} layer of a wrap", "it was sealed for another key or another header"
        ) from error


def _info(layer: bytes, key_id: str, h: bytes) -> bytes:
    return b"\0".join((LABEL, layer, key_id.encode(), h))
