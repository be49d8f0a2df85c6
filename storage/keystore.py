"""The keystore: all that must be forgotten when a day is over, in one sealed file per epoch.

    magic ‖ length (4) ‖ header, canonical JSON ‖ nonce (12) ‖ AES-256-GCM(content, all before as AAD)

The content key is drawn anew for every file and is wrapped by K0 of the epoch; the header holds it wrapped.
"""

from __future__ import annotations

import base64
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.bundle import Bundle, Declaration
from storage.epochs import EpochKeys
from storage.errors import Corrupt
from storage.keys import PublicKey, public_of
from storage.records import canonical_json, parse_canonical

Day = tuple[str, date]

_MAGIC = b"doelband-keystore/1\n"
_LENGTH = struct.Struct(">I")
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Destroyed:
    """A day whose key is gone for ever: its fingerprint ("" if it never had one), the first epoch without."""

    fingerprint: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Keystore:
    """One epoch's content. `days` are private halves; everything else in it is public or a list of ids."""

    epoch: int
    tenant: str
    purposes: Mapping[str, PublicKey]
    days: Mapping[Day, bytes] = field(default_factory=dict, repr=False)
    destroyed: Mapping[Day, Destroyed] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    council: bytes | None = None
    management: bytes | None = None
    declaration: Declaration | None = None

    def public(self, at: datetime) -> Bundle:
        """What the recorder may know."""
        return Bundle(
            tenant=self.tenant,
            issued_at=at,
            purposes=self.purposes,
            days={day: public_of(private) for day, private in self.days.items()},
            council=self.council,
            management=self.management,
            declaration=self.declaration,
        )


def seal(store: Keystore, provider: EpochKeys) -> bytes:
    """The file's bytes, under the K0 that `provider` has for the store's epoch."""
    key, nonce = secrets.token_bytes(32), secrets.token_bytes(_NONCE_BYTES)
    header = canonical_json({"provider": provider.name, "key": _text(provider.seal(store.epoch, key))})
    front = _MAGIC + _LENGTH.pack(len(header)) + header
    return front + nonce + AESGCM(key).encrypt(nonce, canonical_json(_plain(store)), front)


def unseal(data: bytes, epoch: int, provider: EpochKeys) -> Keystore:
    """Raises NotFound when K0 of the epoch is gone, Corrupt when the file is not what was written."""
    start = len(_MAGIC) + _LENGTH.size
    try:
        (length,) = _LENGTH.unpack_from(data, len(_MAGIC))
        header = parse_canonical(data[start : start + length])
        wrapped, body = base64.b64decode(header["key"]), data[start + length :]
        if not data.startswith(_MAGIC):
            raise ValueError("not a keystore")
        key = provider.open(epoch, wrapped)
        nonce, sealed = body[:_NONCE_BYTES], body[_NONCE_BYTES:]
        content = AESGCM(key).decrypt(nonce, sealed, data[: start + length])
        return _store(epoch, parse_canonical(content))
    except (InvalidTag, ValueError, KeyError, TypeError, struct.error) as error:
        raise Corrupt(f"open keystore.{epoch}", "it is not what was written; use a replica") from error


def _plain(store: Keystore) -> dict[str, Any]:
    declaration = store.declaration
    return {
        "tenant": store.tenant,
        "purposes": {name: _text(key.raw) for name, key in store.purposes.items()},
        "days": [[name, day.isoformat(), _text(private)] for (name, day), private in store.days.items()],
        "destroyed": [
            [name, day.isoformat(), gone.fingerprint, gone.epoch]
            for (name, day), gone in store.destroyed.items()
        ],
        "refused": sorted(store.refused),
        "council": store.council and _text(store.council),
        "management": store.management and _text(store.management),
        "declaration": declaration and [declaration.text, _text(declaration.signature)],
    }


def _store(epoch: int, plain: dict[str, Any]) -> Keystore:
    declaration = plain["declaration"]
    return Keystore(
        epoch=epoch,
        tenant=plain["tenant"],
        purposes={name: PublicKey(_bytes(raw)) for name, raw in plain["purposes"].items()},
        days={(name, date.fromisoformat(day)): _bytes(raw) for name, day, raw in plain["days"]},
        destroyed={
            (name, date.fromisoformat(day)): Destroyed(fingerprint, since)
            for name, day, fingerprint, since in plain["destroyed"]
        },
        refused=frozenset(plain["refused"]),
        council=plain["council"] and _bytes(plain["council"]),
        management=plain["management"] and _bytes(plain["management"]),
        declaration=declaration and Declaration(declaration[0], _bytes(declaration[1])),
    )


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
