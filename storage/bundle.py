"""The public halves that the recorder works with, signed by the bundle key Kb.

`bundle.json` is `{"bundle": {…}, "signature": Base64}`, the signature being over the canonical JSON of the
first member. `bundle.pin` holds the public half of Kb, put there once, at set-up.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from storage import signing
from storage.durable import replace_file
from storage.errors import Corrupt, NoDayKey, NotFound, Unavailable
from storage.keys import PublicKey
from storage.records import canonical_json

LABEL = "doelband/bundle/1"
DECLARATION_LABEL = "doelband/no-council/1"
BUNDLE, PIN = "bundle.json", "bundle.pin"


@dataclass(frozen=True, slots=True)
class Declaration:
    """Management's signed word that no works council is required, and why (WOR 2)."""

    text: str
    signature: bytes

    def verify(self, management: bytes) -> None:
        """Raises Forgery."""
        signing.verify(management, DECLARATION_LABEL, self.text.encode(), self.signature)


@dataclass(frozen=True, slots=True)
class Bundle:
    """All that is public in a keystore, as it was at `issued_at`. `council`, `management`: Ed25519, raw."""

    tenant: str
    issued_at: datetime
    purposes: Mapping[str, PublicKey]
    days: Mapping[tuple[str, date], PublicKey]
    council: bytes | None
    management: bytes | None
    declaration: Declaration | None

    def day_key(self, purpose: str, day: date) -> PublicKey:
        """Raises NoDayKey: without it nothing is recorded for this purpose."""
        try:
            return self.days[purpose, day]
        except KeyError:
            raise NoDayKey(
                f"find the key of {day} for the purpose {purpose}", "see that the key service is running"
            ) from None

    def purpose_key(self, purpose: str) -> PublicKey:
        """Raises NoDayKey, as no day of a purpose without a key can have one."""
        try:
            return self.purposes[purpose]
        except KeyError:
            raise NoDayKey(f"find the key of the purpose {purpose}", "add it with `doelband setup`") from None


def write_pin(directory: Path, kb_public: bytes) -> None:
    replace_file(directory / PIN, signing.public_text(kb_public).encode() + b"\n", 0o644)


def write(directory: Path, bundle: Bundle, kb: Ed25519PrivateKey) -> None:
    """Replace the bundle as a whole. Raises Unavailable."""
    plain = _plain(bundle)
    signature = signing.sign(kb, LABEL, canonical_json(plain))
    replace_file(
        directory / BUNDLE, canonical_json({"bundle": plain, "signature": _text(signature)}), mode=0o644
    )


def load(directory: Path) -> Bundle:
    """Raises NotFound, Unavailable, Corrupt, and Forgery when Kb did not sign it."""
    try:
        pin = signing.parse_public(_read(directory / PIN).decode())
        outer = json.loads(_read(directory / BUNDLE))
        plain, signature = outer["bundle"], base64.b64decode(outer["signature"])
        signing.verify(pin, LABEL, canonical_json(plain), signature)
        return _bundle(plain)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(
            f"read the bundle in {directory}",
            "restart the key service, which publishes it again",
        ) from error


def _plain(bundle: Bundle) -> dict[str, Any]:
    days: dict[str, dict[str, str]] = {}
    for (purpose, day), key in bundle.days.items():
        days.setdefault(purpose, {})[day.isoformat()] = _text(key.raw)
    declaration = bundle.declaration
    return {
        "tenant": bundle.tenant,
        "issued_at": bundle.issued_at.astimezone(UTC).isoformat(),
        "purposes": {name: _text(key.raw) for name, key in bundle.purposes.items()},
        "days": days,
        "council": bundle.council and _text(bundle.council),
        "management": bundle.management and _text(bundle.management),
        "declaration": declaration and [declaration.text, _text(declaration.signature)],
    }


def _bundle(plain: dict[str, Any]) -> Bundle:
    declaration = plain["declaration"]
    return Bundle(
        tenant=plain["tenant"],
        issued_at=datetime.fromisoformat(plain["issued_at"]),
        purposes={name: PublicKey(_bytes(raw)) for name, raw in plain["purposes"].items()},
        days={
            (purpose, date.fromisoformat(day)): PublicKey(_bytes(raw))
            for purpose, days in plain["days"].items()
            for day, raw in days.items()
        },
        council=plain["council"] and _bytes(plain["council"]),
        management=plain["management"] and _bytes(plain["management"]),
        declaration=declaration and Declaration(declaration[0], _bytes(declaration[1])),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"read {path}", "set the keys up with `doelband setup`") from error
    except OSError as error:
        raise Unavailable(f"read {path}", f"give it to the recorder's user ({error.strerror})") from error


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
