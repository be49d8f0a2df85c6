"""Ed25519: signatures with a label, so that what is signed for one use means nothing in another.

Used for the recorder's key (Ks), the bundle key (Kb), the works council's and management's keys.
Signed bytes are `label ‖ 0x00 ‖ message`. Public keys in text: `ed25519:<base64>`; private keys in
PKCS #8 PEM files, 0600.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from storage.durable import create_file
from storage.errors import Corrupt, Forgery, NotFound, Unavailable

SIGNATURE_BYTES = 64
PUBLIC_BYTES = 32
_PREFIX = "ed25519:"


def generate() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def public_bytes(private: Ed25519PrivateKey) -> bytes:
    """The public half, 32 bytes."""
    return private.public_key().public_bytes_raw()


def sign(private: Ed25519PrivateKey, label: str, message: bytes) -> bytes:
    """64 bytes (RFC 8032, Ed25519)."""
    return private.sign(label.encode() + b"\0" + message)


def verify(public: bytes, label: str, message: bytes, signature: bytes) -> None:
    """Raises Forgery unless `signature` is one over `label` and `message` by the holder of `public`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, label.encode() + b"\0" + message)
    except (InvalidSignature, ValueError) as error:
        raise Forgery(
            f"verify a signature for {label}", "it was not made by the expected key over these bytes"
        ) from error


def fingerprint(public: bytes) -> str:
    """SHA-256 of the public half, hex."""
    return hashlib.sha256(public).hexdigest()


def key_id(public: bytes) -> str:
    """The first 16 bytes of the fingerprint, hex."""
    return fingerprint(public)[:32]


def public_text(public: bytes) -> str:
    return _PREFIX + base64.b64encode(public).decode()


def parse_public(text: str) -> bytes:
    """The reverse of `public_text`. Raises ValueError."""
    text = text.strip()
    try:
        raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raw = b""
    if not text.startswith(_PREFIX) or len(raw) != PUBLIC_BYTES:
        raise ValueError("a public key is written as ed25519: followed by 44 characters of Base64")
    return raw


def create_key(path: Path) -> Ed25519PrivateKey:
    """Draw a key and keep it in a PEM file, 0600. Raises Conflict when there is one already, Unavailable."""
    private = generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    create_file(path, pem)
    return private


def load_key(path: Path) -> Ed25519PrivateKey:
    """Raises NotFound, Unavailable (also when others may read the file), Corrupt."""
    try:
        private = load_pem_private_key(read_secret(path), password=None)
    except ValueError as error:
        raise Corrupt(f"read the private key {path}", "it is no PEM private key; restore it") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise Corrupt(f"read the private key {path}", "it is no Ed25519 key")
    return private


def read_secret(path: Path) -> bytes:
    """The content of a file that only its owner may read. Raises NotFound, Unavailable."""
    try:
        if path.stat().st_mode & 0o077:
            raise Unavailable(f"read {path}", f"others may read it; chmod 600 {path}")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"read {path}", "there is no such file; has the set-up been run?") from error
    except OSError as error:
        raise Unavailable(f"read {path}", f"give it to the service's user ({error.strerror})") from error
