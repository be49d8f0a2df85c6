"""A second reader of clip files, written from docs/clip-format.md alone.

It imports nothing of the product and uses raw primitives only: it shows that the paper is enough, and that
the product writes what the paper says.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

MAGIC = b"doelband-clip/1\n"
MEMBERS = {
    *("version", "suite", "clip", "recording", "part", "previous", "tenant", "purpose", "scheme", "deadline"),
    *("day_key", "started_at", "rate", "channels", "codecs", "recorder"),
}
CLOSE_MEMBERS = {"version", "clip", "header", "chunks", "size", "sha256", "ending"}


class Refused(Exception):
    """`args[0]` is the name of the failure in section 8."""


@dataclass
class Clip:
    header: dict[str, Any]
    ending: str
    plaintext: bytes
    types: list[int]


def decode(case: dict[str, Any]) -> Clip:
    """Section 8, step by step. `case` holds bytes and the day of reading, as a vector does."""
    if case["day"] > case["deadline"] or case["day_private"] is None:
        raise Refused("past deadline")
    h = header_hash(case["file"])
    k2 = _unwrap(case["wrap"], case["day_private"], case["purpose_private"], h)
    header, prologue_end, sealing = _prologue(case["file"], case["recorder_public"])
    if header["day_key"] != case["wrap"][1:17].hex():
        raise Refused("wrap failure")
    closed = _close_record(case["close_record"], case["recorder_public"])
    if closed["clip"] != header["clip"] or closed["header"] != h.hex():
        raise Refused("bad close record")
    chunks = _chunks(case["file"], prologue_end, closed)
    plaintext = b"".join(_decrypt(chunks, k2, sealing, h))
    types, end = _records(plaintext, closed["ending"])
    return Clip(header, closed["ending"], plaintext[:end], types)


def header_hash(file: bytes) -> bytes:
    (length,) = struct.unpack_from(">I", file.ljust(20, b"\0"), 16)
    return hashlib.sha512(file[: 20 + length]).digest()


def _prologue(file: bytes, recorder: bytes) -> tuple[dict[str, Any], int, bytes]:
    (length,) = struct.unpack_from(">I", file.ljust(20, b"\0"), 16)
    if file[:16] != MAGIC or not 1 <= length <= 4096 or len(file) < 20 + length + 64 + 56:
        raise Refused("header failure")
    front = file[: 20 + length]
    signature = file[20 + length : 84 + length]
    sealing = file[84 + length : 140 + length]
    _verify(recorder, b"doelband/clip-prologue/1\0" + front + sealing, signature, "header failure")
    header = _canonical(front[20:], "header failure")
    exact = set(header) == MEMBERS and (header["version"], header["suite"]) == (
        1,
        "cobblestone-256",
    )
    exact = exact and (header["rate"], header["channels"]) == (8000, 2)
    if not exact or header["recorder"] != hashlib.sha256(recorder).hexdigest()[:32]:
        raise Refused("header failure")
    if (header["previous"] is None) != (header["part"] == 1):
        raise Refused("header failure")
    return header, 140 + length, sealing


def _close_record(record: bytes, recorder: bytes) -> dict[str, Any]:
    _verify(recorder, b"doelband/clip-close/1\0" + record[64:], record[:64], "bad close record")
    closed = _canonical(record[64:], "bad close record")
    if set(closed) != CLOSE_MEMBERS or closed["version"] != 1:
        raise Refused("bad close record")
    if closed["ending"] not in ("complete", "truncated"):
        raise Refused("bad close record")
    return closed


def _chunks(file: bytes, start: int, closed: dict[str, Any]) -> list[bytes]:
    if closed["size"] != len(file) or closed["sha256"] != hashlib.sha256(file).hexdigest():
        raise Refused("payload failure")
    chunks = [file[at : at + 16400] for at in range(start, len(file), 16400)]
    sizes = [len(chunk) for chunk in chunks]
    if closed["ending"] == "truncated":
        is_right = all(size == 16400 for size in sizes)
    else:
        is_right = bool(sizes) and 16 <= sizes[-1] < 16400
    if not is_right or len(chunks) != closed["chunks"]:
        raise Refused("payload failure")
    return chunks


def _decrypt(chunks: list[bytes], k2: bytes, sealing: bytes, h: bytes) -> list[bytes]:
    salt, commitment = sealing[:24], sealing[24:]
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + h
    derived = HKDFExpand(hashes.SHA512(), 32 + 12 + 32, info).derive(k2)
    key, nonce = derived[:32], int.from_bytes(derived[32:44], "big")
    if derived[44:] != commitment:
        raise Refused("wrong key")
    try:
        return [
            AESGCM(key).decrypt((nonce ^ number).to_bytes(12, "big"), chunk, None)
            for number, chunk in enumerate(chunks)
        ]
    except InvalidTag:
        raise Refused("payload failure") from None


def _records(plaintext: bytes, ending: str) -> tuple[list[int], int]:
    """Their types, and where the last whole one ends."""
    types: list[int] = []
    at = 0
    while at + 3 <= len(plaintext):
        kind, length = struct.unpack_from(">BH", plaintext, at)
        if at + 3 + length > len(plaintext):
            break
        if not 1 <= kind <= 11 or (kind == 1) != (not types) or 11 in types:
            raise Refused("payload failure")
        types.append(kind)
        at += 3 + length
    if ending == "complete" and (at != len(plaintext) or types[-1:] != [11]):
        raise Refused("payload failure")
    return types, at


def _unwrap(wrap: bytes, day: bytes, purpose: bytes, h: bytes) -> bytes:
    if len(wrap) != 161 or wrap[0] != 1 or wrap[1:17] != _key_id(day):
        raise Refused("wrap failure")
    inner = _hpke_open(wrap[17:], day, b"day", h, "wrap failure")
    if inner[:16] != _key_id(purpose):
        raise Refused("wrong purpose")
    return _hpke_open(inner[16:], purpose, b"purpose", h, "wrong purpose")


def _key_id(private: bytes) -> bytes:
    public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return hashlib.sha256(public).digest()[:16]


def _hpke_open(sealed: bytes, private: bytes, layer: bytes, h: bytes, failure: str) -> bytes:
    """RFC 9180, mode_base: section 4.1 (DHKEM), 5.1 (key schedule), 5.2 (one message, sequence 0)."""
    info = b"\0".join((b"doelband/wrap/1", layer, _key_id(private).hex().encode(), h))
    enc, ciphertext = sealed[:32], sealed[32:]
    own = X25519PrivateKey.from_private_bytes(private)
    try:
        dh = own.exchange(X25519PublicKey.from_public_bytes(enc))
    except ValueError:
        raise Refused(failure) from None
    kem = b"KEM" + (0x0020).to_bytes(2, "big")
    eae = _extract(kem, b"", b"eae_prk", dh)
    shared = _expand(kem, eae, b"shared_secret", enc + own.public_key().public_bytes_raw(), 32)
    suite = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0002))
    context = b"\0" + _extract(suite, b"", b"psk_id_hash", b"") + _extract(suite, b"", b"info_hash", info)
    secret = _extract(suite, shared, b"secret", b"")
    key = _expand(suite, secret, b"key", context, 32)
    nonce = _expand(suite, secret, b"base_nonce", context, 12)
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, b"")
    except InvalidTag:
        raise Refused(failure) from None


def _extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return HKDFExpand(hashes.SHA256(), length, labelled).derive(prk)


def _verify(public: bytes, message: bytes, signature: bytes, failure: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        raise Refused(failure) from None


def _canonical(data: bytes, failure: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
        again = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except ValueError:
        raise Refused(failure) from None
    if again != data or not isinstance(value, dict):
        raise Refused(failure)
    return value
